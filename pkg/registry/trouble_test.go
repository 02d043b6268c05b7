package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
)

// reply is an error that a server answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestWhichErrorsLast(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"a key of another kind":             {reply("WRONGTYPE Operation against a key holding the wrong kind of value"), true},
		"a script that fails":               {reply("ERR user_script:7: attempt to index a nil value script: 1b, on @user_script:7."), true},
		"no answer where there is to be":    {redis.Nil, true},
		"an answer that nobody can read":    {fmt.Errorf("admit: %w", ErrMalformed), true},
		"a server that loads":               {reply("LOADING Redis is loading the dataset in memory"), false},
		"a server that became a replica":    {reply("READONLY You can't write against a read only replica."), false},
		"the same inside a script, Redis 6": {reply("ERR Error running script (call to f_1b): @user_script:3: @user_script: 3: -READONLY You can't write"), false},
		"a server without memory":           {reply("OOM command not allowed when used memory > 'maxmemory'."), false},
		"a cluster without a master":        {reply("CLUSTERDOWN The cluster is down"), false},
		"a password that is wrong":          {reply("WRONGPASS invalid username-password pair"), false},
		"no marker":                         {fmt.Errorf("decide: %w", ErrEmpty), false},
		"a connection that ended":           {io.EOF, false},
		"nobody at the address":             {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, false},
		"the caller's end":                  {context.Canceled, false},
		"a closed client":                   {redis.ErrClosed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Lasting(fmt.Errorf("registry: %w", test.err)); got != test.want {
				t.Errorf("lasting: %v, want %v", got, test.want)
			}
		})
	}
}
