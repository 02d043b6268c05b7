package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is one Redis that the conformance suite runs on.
type backend struct {
	name    string
	client  redis.UniversalClient
	cluster bool // markers in every slot, keys checked strictly
}

// backends are an embedded server in both layouts of the markers and, where the environment names them, real servers.
func backends(t *testing.T) []backend {
	t.Helper()
	dial := func(addr string, db int) redis.UniversalClient {
		client := redis.NewClient(&redis.Options{Addr: addr, DB: db, MaxRetries: -1, PoolSize: 8})
		t.Cleanup(func() { client.Close() })
		return client
	}
	serve := func() string {
		server, err := embedded.Start(embedded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		return server.Addr()
	}
	all := []backend{
		{name: "embedded", client: dial(serve(), 0)},
		{name: "embedded with cluster keys", client: dial(serve(), 0), cluster: true},
	}
	if addr := os.Getenv("PUSHFLEET_TEST_REDIS"); addr != "" {
		all = append(all, backend{name: "redis", client: dial(addr, testDB)})
	}
	if addr := os.Getenv("PUSHFLEET_TEST_REDIS_CLUSTER"); addr != "" {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, MaxRedirects: 3})
		t.Cleanup(func() { client.Close() })
		all = append(all, backend{name: "cluster", client: client, cluster: true})
	}
	return all
}

// testDB keeps the suite away from whatever else uses the same real server.
const testDB = 9

// onEveryBackend runs a test on each backend, in parallel, with an app of its own and a clock that stands still.
func onEveryBackend(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Parallel()
	var all sync.WaitGroup
	for _, b := range backends(t) {
		all.Add(1)
		t.Run(b.name, func(t *testing.T) {
			defer all.Done()
			f := newFixture(t, b)
			if err := f.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			test(t, f)
		})
	}
}

var apps atomic.Int64

// fixture is a registry with a clock in the test's hand.
type fixture struct {
	*Registry
	t     *testing.T
	app   string
	now   time.Time
	sent  *checker
	seq   int
	epoch time.Time
}

func newFixture(t *testing.T, b backend) *fixture {
	t.Helper()
	f := &fixture{t: t, epoch: start, now: start, sent: &checker{t: t, strict: b.cluster}}
	f.app = fmt.Sprintf("app%d-%d", time.Now().UnixNano(), apps.Add(1))
	b.client.AddHook(f.sent)
	f.Registry = newRegistry(b.client, b.cluster, Options{Now: func() time.Time { return f.now }})
	return f
}

// start is the tests' beginning of time.
var start = time.UnixMilli(1_790_000_000_000)

// checker refuses scripts whose keys cross hash tags, as a cluster would, and counts what is sent.
type checker struct {
	t      *testing.T
	strict bool // the marker too has to be in the slot
	calls  atomic.Int64
	trips  atomic.Int64
}

func (c *checker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *checker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := c.check(cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (c *checker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips.Add(1)
		for _, cmd := range cmds {
			if err := c.check(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (c *checker) check(cmd redis.Cmder) error {
	c.calls.Add(1)
	if cmd.Name() != "evalsha" {
		return nil
	}
	args := cmd.Args()
	slot := -1
	for _, arg := range args[3 : 3+args[2].(int)] {
		key := arg.(string)
		if key == "epoch" && !c.strict {
			continue
		}
		if at := slotOf(hashTag(key)); slot == -1 {
			slot = at
		} else if at != slot {
			c.t.Errorf("the keys of one script cross slots: %q", args[3:3+args[2].(int)])
			return errors.New("CROSSSLOT")
		}
	}
	return nil
}

// hashTag is what Redis Cluster hashes of a key.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
