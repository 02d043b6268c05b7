package registry

import (
	"errors"
	"regexp"

	"github.com/redis/go-redis/v9"
)

// ErrMalformed says that Redis answered what no script of the registry says: the key holds what the registry did not
// write.
var ErrMalformed = errors.New("answer is malformed")

// lastingReply is what a server replies where the fault lies in what a key holds: it is of another kind, or holds no
// number where there has to be one, or a script stopped over it. Redis names the script user_script, the embedded one by
// its line alone. Before Redis 7 the word of a failed command stands in the middle, so the beginning does not tell. What
// a command or the server says of itself in a script (killed, no memory, a key that moved) is not Lua's and matches not.
var lastingReply = regexp.MustCompile(
	`^(?:WRONGTYPE |ERR\b.*(?:WRONGTYPE |value is not (?:an integer|a valid float)|(?: user_script|\(new function\): ):\d+: [a-z]))`)

// Lasting says whether an error of a Registry is known to be about what one of the requests asked for, so that asking
// again brings the same: a key of another kind, a script that fails over it, an answer that is missing or that nobody can
// read. Everything else, above all what is not known here, is worth waiting for: a wait can be ended, a message that was
// given up is lost. Which request it was, asking for each alone shows.
func Lasting(err error) bool {
	if errors.Is(err, ErrMalformed) || errors.Is(err, redis.Nil) {
		return true
	}
	var reply redis.Error
	return errors.As(err, &reply) && lastingReply.MatchString(reply.Error())
}
