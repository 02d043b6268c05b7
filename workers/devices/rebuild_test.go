package devices

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// testBatch keeps the tests' registries small.
const testBatch = 5

func rebuilder(reg Rebuilt, k *kafka) *Rebuilder {
	r := NewRebuilder(reg, k, config(), "me", zap.NewNop())
	r.batch = testBatch
	return r
}

// filled is a Kafka that holds what the role wrote for two users, and a group's memberships as they were produced.
func filled(t *testing.T) (*kafka, *server) {
	t.Helper()
	var a acks
	k, reg := &kafka{}, whole(t)
	d := newDevices(reg, k)
	handle(t, d, []*stream.Record{
		a.login("demo", "bob", "abcd"), a.login("demo", "carol", "ef01"), a.event("demo", "carol", "logout", clock.UnixMilli()+1, ""),
		a.event("demo", "bob", "settings", clock.UnixMilli(), `,"Push":false,"ReceiveOptions":{"c2c:alice":2}`),
	})
	for _, rec := range []*stream.Record{
		a.record("im.groups", "demo|team|bob", `{"App":"demo","Group":"team","User":"bob","JoinedTime":1789990000000}`),
		a.record("im.groups", "demo|team|carol", `{"App":"demo","Group":"team","User":"carol","JoinedTime":1789990000000}`),
		a.record("im.groups", "demo|team|carol", ""),
		a.record("im.groups", "demo|team|dora", "{"),
	} {
		k.append(rec)
	}
	return k, reg
}

