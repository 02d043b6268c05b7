package outcome

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARecordIsAcknowledgedOnceAllOfItIsDurable(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		parts []error
		want  string
	}{
		"nothing derived":  {nil, "ack"},
		"all durable":      {[]error{nil, nil}, "ack"},
		"one failed first": {[]error{broken, nil}, "broken"},
		"one failed last":  {[]error{nil, broken}, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			p := NewPending(func() { got = append(got, "ack") }, func(err error) { got = append(got, err.Error()) })
			var parts []func(error)
			for range test.parts {
				parts = append(parts, p.Add())
			}
			for i, done := range parts {
				done(test.parts[i])
			}
			if len(got) != 0 {
				t.Fatalf("%v before the last part", got)
			}
			p.Done(nil)
			if len(got) != 1 || got[0] != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	p := Policy{Delays: []time.Duration{10 * time.Second, time.Minute, time.Hour}}
	for name, test := range map[string]struct{ got, want time.Duration }{
		"first attempt":             {p.Delay(1, 0), 10 * time.Second},
		"later than the last delay": {p.Delay(9, 0), time.Hour},
		"a wish below the delay":    {p.Delay(2, time.Second), time.Minute},
		"a wish above the delay":    {p.Delay(1, 5*time.Minute), time.Minute},
		"an outage that began":      {p.Waited(2*time.Second, 0), 10 * time.Second},
		"an outage for minutes":     {p.Waited(7*time.Minute, 0), time.Minute},
		"an outage for days":        {p.Waited(50*time.Hour, time.Minute), time.Hour},
		"a hop never overshoots":    {p.Hop(59 * time.Minute), time.Minute},
		"but there is no shorter":   {p.Hop(time.Second), 10 * time.Second},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", name, test.got, test.want)
		}
	}
}

type log struct {
	mu    sync.Mutex
	packs map[int32]int // events by partition
	sent  int
}

func (l *log) Publish(_ context.Context, m stream.Message, done func(error)) {
	pack := new(schemasv1.Events)
	if err := pack.UnmarshalVT(m.Value); err != nil {
		done(err)
		return
	}
	l.mu.Lock()
	l.packs[m.Partition] += len(pack.GetEvents())
	l.sent++
	l.mu.Unlock()
	go done(nil)
}

func TestEventsOfAMessageArePackedOnItsPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{packs: map[int32]int{}}
		counted := 0
		r := NewRecorder(l, "push.events", func(context.Context) (int, error) { return 4, nil }, func(*schemasv1.Event) { counted++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		durable := 0
		var mu sync.Mutex
		for range 100 {
			r.Record(ctx, &schemasv1.Event{App: "demo", MsgKey: "k"}, func(err error) {
				if err == nil {
					mu.Lock()
					durable++
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Second)
		r.Record(ctx, &schemasv1.Event{App: "demo", MsgKey: "k"}, func(error) {})
		cancel()
		<-done
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		partition := stream.Murmur2Partition([]byte("demo|k"), 4)
		if l.packs[partition] != 101 || l.sent != 2 || durable != 100 || counted != 101 {
			t.Errorf("packs %v in %d records, %d durable, %d counted", l.packs, l.sent, durable, counted)
		}
	})
}
