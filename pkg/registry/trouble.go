package registry

import (
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrMalformed says that Redis answered what no script of the registry says: the key holds what the registry did not
// write.
var ErrMalformed = errors.New("answer is malformed")

// passing are the first words of a server's replies that say nothing about the request and are over in time: it loads,
// fails over, has no memory, or does not know us.
var passing = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY", "UNKILLABLE", "NOSCRIPT", "OOM",
	"MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM", "max number of clients",
}

// Lasting says whether an error of a Registry is about what one of the requests asked for, so that asking again brings
// the same: a key of another kind, an answer that nobody can read. Everything else is worth waiting for. Which request it
// was, asking for each alone shows.
func Lasting(err error) bool {
	if errors.Is(err, ErrMalformed) {
		return true
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	// A script's error carries the word of the command that failed in its middle before Redis 7.
	text := reply.Error()
	return !slices.ContainsFunc(passing, func(word string) bool { return strings.Contains(text, word+" ") })
}