func TestARebuildRestoresWhatRedisLost(t *testing.T) {
	t.Parallel()
	k, before := filled(t)
	after := open(t)
	if err := rebuilder(after, k).Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := after.Ready(t.Context()); err != nil {
		t.Errorf("not ready after the rebuild: %v", err)
	}
	for _, user := range []string{"bob", "carol", "nobody"} {
		want, err := before.Settings(t.Context(), "demo", user)
		if err != nil {
			t.Fatal(err)
		}
		got, err := after.Settings(t.Context(), "demo", user)
		if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("settings of %s, %v (-before +after):\n%s", user, err, diff)
		}
		devices, err := after.Devices(t.Context(), "demo", user)
		if n := map[string]int{"bob": 1, "carol": 1}[user]; err != nil || len(devices) != n {
			t.Errorf("%s has %d devices after the rebuild, %v", user, len(devices), err)
		}
		for _, d := range devices {
			if d.LoggedOut != (user == "carol") {
				t.Errorf("%s: logged out is %t", user, d.LoggedOut)
			}
		}
	}
	if diff := cmp.Diff([]string{"bob"}, members(t, after, "team", clock)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// watched lets a test step in between the calls of a rebuild.
type watched struct {
	*server
	restored func(n int) // after each batch of states
	n        int
}

func (w *watched) Restore(ctx context.Context, states []registry.State) error {
	err := w.server.Restore(ctx, states)
	if w.n++; w.restored != nil {
		w.restored(w.n)
	}
	return err
}

// TestARebuildThatLosesItsGroundBeginsAgain: whatever Redis forgets in the middle, the marker is never set over an
// incomplete registry, and the next rebuild makes it whole.
func TestARebuildThatLosesItsGroundBeginsAgain(t *testing.T) {
	t.Parallel()
	forget := func(t *testing.T, s *server, keys ...string) {
		client := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
		defer client.Close()
		var err error
		if keys == nil {
			err = client.FlushAll(t.Context()).Err()
		} else {
			err = client.Del(t.Context(), keys...).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		lose    func(t *testing.T, s *server)
		batches int // restored before it is noticed
	}{
		"Redis restarts between two batches": {func(t *testing.T, s *server) { forget(t, s) }, 1},
		"a slot is lost, but not the lock's": {func(t *testing.T, s *server) { forget(t, s, "rebuilding") }, 3},
		"the lock runs out":                  {func(t *testing.T, s *server) { forget(t, s, "rebuild") }, 1},
		"another took the lock": {func(t *testing.T, s *server) {
			forget(t, s, "rebuild")
			if ok, err := s.AcquireRebuild(t.Context(), "another", time.Minute); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, s := many(t), open(t)
			w := &watched{server: s, restored: func(n int) {
				if n == 1 {
					c.lose(t, s)
				}
			}}
			if err := rebuilder(w, k).Rebuild(t.Context()); !errors.Is(err, registry.ErrRebuildLost) {
				t.Errorf("rebuild: %v, want that it is lost", err)
			}
			if w.n != c.batches {
				t.Errorf("noticed after %d batches, want %d", w.n, c.batches)
			}
			if err := s.Ready(t.Context()); !errors.Is(err, registry.ErrEmpty) {
				t.Errorf("after the lost rebuild: %v, want that the registry is still empty", err)
			}
			if err := s.ReleaseRebuild(t.Context(), "another"); err != nil {
				t.Fatal(err)
			}
			if err := rebuilder(w, k).Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"user0", "user14"} {
				if d, err := s.Devices(t.Context(), "demo", user); err != nil || len(d) != 1 {
					t.Errorf("%s has %d devices after the second rebuild, %v", user, len(d), err)
				}
			}
		})
	}
}

// many is a Kafka with three batches of states.
func many(t testing.TB) *kafka {
	t.Helper()
	k := &kafka{}
	for i := range 3 * testBatch {
		state := registry.State{App: "demo", User: fmt.Sprint("user", i), Device: "phone", EventTime: clock}
		state.Binding.Platform, state.Binding.Version = "apns", 1
		m := State(config().Topics, state.Record())
		k.append(&stream.Record{Topic: m.Topic, Key: m.Key, Value: m.Value})
	}
	return k
}

// TestStatesPublishedDuringTheRebuildAreNotMissed: an event that was applied just before the loss may be published after
// the scan has passed its place.
func TestStatesPublishedDuringTheRebuildAreNotMissed(t *testing.T) {
	t.Parallel()
	k := many(t)
	s := open(t)
	rounds := 0
	k.scanned = func(topic string) {
		if topic != "push.registry" {
			return
		}
		if rounds++; rounds > 2 {
			return
		}
		state := registry.State{App: "demo", User: fmt.Sprint("late", rounds), Device: "phone", EventTime: clock}
		state.Binding.Platform, state.Binding.Version = "apns", 1
		m := State(config().Topics, state.Record())
		k.append(&stream.Record{Topic: m.Topic, Key: m.Key, Value: m.Value})
	}
	w := &watched{server: s}
	if err := rebuilder(w, k).Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"user0", "late1", "late2"} {
		if d, err := s.Devices(t.Context(), "demo", user); err != nil || len(d) != 1 {
			t.Errorf("%s has %d devices after the rebuild, %v", user, len(d), err)
		}
	}
	if w.n != 5 {
		t.Errorf("%d batches restored, want 3 and one for each late state: nothing is read twice", w.n)
	}
}

