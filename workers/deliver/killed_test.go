package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// estate is what outlives a process: Redis, Kafka and the provider.
type estate struct {
	reg *registry.Registry

	at atomic.Int64 // the time, in ms

	mu        sync.Mutex
	answers   []push.Outcome // of the provider, one after the other; the last one repeats
	accepted  int            // requests that showed something
	published []stream.Message
	events    []string
	offset    int64
}

func (e *estate) now() time.Time { return time.UnixMilli(e.at.Load()) }

// life is a process that is killed after so many steps: what it does later has no effect.
type life struct {
	*estate
	left int
}

// step has its effect while the process lives.
func (l *life) step(effect func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return false
	}
	l.left--
	effect()
	return true
}

func (l *life) Admit(ctx context.Context, requests []registry.AdmitRequest) (answers []registry.Admission, err error) {
	l.step(func() { answers, err = l.reg.Admit(ctx, requests) })
	return answers, err
}

func (l *life) Settle(ctx context.Context, marks []registry.Mark) (err error) {
	l.step(func() { err = l.reg.Settle(ctx, marks) })
	return err
}

func (l *life) Publish(_ context.Context, m stream.Message, done func(error)) {
	l.step(func() { l.published = append(l.published, m) })
	go done(nil)
}

func (l *life) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	l.step(func() { l.events = append(l.events, strings.TrimSpace(e.GetDisposition()+" "+e.GetReason())) })
	go done(nil)
}

func (l *life) send(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
	for i := range batch {
		var o push.Outcome
		l.step(func() {
			o = l.answers[0]
			if len(l.answers) > 1 {
				l.answers = l.answers[1:]
			}
			if o.Disposition == push.Delivered || o.Ambiguous {
				l.accepted++
			}
		})
		report(i, o)
	}
}

// handle gives a process one record, and says whether it was acknowledged.
func (l *life) handle(t *testing.T, owner string, m stream.Message) (acked bool) {
	t.Helper()
	w := &world{} // nothing is stopped, and fetching needs no source
	d := New(Config{
		Platform: "apns", Owner: owner, Policy: policy, SendTimeout: 10 * time.Second, Concurrency: 20, Share: 100,
		Known: func(string, string) bool { return true }, Serves: func(push.Platform) bool { return true },
		AnyForeground: func(string) bool { return false }, Now: l.now,
		Observe: func(*push.Notification, push.Lane, push.Outcome, time.Duration) {}, Brake: Brake{Rejections: 20, Share: 0.5},
	}, Around{Registry: l, Senders: func(string, string) (push.Sender, error) { return push.SenderFunc(l.send), nil }, Publisher: l,
		Events: l, Stops: w, Fetch: w, Logger: zap.NewNop()})
	ctx, cancel := context.WithCancel(t.Context())
	ended, read := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	l.offset++
	rec := &stream.Record{Topic: m.Topic, Offset: l.offset, Time: l.now(), Key: m.Key, Value: m.Value, Headers: m.Headers}
	rec.OnAck(func(ok bool) {
		l.step(func() { acked = ok })
		close(read)
	})
	d.Handle(ctx, []*stream.Record{rec})
	select {
	case <-read:
	case <-time.After(20 * time.Second):
		t.Error("the record was neither acknowledged nor dropped")
	}
	cancel()
	<-ended
	return acked
}

