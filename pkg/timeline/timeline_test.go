package timeline

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test on the embedded Redis, and on the real ones that the environment names. Options.Sample is 1.
func each(t *testing.T, opts Options, test func(t *testing.T, line *Timeline)) {
	t.Helper()
	opts.Sample = 1
	eachAs(t, opts, test)
}

func eachAs(t *testing.T, opts Options, test func(t *testing.T, line *Timeline)) {
	t.Helper()
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	backends := map[string]string{"embedded": server.Addr(), "redis": os.Getenv("PUSHFLEET_TEST_REDIS"),
		"cluster": os.Getenv("PUSHFLEET_TEST_REDIS_CLUSTER")}
	for name, addrs := range backends {
		if addrs == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			line, err := Open(registry.Config{Addrs: strings.Split(addrs, ",")}, opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = line.Close() })
			test(t, line)
		})
	}
}

// app is a test's own, also on a server that others use.
func app(t *testing.T) string { return fmt.Sprint(t.Name(), time.Now().UnixNano()) }

func mustAppend(t *testing.T, line *Timeline, entries ...Entry) {
	t.Helper()
	if err := line.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, line *Timeline, app, key string) Line {
	t.Helper()
	got, err := line.Read(t.Context(), app, key)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAMessagesWayIsReadAsItWasAppended(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, line *Timeline) {
		app, now := app(t), time.Now().UnixMilli()
		entry := func(key string, n int64) Entry {
			return &schemasv1.Event{App: app, MsgKey: key, User: "bob", Disposition: "push", TimeMs: now + n}
		}
		batch := []Entry{entry("a", 1), entry("b", 2), entry("a", 3), {Disposition: "dead", TimeMs: now}}
		for range 2 { // read again after a crash
			mustAppend(t, line, batch...)
		}
		mustAppend(t, line, entry("a", 4))
		mustAppend(t, line)
		got := mustRead(t, line, app, "a")
		want := Line{Entries: []Entry{entry("a", 1), entry("a", 3), entry("a", 4)}}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, other := range [][2]string{{app, "unknown"}, {app + "x", "a"}} {
			if got := mustRead(t, line, other[0], other[1]); len(got.Entries) != 0 {
				t.Errorf("%v: %v", other, got)
			}
		}
		if ttl := line.client.PTTL(t.Context(), nameOf(app, "a").key(routine)).Val(); ttl < 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("a timeline lives %s", ttl)
		}
	})
}

func TestABigGroupsTimelineIsBoundedAndItsFailuresFindRoom(t *testing.T) {
	t.Parallel()
	each(t, Options{MessageBytes: 8 << 10, Bytes: 1 << 40}, func(t *testing.T, line *Timeline) {
		app, now := app(t), time.Now().UnixMilli()
		var delivered []Entry
		for i := range 1000 {
			delivered = append(delivered, &schemasv1.Event{App: app, MsgKey: "big", User: fmt.Sprintf("u%04d", i), Disposition: "delivered", TimeMs: now})
		}
		mustAppend(t, line, delivered...)
		mustAppend(t, line, delivered...)
		mustAppend(t, line, &schemasv1.Event{App: app, MsgKey: "big", User: "bob", Disposition: "dead", Reason: "too_large", TimeMs: now})
		got := mustRead(t, line, app, "big")
		size := line.client.StrLen(t.Context(), nameOf(app, "big").key(routine)).Val()
		if size > 4<<10 || size < 3<<10 {
			t.Errorf("%d bytes", size)
		}
		if last := got.Entries[len(got.Entries)-1]; last.GetUser() != "bob" {
			t.Errorf("the failure is not the last entry, but %v", last)
		}
		if kept := len(got.Entries) - 1; got.LeftOut != 2000-kept {
			t.Errorf("%d kept, %d left out", kept, got.LeftOut)
		}
	})
}