func TestARebuildEndsThoughTheTopicGrowsOn(t *testing.T) {
	t.Parallel()
	k := many(t)
	grow := k.topics["push.registry"][0]
	k.scanned = func(string) { k.append(&stream.Record{Topic: grow.Topic, Key: grow.Key, Value: grow.Value}) }
	s := open(t)
	if err := rebuilder(s, k).Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOneReplicaRebuilds(t *testing.T) {
	t.Parallel()
	k, s := many(t), open(t)
	if ok, err := s.AcquireRebuild(t.Context(), "another", time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := rebuilder(s, k).Rebuild(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("while another replica rebuilds: %v", err)
	}
}

func TestUnreadableStatesAreLeftOut(t *testing.T) {
	t.Parallel()
	k, s := &kafka{}, open(t)
	for _, key := range []string{"demo|bob", "demo|bob|phone", "demo", ""} {
		k.append(&stream.Record{Topic: "push.registry", Key: []byte(key), Value: []byte("\xff\xff")})
	}
	k.append(&stream.Record{Topic: "push.registry", Key: []byte("demo|bob|phone")})
	if err := rebuilder(s, k).Rebuild(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// successor is a registry whose Redis failed over.
type successor struct {
	*server
	another bool
}

func (s *successor) Succeeded(context.Context) (bool, error) { return s.another, nil }

func (s *successor) Adopt(context.Context) error {
	s.another = false
	return nil
}

// TestAfterAFailOverTheLastWritesAreRestored: a replica that is promoted may lack what was written last. Its marker
// stands, so nothing is held; what it lacks is restored, once.
func TestAfterAFailOverTheLastWritesAreRestored(t *testing.T) {
	t.Parallel()
	k := many(t)
	s := &successor{server: whole(t), another: true}
	r := rebuilder(s, k)
	r.look(t.Context())
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("held: %v", err)
	}
	if d, err := s.Devices(t.Context(), "demo", "user3"); err != nil || len(d) != 1 {
		t.Errorf("user3 has %d devices, %v", len(d), err)
	}
	report, err := s.LastRebuild(t.Context())
	if err != nil || !report.Done || report.Wish == "" {
		t.Errorf("the report is %+v, %v", report, err)
	}
	r.look(t.Context())
	if again, err := s.LastRebuild(t.Context()); err != nil || again != report {
		t.Errorf("rebuilt again: %+v, %v", again, err)
	}
}

// TestAFailOverDuringARebuildBeginsItAgain: what was restored last may be missing on the replica that was promoted.
func TestAFailOverDuringARebuildBeginsItAgain(t *testing.T) {
	t.Parallel()
	k, s := many(t), &successor{server: open(t)}
	k.scanned = func(string) { s.another = true }
	if err := rebuilder(s, k).Rebuild(t.Context()); !errors.Is(err, registry.ErrRebuildLost) {
		t.Errorf("rebuild: %v, want that it is lost", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("after the lost rebuild: %v", err)
	}
	k.scanned = nil
	if err := rebuilder(s, k).Rebuild(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// evicting is a registry whose Redis may evict users, until it is mended.
type evicting struct {
	*server
	mended bool
}

func (e *evicting) Ready(ctx context.Context) error {
	if !e.mended {
		return registry.ErrEvicts
	}
	return e.server.Ready(ctx)
}

// TestARedisThatEvictsUsersIsHeldAndThenRebuilt: what it has thrown away looks like users without devices.
func TestARedisThatEvictsUsersIsHeldAndThenRebuilt(t *testing.T) {
	t.Parallel()
	k, e := many(t), &evicting{server: whole(t)}
	r := rebuilder(e, k)
	core, logged := observer.New(zap.ErrorLevel)
	r.logger = zap.New(core)
	r.look(t.Context())
	r.look(t.Context())
	if logged.Len() != 1 {
		t.Errorf("logged %d times in two looks: %v", logged.Len(), logged.All())
	}
	if _, err := e.Apply(t.Context(), []registry.DeviceEvent{{App: "demo", User: "bob", Device: "phone", Event: "killed", EventTime: clock}}); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("while it may evict: %v", err)
	}
	e.mended = true
	r.look(t.Context())
	if err := e.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if d, err := e.Devices(t.Context(), "demo", "user3"); err != nil || len(d) != 1 {
		t.Errorf("user3 has %d devices, %v", len(d), err)
	}
}

// TestAWishIsFulfilledOnce: the report names who asked, and the rebuild is not repeated.
func TestAWishIsFulfilledOnce(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]bool{"holding": true, "next to the traffic": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, s := many(t), whole(t)
			r := rebuilder(s, k)
			r.look(t.Context())
			if report, err := s.LastRebuild(t.Context()); err != nil || report.Done {
				t.Fatalf("rebuilt though nobody asked: %+v, %v", report, err)
			}
			if err := s.WishRebuild(t.Context(), "ann", hold); err != nil {
				t.Fatal(err)
			}
			r.look(t.Context())
			report, err := s.LastRebuild(t.Context())
			if err != nil || report.Wish != "ann" || report.Records != 3*testBatch || report.Behind != 0 || !report.Done || report.Error != "" {
				t.Errorf("report %+v, %v", report, err)
			}
			if wish, err := s.RebuildWish(t.Context()); err != nil || wish != "" {
				t.Errorf("the wish %q is still there, %v", wish, err)
			}
		})
	}
}
