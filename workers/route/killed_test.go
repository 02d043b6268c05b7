package route

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// unharmed is more steps than any message takes.
const unharmed = 1000

// life is a process that is killed after so many steps: what it does later has no effect.
type life struct {
	*rig
	mu   sync.Mutex
	left int
	end  context.CancelFunc // of what it waits for
}

func (l *life) step(effect func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return
	}
	effect()
	if l.left--; l.left == 0 {
		l.end()
	}
}

func (l *life) Decide(ctx context.Context, requests []registry.DecideRequest) (d []registry.Decision, err error) {
	err = context.Canceled // what a dead process asks for
	l.step(func() { d, err = l.reg.Decide(ctx, requests) })
	return d, err
}

func (l *life) Shown(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error) {
	return l.reg.Shown(ctx, requests)
}

func (l *life) Messages(ctx context.Context, refs []registry.MessageRef) (recalled []bool, err error) {
	err = context.Canceled
	l.step(func() { recalled, err = l.reg.Messages(ctx, refs) })
	return recalled, err
}

func (l *life) Recall(ctx context.Context, ref registry.MessageRef, at time.Time) ([]string, error) {
	return l.reg.Recall(ctx, ref, at)
}

func (l *life) Groups(ctx context.Context, refs []registry.GroupRef) ([]registry.GroupSize, error) {
	return l.reg.Groups(ctx, refs)
}

func (l *life) Members(ctx context.Context, app, group string, bucket, buckets int, at time.Time) ([]string, error) {
	return l.reg.Members(ctx, app, group, bucket, buckets, at)
}

func (l *life) Publish(ctx context.Context, m stream.Message, done func(error)) {
	l.step(func() { l.rig.Publish(ctx, m, func(error) {}) })
	done(nil)
}

func (l *life) Record(ctx context.Context, e *schemasv1.Event, done func(error)) {
	l.step(func() { l.rig.Record(ctx, e, func(error) {}) })
	done(nil)
}

// TestKilledAfterAnyStep kills the process after each step that a message takes, and lets another one read what was not
// acknowledged. Whatever the step, in the end the lanes and the events hold what they would hold without the kill, with
// the same numbers on the icons; some of it twice, under the same notification id.
func TestKilledAfterAnyStep(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"one-to-one":            `{"From_Account":"alice","To_Account":["bob","carol"],"MsgSeq":1,"MsgRandom":1,` + text + `}`,
		"a group":               `{"GroupId":"team","From_Account":"alice","Random":1,` + text + `}`,
		"nobody is configured":  `{"App":"other","From_Account":"alice","To_Account":"bob",` + text + `}`,
		"not to be read at all": `{"From_Account":`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, steps := killedAfter(t, value, unharmed)
			for killed := 1; killed < steps; killed++ {
				if got, _ := killedAfter(t, value, killed); !slices.Equal(got, want) {
					t.Errorf("killed after step %d of %d:\n%s\nwant\n%s", killed, steps, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}

// killedAfter returns what the topics hold when another process has done the rest, and how many steps the first one had.
func killedAfter(t *testing.T, value string, steps int) (holds []string, took int) {
	t.Helper()
	var cfg Config
	r := newRig(t, func(c *Config) { cfg = *c })
	r.device(t, "bob", "phone", 4)
	r.device(t, "bob", "pad", 0)
	r.device(t, "carol", "phone", 1)
	r.apply(t, []registry.DeviceEvent{{App: "demo", User: "carol", Device: "phone", Event: registry.EventForeground, EventTime: clock.Add(-time.Second)}})
	members := []registry.Membership{
		{App: "demo", Group: "team", User: "bob", Joined: clock.Add(-time.Hour)}, {App: "demo", Group: "team", User: "carol", Joined: clock.Add(-time.Hour)},
	}
	if err := r.reg.ApplyMemberships(t.Context(), members); err != nil {
		t.Fatal(err)
	}
	handle := func(l *life) (acked bool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l.end = cancel
		rec := &stream.Record{Topic: "im.messages", Offset: 7, Time: clock, Value: []byte(value)}
		rec.OnAck(func(ok bool) { l.step(func() { acked = ok }) })
		New(cfg, l, r, l, l, zap.NewNop()).Handle(ctx, []*stream.Record{rec})
		return acked
	}
	first := &life{rig: r, left: steps}
	if acked := handle(first); acked != (steps == unharmed) {
		t.Fatalf("after %d steps: acknowledged %t", steps, acked)
	}
	if steps < unharmed && !handle(&life{rig: r, left: unharmed}) {
		t.Fatalf("after %d steps: the next one did not acknowledge", steps)
	}
	ids := map[string]string{}
	for _, m := range r.sent {
		n, err := stream.DecodeNotification(m.Value)
		if err != nil || m.Topic != "push.apns.normal" {
			continue
		}
		if known, ok := ids[n.Device]; ok && known != n.ID {
			t.Errorf("after %d steps: %s has two notifications", steps, n.Device)
		}
		ids[n.Device] = n.ID
	}
	holds = slices.Clone(r.lines)
	slices.Sort(holds)
	return slices.Compact(holds), steps - first.left
}