func TestTheSampleHoldsMessagesWholeAndFailuresAlways(t *testing.T) {
	t.Parallel()
	eachAs(t, Options{Sample: 0.25, Bytes: 1 << 40}, func(t *testing.T, line *Timeline) {
		app, now := app(t), time.Now().UnixMilli()
		const messages = 1000
		step := func(i int, disposition string, attempt int32) Entry {
			return &schemasv1.Event{App: app, MsgKey: fmt.Sprint("m", i), Disposition: disposition, Attempt: attempt, TimeMs: now}
		}
		for _, disposition := range []string{"push", "delivered", "reached"} {
			var batch []Entry
			for i := range messages {
				batch = append(batch, step(i, disposition, 1))
			}
			mustAppend(t, line, batch...)
		}
		whole, absent := 0, 0
		firstAbsent := -1
		for i := range messages {
			switch n := len(mustRead(t, line, app, fmt.Sprint("m", i)).Entries); n {
			case 3:
				whole++
			case 0:
				absent++
				firstAbsent = i
			default:
				t.Errorf("m%d has %d of 3 entries", i, n)
			}
		}
		if whole < 200 || whole > 300 || whole+absent != messages {
			t.Errorf("%d whole, %d absent", whole, absent)
		}
		failures := []Entry{step(firstAbsent, "retry", 1), step(firstAbsent, "park", 1), step(firstAbsent, "drop_token", 1),
			step(firstAbsent, "dead", 1), step(firstAbsent, "delivered", 2),
			{App: app, MsgKey: fmt.Sprint("m", firstAbsent), Disposition: "delivered", Attempt: 1, Redrive: 1, TimeMs: now}}
		mustAppend(t, line, append(failures, step(firstAbsent, "filter", 1))...)
		got := mustRead(t, line, app, fmt.Sprint("m", firstAbsent))
		if diff := cmp.Diff(failures, got.Entries, protocmp.Transform()); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
		if s := line.Stats(); s.Kept != uint64(3*whole+6) || s.Sampled != uint64(3*absent+1) {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatIsOlderThanATimelineLivesIsLeftOut(t *testing.T) {
	t.Parallel()
	each(t, Options{TTL: time.Hour}, func(t *testing.T, line *Timeline) {
		app := app(t)
		mustAppend(t, line, &schemasv1.Event{App: app, MsgKey: "m", Disposition: "dead", TimeMs: time.Now().Add(-2 * time.Hour).UnixMilli()})
		if got := mustRead(t, line, app, "m"); len(got.Entries) != 0 || line.Stats().Late != 1 {
			t.Errorf("%v, %+v", got, line.Stats())
		}
	})
}

func TestADamagedTimelineIsAnError(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, line *Timeline) {
		app := app(t)
		key := nameOf(app, "m").key(failure)
		if err := line.client.Set(t.Context(), key, "\xff\xff", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := line.Read(t.Context(), app, "m"); err == nil || registry.Lasting(err) {
			t.Errorf("%v", err)
		}
		if err := line.client.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		if err := line.client.SAdd(t.Context(), key, "x").Err(); err != nil {
			t.Fatal(err)
		}
		err := line.Append(t.Context(), []Entry{{App: app, MsgKey: "m", Disposition: "dead", TimeMs: time.Now().UnixMilli()}})
		if !registry.Lasting(err) {
			t.Errorf("appending to a key of another kind: %v", err)
		}
	})
}

func TestRedisThatIsAwayIsAnErrorWorthWaitingFor(t *testing.T) {
	t.Parallel()
	line, err := Open(registry.Config{Addrs: []string{"127.0.0.1:1"}}, Options{Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = line.Append(ctx, []Entry{{App: "a", MsgKey: "m", TimeMs: time.Now().UnixMilli()}})
	if err == nil || registry.Lasting(err) {
		t.Errorf("append: %v", err)
	}
	if _, err := line.Read(ctx, "a", "m"); err == nil {
		t.Error("read: no error")
	}
	if _, err := Open(registry.Config{}, Options{}); err == nil {
		t.Error("no address is no error")
	}
}

func FuzzDecode(f *testing.F) {
	value, err := encode(&schemasv1.Event{App: "a", MsgKey: "m", User: "bob", TimeMs: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add(append(value, value...))
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, value []byte) {
		entries, err := decode(value)
		if err != nil && entries != nil {
			t.Error("an error, and entries")
		}
	})
}
