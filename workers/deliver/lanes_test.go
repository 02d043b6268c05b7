package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestLanesAreServedByTheirWeights(t *testing.T) {
	t.Parallel()
	lane := func(s string) int { return strings.Index("unb", s[:1]) }
	for name, test := range map[string]struct {
		puts string // one character an item: urgent, normal, bulk
		want string // what 13 takes give
	}{
		"all hold items: 8, 4 and 1 of 13": {strings.Repeat("unb", 20), "unuunubunuunu"},
		"what is alone gets all":           {strings.Repeat("b", 20), "bbbbbbbbbbbbb"},
		"normal and bulk: 4 to 1":          {strings.Repeat("nb", 20), "nnbnnnnbnnnnb"},
		"few urgent ones pass first":       {"bbbbbbbbbbbbbbunn", "unnbbbbbbbbbb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWeighted([]int{8, 4, 1}, lane)
			for _, c := range test.puts {
				w.put(string(c))
			}
			got := strings.Join(w.take(13), "")
			if test.want != got {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if rest := w.len(); rest != len(test.puts)-13 || len(w.take(rest+5)) != rest || w.len() != 0 {
				t.Errorf("%d left", rest)
			}
		})
	}
}

// sent is a provider that takes a while for each push, and notes their order.
type sent struct {
	takes time.Duration

	mu    sync.Mutex
	order []string
}

func (s *sent) sender() push.Sender {
	return push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		s.mu.Lock()
		for _, n := range batch {
			s.order = append(s.order, n.ID)
		}
		s.mu.Unlock()
		time.Sleep(s.takes)
		for i := range batch {
			report(i, push.Outcome{Disposition: push.Delivered})
		}
	})
}

// at says as which push one was sent, counted from 0; -1 = not yet.
func (s *sent) at(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Index(s.order, id)
}

func (s *sent) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

func TestABulkBacklogDoesNotDelayAOneToOneMessage(t *testing.T) {
	t.Parallel()
	const backlog = 20_000
	for name, test := range map[string]struct {
		provider, registry time.Duration // what each takes for a push, or for a batch
		after              int           // how many others may be sent before
	}{
		"that waits for the provider": {provider: time.Second, after: 20},                         // the sends under way
		"that waits for the registry": {registry: time.Second, after: 3 * admitters * admitBatch}, // the questions under way, and those with it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, provider := &world{judge: test.registry}, &sent{takes: test.provider}
			run(t, w, provider.sender(), nil, func(ctx context.Context, d *Deliver) {
				bulk := make([]*stream.Record, backlog)
				for i := range bulk {
					bulk[i] = w.inLane(push.LaneBulk, fmt.Sprintf("b%d", i), fmt.Sprintf("phone-%d", i))
				}
				d.Handle(ctx, bulk)
				time.Sleep(10500 * time.Millisecond) // longer than a lease covers what waits
				for _, lane := range []push.Lane{push.LaneNormal, push.LaneUrgent} {
					before := provider.count()
					d.Handle(ctx, []*stream.Record{w.inLane(lane, string(lane), "bob")})
					time.Sleep(3 * time.Second)
					synctest.Wait()
					if at := provider.at(string(lane)); at < 0 || at > before+test.after {
						t.Errorf("the %s one was sent as number %d (-1: not at all), where %d were sent when it came, and %d may pass", lane, at, before, test.after)
					}
				}
				if n := provider.count(); n > backlog*2/3 {
					t.Fatalf("%d of the backlog were sent: there is none left to show anything", n)
				}
			})
		})
	}
}

func TestWhatWaitedLongInItsPoolAsksOnceMoreAndKeepsItsPlace(t *testing.T) {
	t.Parallel()
	w, provider := &world{}, &sent{takes: time.Second}
	const n = 400
	run(t, w, provider.sender(), nil, func(ctx context.Context, d *Deliver) {
		var all []*stream.Record
		for i := range n {
			all = append(all, w.record(fmt.Sprintf("n%d", i), fmt.Sprintf("phone-%d", i)))
		}
		d.Handle(ctx, all)
		time.Sleep(25 * time.Second) // 20 a second: the last waits for four times what a lease allows
	})
	if provider.count() != n || w.requests > 2*n {
		t.Errorf("%d sent with %d requests to the registry, want %d with two each at most", provider.count(), w.requests, n)
	}
}
