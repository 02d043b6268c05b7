package timeline

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// alone is a timeline whose Redis nobody else writes, with a clock of its own.
func alone(t *testing.T, bytes int64) (*Timeline, *atomic.Int64) {
	t.Helper()
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	clock := new(atomic.Int64)
	clock.Store(1_790_000_000_000)
	line, err := Open(registry.Config{Addrs: []string{server.Addr()}},
		Options{Bytes: bytes, Sample: 1, Now: func() time.Time { return time.UnixMilli(clock.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	return line, clock
}

// held is what Redis holds of timelines, as the books count it.
func held(t *testing.T, line *Timeline) (bytes int64, keys int) {
	t.Helper()
	for _, prefix := range []string{"er:*", "ef:*"} {
		names, err := line.client.Keys(t.Context(), prefix).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			bytes += line.client.StrLen(t.Context(), name).Val() + keyOverhead
			keys++
		}
	}
	return bytes, keys
}

// TestTheOldestGiveWay plays two days with far more messages than the budget has room for: what is there at the end is the
// newest, and all failures.
func TestTheOldestGiveWay(t *testing.T) {
	t.Parallel()
	const limit, messages = 400_000, 6000
	line, clock := alone(t, limit)
	step := func(i int, disposition string) Entry {
		return &schemasv1.Event{App: "a", MsgKey: fmt.Sprint("m", i), User: "bob", Disposition: disposition, TimeMs: clock.Load()}
	}
	for i := range messages {
		mustAppend(t, line, step(i, "push"))
		last := "delivered"
		if i%100 == 0 {
			last = "dead"
		}
		mustAppend(t, line, step(i, last))
		clock.Add((48 * time.Hour / messages).Milliseconds())
		if i%500 == 0 {
			if bytes, _ := held(t, line); bytes > limit {
				t.Fatalf("%d bytes after %d messages", bytes, i)
			}
		}
	}
	bytes, keys := held(t, line)
	s := line.Stats()
	if bytes < limit/3 || s.Bytes < bytes-limit/20 || s.Bytes > bytes+limit/20 { // here nothing expires by itself
		t.Errorf("%d bytes of %d keys are kept, %d are in the books", bytes, keys, s.Bytes)
	}
	newest := 0
	for i := messages - 1; i >= 0; i-- {
		entries := mustRead(t, line, "a", fmt.Sprint("m", i)).Entries
		routine := len(entries) > 0 && entries[0].GetDisposition() == "push"
		if routine && newest == messages-1-i {
			newest++
		} else if routine {
			t.Fatalf("m%d is there, and a newer one is not", i)
		}
		if i%100 == 0 && i > messages/2 && (len(entries) == 0 || entries[len(entries)-1].GetDisposition() != "dead") {
			t.Errorf("the failure of m%d is not there", i)
		}
	}
	if newest < 500 {
		t.Errorf("%d whole messages of %d bytes", newest, bytes)
	}
	if fields := line.client.HLen(t.Context(), booksKey).Val(); fields > 2*(parts+2) {
		t.Errorf("the books have %d fields", fields)
	}
}

// TestFailuresGiveWayToFailuresAlone: an outage, in which everything fails, stays within the budget too.
func TestFailuresGiveWayToFailuresAlone(t *testing.T) {
	t.Parallel()
	line, clock := alone(t, 200_000)
	for i := range 3000 {
		clock.Add(1)
		mustAppend(t, line, &schemasv1.Event{App: "a", MsgKey: fmt.Sprint("m", i), Disposition: "retry", TimeMs: clock.Load()})
		if i == 0 {
			mustAppend(t, line, &schemasv1.Event{App: "a", MsgKey: "quiet", Disposition: "push", TimeMs: clock.Load()})
		}
	}
	bytes, _ := held(t, line)
	if bytes > 101_000 || line.Stats().Evicted < 2000 {
		t.Errorf("%d bytes, %+v", bytes, line.Stats())
	}
	if len(mustRead(t, line, "a", "quiet").Entries) != 1 || len(mustRead(t, line, "a", "m2999").Entries) != 1 {
		t.Error("what is routine gave way to failures, or the newest failure is not there")
	}
}

// TestWhatExpiredLeavesTheBooks: after a timeline's lifetime nothing of it counts.
func TestWhatExpiredLeavesTheBooks(t *testing.T) {
	t.Parallel()
	line, clock := alone(t, 1<<20)
	mustAppend(t, line, &schemasv1.Event{App: "a", MsgKey: "old", Disposition: "push", TimeMs: clock.Load()})
	if err := line.client.HSet(t.Context(), booksKey, "9:9", "1", "x", "1", "0:x", "1", fieldOf(routine, clock.Load()), "x").Err(); err != nil {
		t.Fatal(err)
	}
	clock.Add((27 * time.Hour).Milliseconds())
	mustAppend(t, line, &schemasv1.Event{App: "a", MsgKey: "new", Disposition: "push", TimeMs: clock.Load()})
	if s := line.Stats(); s.Bytes < keyOverhead || s.Bytes > keyOverhead+100 {
		t.Errorf("%d bytes are in the books", s.Bytes)
	}
	if fields := line.client.HLen(t.Context(), booksKey).Val(); fields != 1 {
		t.Errorf("the books have %d fields", fields)
	}
}

// TestRedisTakesWhatTheBooksSay: what the server's memory grows by, on a real one.
func TestRedisTakesWhatTheBooksSay(t *testing.T) {
	t.Parallel()
	addr := os.Getenv("PUSHFLEET_TEST_REDIS")
	if addr == "" {
		t.Skip("needs a real Redis")
	}
	line, err := Open(registry.Config{Addrs: []string{addr}}, Options{Bytes: 1 << 40, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	used := func() int64 {
		info, err := line.client.Info(t.Context(), "memory").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(info, "used_memory:")
		text, _, _ = strings.Cut(text, "\r")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	app, now := app(t), time.Now().UnixMilli()
	before, booked := used(), line.Stats().Bytes
	for i := range 100 {
		var batch []Entry
		for j := range 1000 {
			key := fmt.Sprint("c2c:alice:", i, "_", j, "_1790000000")
			for _, disposition := range []string{"push", "delivered"} {
				batch = append(batch, &schemasv1.Event{App: app, MsgKey: key, User: "bob", Device: "bob-iphone", Platform: "apns",
					Id: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", Disposition: disposition, Answer: "200", TimeMs: now, ReceivedMs: now, Attempt: 1})
			}
		}
		mustAppend(t, line, batch...)
		if i == 0 {
			before, booked = used(), line.Stats().Bytes
		}
	}
	grown, written := used()-before, line.Stats().Bytes-booked
	t.Logf("100,000 messages: %d bytes of memory, %d in the books", grown, written)
	if grown > written*5/4 || grown < written/2 {
		t.Errorf("memory grew by %d bytes, the books by %d", grown, written)
	}
}
