package retry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a waiting room and a log of what happened when.
type room struct {
	mu    sync.Mutex
	start time.Time
	steps []string
}

func (r *room) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, fmt.Sprintf("%s ", time.Since(r.start).Truncate(time.Second))+fmt.Sprintf(format, args...))
}

func (r *room) happened() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.steps, "; ")
}

func (r *room) Publish(_ context.Context, m stream.Message, done func(error)) {
	r.note("to %s", m.Topic)
	done(nil)
}

func (r *room) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	r.note("event %s", e.GetReason())
	done(nil)
}

// record was appended so long ago, expires in an hour unless expires is set, and waits for notBefore where it is set.
func (r *room) record(offset int64, ago, expires, notBefore time.Duration) *stream.Record {
	now := time.Now()
	n := &push.Notification{ID: "n", App: "demo", User: "bob", Device: "phone", Platform: "apns", Expires: now.Add(time.Hour)}
	if expires != 0 {
		n.Expires = now.Add(expires)
	}
	meta := stream.Meta{ID: "n", Lane: push.LaneUrgent, Attempt: 2}
	if notBefore != 0 {
		meta.NotBefore = now.Add(notBefore)
	}
	rec := &stream.Record{Topic: "push.apns.retry.10s", Offset: offset, Time: now.Add(-ago), Value: stream.EncodeNotification(n), Headers: meta.Headers()}
	rec.OnAck(func(acked bool) { r.note("ack %d %t", offset, acked) })
	return rec
}

func TestRecordsMoveWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records func(r *room) []*stream.Record
		want    string
	}{
		"due after the delay, back to its lane": {
			func(r *room) []*stream.Record { return []*stream.Record{r.record(1, 0, 0, 0)} },
			"10s to push.apns.urgent; 10s ack 1 true",
		},
		"appended while nobody read": {
			func(r *room) []*stream.Record { return []*stream.Record{r.record(1, time.Minute, 0, 0)} },
			"0s to push.apns.urgent; 0s ack 1 true",
		},
		"the provider wished for longer: another hop": {
			func(r *room) []*stream.Record { return []*stream.Record{r.record(1, 0, 0, 75*time.Second)} },
			"10s to push.apns.retry.1m; 10s ack 1 true",
		},
		"expired meanwhile": {
			func(r *room) []*stream.Record { return []*stream.Record{r.record(1, 0, 5*time.Second, 0)} },
			"10s event expired; 10s ack 1 true",
		},
		"a later one of another partition that is due first": {
			func(r *room) []*stream.Record {
				return []*stream.Record{r.record(1, 0, 0, 0), r.record(2, 8*time.Second, 0, 0)}
			},
			"2s to push.apns.urgent; 2s ack 2 true; 10s to push.apns.urgent; 10s ack 1 true",
		},
		"unreadable": {
			func(r *room) []*stream.Record {
				rec := r.record(1, 0, 0, 0)
				rec.Value = []byte("\xff")
				return []*stream.Record{rec}
			},
			"10s to push.apns.dead; 10s ack 1 true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, test.want, func(ctx context.Context, r *room, w *Retry) {
				w.Handle(ctx, test.records(r))
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// What failed in one moment comes back over a tenth of the delay, 2 s at most, and each record at its own time however
// often it is read.
func TestWhatFailedTogetherComesBackSpread(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ delay, most time.Duration }{
		{10 * time.Second, time.Second},
		{time.Minute, 2 * time.Second},
		{time.Hour, 2 * time.Second},
	} {
		const records, parts = 1000, 10
		var spread [parts]int
		for i := range int64(records) {
			key := []byte("demo|bob|phone")
			wait := smear(key, i, test.delay)
			if wait != smear(key, i, test.delay) {
				t.Fatalf("%s: record %d has two times", test.delay, i)
			}
			if wait < 0 || wait > test.most {
				t.Fatalf("%s: record %d waits %s longer", test.delay, i, wait)
			}
			spread[min(int(parts*wait/test.most), parts-1)]++
		}
		for part, n := range spread {
			if n < records/parts/2 || n > records/parts*3/2 {
				t.Errorf("%s: %d of %d records come in part %d of %d", test.delay, n, records, part+1, parts)
			}
		}
	}
}

func TestWhatWaitsIsDroppedWhenItsGenerationEnds(t *testing.T) {
	t.Parallel()
	play(t, "3s ack 1 false", func(ctx context.Context, r *room, w *Retry) {
		generation, end := context.WithCancel(ctx)
		w.Handle(generation, []*stream.Record{r.record(1, 0, 0, 0)})
		time.Sleep(3 * time.Second)
		end()
		time.Sleep(time.Minute)
	})
}

// play runs a waiting room for 10 s in a bubble of its own and compares what happened.
func play(t *testing.T, want string, act func(context.Context, *room, *Retry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &room{start: time.Now()}
		policy := outcome.Policy{Delays: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}}
		w := New(Config{Platform: "apns", Delay: 10 * time.Second, Policy: policy, Now: time.Now}, r, r, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		act(t.Context(), r, w)
		cancel()
		<-done
		if got := r.happened(); got != want {
			t.Errorf("steps\n got %s\nwant %s", got, want)
		}
	})
}
