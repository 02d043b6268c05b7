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
		"a script that fails, Redis 6":      {reply("ERR Error running script (call to f_1b): @user_script:7: user_script:7: bad argument #1 to 'match'"), true},
		"a script that fails, embedded":     {reply("ERR Error compiling script (new function): :7: attempt to index a non-table object(nil) stack traceback:"), true},
		"a key of another kind in a script": {reply("WRONGTYPE Operation against a key holding the wrong kind of value script: 1b, on @user_script:7."), true},
		"the same, Redis 6":                 {reply("ERR Error running script (call to f_1b): @user_script:3: @user_script: 3: -WRONGTYPE Operation against a key"), true},
		"a number that is none":             {reply("ERR value is not an integer or out of range script: 1b, on @user_script:7."), true},
		"a script that was killed":          {reply("ERR Script killed by user with SCRIPT KILL. script: 1b, on @user_script:7."), false},
		"the same, Redis 6, killed":         {reply("ERR Error running script (call to f_1b): @user_script:7: user_script:7: Script killed by user with SCRIPT KILL..."), false},
		"a slot that moves":                 {reply("ERR Script attempted to access a non local key in a cluster node script: 1b, on @user_script:7."), false},
		"a command that is switched off":    {reply("ERR Unknown Redis command called from script script: 1b, on @user_script:7."), false},
		"a proxy without a server":          {reply("ERR upstream connection lost"), false},
		"too many connections":              {reply("ERR max number of clients reached"), false},
		"a word that nobody knows":          {reply("FROZEN the instance is being resized"), false},
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
