package devices

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// slowKafka lets what is published become durable only when the test says so.
type slowKafka struct {
	*kafka
	held []func()
}

func (s *slowKafka) Publish(ctx context.Context, m stream.Message, done func(error)) {
	s.held = append(s.held, func() { s.kafka.Publish(ctx, m, done) })
}

func (s *slowKafka) release() {
	for _, publish := range s.held {
		publish()
	}
	s.held = nil
}

func (s *server) forget(t *testing.T) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestAStateWrittenLaterThanTheRebuildReadIsNotMissed: a binding and settings are applied, Redis loses them, a rebuild
// reads the topic to its end, and only then do they stand in the topic.
func TestAStateWrittenLaterThanTheRebuildReadIsNotMissed(t *testing.T) {
	t.Parallel()
	for name, rebuild := range map[string]bool{"rebuilt before it is written": true, "not rebuilt yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a acks
			s, k := whole(t), &slowKafka{kafka: &kafka{}}
			d := New(config(), s, k, k, zap.NewNop())
			handle(t, d, []*stream.Record{
				a.login("demo", "bob", "abcd"), a.event("demo", "carol", "settings", clock.UnixMilli(), `,"Push":false`),
			})
			if a.acked != 0 {
				t.Error("acknowledged before its states are durable")
			}
			s.forget(t)
			if rebuild {
				if err := rebuilder(s, k.kafka).Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			k.release()
			if a.acked != 0 {
				t.Error("acknowledged before its states are known to be in Redis")
			}
			d.keeper.pass(t.Context())
			if a.acked != 2 {
				t.Errorf("%d acknowledged, want 2", a.acked)
			}
			if !rebuild {
				if err := rebuilder(s, k.kafka).Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if devices, err := s.Devices(t.Context(), "demo", "bob"); err != nil || len(devices) != 1 {
				t.Errorf("bob has %d devices, %v", len(devices), err)
			}
			if settings, err := s.Settings(t.Context(), "demo", "carol"); err != nil || !settings.GetPushOff() {
				t.Errorf("carol's settings are %v, %v", settings, err)
			}
		})
	}
}

// TestStatesAreRestoredOnceMoreOnlyAfterARebuild: as long as none begins, a look is all it costs.
func TestStatesAreRestoredOnceMoreOnlyAfterARebuild(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after string
		fail          error // of the look
		want          int   // states restored
	}{
		"no rebuild":                {"", "", nil, 0},
		"none since":                {"one", "one", nil, 0},
		"the first":                 {"", "one", nil, 1},
		"another":                   {"one", "two", nil, 1},
		"Redis lost everything":     {"one", "", nil, 1},
		"a look that will not heal": {"one", "two", registry.ErrMalformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := &generations{now: test.after, fail: test.fail}
			k := newKeeper(reg, zap.NewNop())
			k.generation = test.before
			w, done := written{generation: k.now(), states: make([]registry.State, 1)}, errors.New("not done")
			w.done = func(err error) { done = err }
			k.keep(w)
			k.pass(t.Context())
			if done != nil || reg.restored != test.want {
				t.Errorf("%v, %d restored, want %d", done, reg.restored, test.want)
			}
			if test.fail == nil && k.now() != test.after {
				t.Errorf("the next events are noted under %q, want %q", k.now(), test.after)
			}
		})
	}
}

type generations struct {
	fakeRegistry
	now      string
	fail     error
	restored int
}

func (g *generations) Generation(context.Context) (string, error) { return g.now, g.fail }

func (g *generations) Restore(_ context.Context, states []registry.State) error {
	g.restored += len(states)
	return nil
}

// TestAKeeperWaitsForRedisAndLeavesTheRestAtItsEnd: while Redis is away nothing is acknowledged, and what is left at the
// end is read again.
func TestAKeeperWaitsForRedisAndLeavesTheRestAtItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := &generations{fail: errors.New("away")}
		k := newKeeper(reg, zap.NewNop())
		var first, second, late error
		unset := errors.New("not called")
		first, second, late = unset, unset, unset
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.run(ctx) }()
		k.keep(written{done: func(err error) { first = err }})
		time.Sleep(time.Minute)
		synctest.Wait()
		k.keep(written{done: func(err error) { second = err }})
		if !errors.Is(first, unset) {
			t.Errorf("while Redis is away: %v", first)
		}
		cancel()
		<-ended
		k.keep(written{done: func(err error) { late = err }})
		for name, err := range map[string]error{"in the call": first, "behind it": second, "after the end": late} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