// TestKilledAfterAnyStep kills the process after each step that a notification takes, lets another process read what
// was not acknowledged once the lease is over, and follows every record that was published, each twice. Whatever the step, the
// notification ends as it would have without the kill, and nothing is left under way. It is shown a second time only where
// the process was killed between the provider's answer and the mark, or where that answer never came.
func TestKilledAfterAnyStep(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	delivered := push.Outcome{Disposition: push.Delivered}
	for name, test := range map[string]struct {
		answers []push.Outcome
		shown   []int  // by the step after which it was killed, from 1 on; the last: not killed
		follows string // topics that are written where nothing is killed
		ends    string // the last event
	}{
		"delivered": {
			answers: []push.Outcome{delivered},
			//        admit, send, mark, event, ack
			shown: []int{1, 2, 1, 1, 1}, ends: "delivered",
		},
		"failed, and delivered by the next attempt": {
			answers: []push.Outcome{{Disposition: push.Retry, Reason: push.ReasonNetwork}, delivered},
			//        admit, send, publish, mark, event, ack
			shown: []int{1, 1, 1, 1, 1, 1}, follows: "push.apns.retry.10s", ends: "delivered",
		},
		"shown without an answer, and delivered by the next attempt": {
			answers: []push.Outcome{{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Ambiguous: true}, delivered},
			shown:   []int{2, 2, 2, 2, 2, 2}, follows: "push.apns.retry.10s", ends: "delivered",
		},
		"parked, and delivered when its credential works": {
			answers: []push.Outcome{{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential}, delivered},
			shown:   []int{1, 1, 1, 1, 1, 1}, follows: "push.apns.parked", ends: "delivered",
		},
		"refused by the provider": {
			answers: []push.Outcome{{Disposition: push.Dead, Reason: push.ReasonPayloadRejected}},
			shown:   []int{0, 0, 0, 0, 0, 0}, follows: "push.apns.dead", ends: "dead payload_rejected",
		},
		"the token is gone": {
			answers: []push.Outcome{{Disposition: push.DropToken, Reason: push.ReasonBadToken}},
			shown:   []int{0, 0, 0, 0, 0, 0}, follows: "im.devices", ends: "drop_token bad_token",
		},
	} {
		for killed := 1; killed <= len(test.shown); killed++ {
			t.Run(fmt.Sprintf("%s/killed after step %d", name, killed), func(t *testing.T) {
				t.Parallel()
				e := &estate{answers: test.answers}
				e.at.Store(time.Now().UnixMilli())
				first := e.deviceOf(t, server.Addr())
				waiting := []stream.Message{first}
				l := &life{estate: e, left: killed}
				if l.handle(t, "killed", first) != (killed == len(test.shown)) {
					t.Fatalf("a record is acknowledged in %d steps, and only then", len(test.shown))
				} else if killed == len(test.shown) {
					waiting = nil
				}
				if got := topicsOf(e.published); killed == len(test.shown) && got != test.follows {
					t.Errorf("published to %q, want %q", got, test.follows)
				}
				for range 10 {
					waiting, e.published = append(waiting, comesBack(e.published)...), nil
					if len(waiting) == 0 {
						break
					}
					e.at.Add(time.Minute.Milliseconds())                // longer than any lease, and than the first delay
					for _, m := range slices.Concat(waiting, waiting) { // Kafka's answer may have been lost, and the record written again
						if l := (&life{estate: e, left: 1000}); !l.handle(t, "next", m) {
							t.Fatal("not acknowledged")
						}
					}
					waiting = nil
				}
				if len(waiting) > 0 {
					t.Error("it never ends")
				}
				if e.accepted != test.shown[killed-1] {
					t.Errorf("shown %d times, want %d", e.accepted, test.shown[killed-1])
				}
				if !slices.Contains(e.events, test.ends) {
					t.Errorf("events %q, want %q among them", e.events, test.ends)
				}
				n, _, err := stream.DecodeWork(&stream.Record{Value: first.Value, Headers: first.Headers})
				if err != nil {
					t.Fatal(err)
				}
				a, err := e.reg.Admit(t.Context(), []registry.AdmitRequest{{App: n.App, User: n.User, Device: n.Device, ID: n.ID,
					Owner: "who asks", Lease: time.Second, Attempt: 9, Platform: "apns", Version: n.Version}})
				if err != nil {
					t.Fatal(err)
				}
				if a[0].Verdict != registry.Done {
					t.Errorf("it could be sent again: %+v", a[0])
				}
			})
		}
	}
}

// deviceOf logs a device in that is this test's own, and returns a work record for it.
func (e *estate) deviceOf(t *testing.T, redis string) stream.Message {
	t.Helper()
	reg, err := registry.Open(registry.Config{Addrs: []string{redis}}, registry.Options{Now: e.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.reg = reg
	token, credential := "aa", "c"
	login := registry.DeviceEvent{App: t.Name(), User: "bob", Device: "phone", Event: registry.EventLogin, EventTime: e.now().Add(-time.Hour),
		Platform: "apns", Token: &token, Credential: &credential}
	background := registry.DeviceEvent{App: t.Name(), User: "bob", Device: "phone", Event: registry.EventBackground, EventTime: e.now().Add(-time.Minute)}
	applied, err := reg.Apply(t.Context(), []registry.DeviceEvent{login, background})
	if err != nil {
		t.Fatal(err)
	}
	n := &push.Notification{ID: "n1", App: t.Name(), User: "bob", Device: "phone", Platform: "apns", Token: token, Credential: credential,
		MsgKey: "c2c:alice:1_1_1", Badge: push.NoBadge, Expires: e.now().Add(24 * time.Hour), Received: e.now()}
	n.Version = applied[0].States[0].Binding.Version
	return stream.Message{Topic: "push.apns.normal", Key: stream.DeviceKey(n.App, n.User, n.Device), Value: stream.EncodeNotification(n),
		Headers: stream.Meta{ID: n.ID, Lane: push.LaneNormal, Attempt: 1, FirstSeen: e.now()}.Headers()}
}

// comesBack are the records that retry and parked topics give back to their lane.
func comesBack(published []stream.Message) []stream.Message {
	return slices.DeleteFunc(slices.Clone(published), func(m stream.Message) bool {
		return !strings.Contains(m.Topic, ".retry.") && !strings.HasSuffix(m.Topic, ".parked")
	})
}

func topicsOf(published []stream.Message) string {
	var topics []string
	for _, m := range published {
		topics = append(topics, m.Topic)
	}
	return strings.Join(topics, " ")
}
