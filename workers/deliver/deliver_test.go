package deliver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything around a Deliver: a registry that admits, a Kafka that takes all, and a log of what happened.
type world struct {
	mu      sync.Mutex
	steps   []string
	admit   func(registry.AdmitRequest) registry.Admission
	poison  string        // id of a notification that the registry chokes on
	publish time.Duration // how long Kafka takes
	judge   time.Duration // how long the registry takes
	mark    time.Duration // how long it takes to mark
	stale   bool          // presence is behind
	records int64
	event   func(*schemasv1.Event) // sees every event; nil = nobody does

	asked, requests int // calls of Admit, and what they asked for

	stopped map[string]bool // "" = the platform; else app/credential
	fetches string          // pauses and resumes of the fetch, where something changed

	publishing sync.WaitGroup
	stopTook   time.Duration
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *world) happened() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.steps, "; ")
}

func (w *world) Admit(_ context.Context, requests []registry.AdmitRequest) ([]registry.Admission, error) {
	time.Sleep(w.judge)
	w.mu.Lock()
	w.asked++
	w.requests += len(requests)
	w.mu.Unlock()
	answers := make([]registry.Admission, len(requests))
	for i, r := range requests {
		if r.ID == w.poison {
			return nil, fmt.Errorf("registry: admit: %w", registry.ErrMalformed)
		}
		answers[i] = registry.Admission{Verdict: registry.Go, Badge: 7}
		if w.admit != nil {
			answers[i] = w.admit(r)
		}
	}
	return answers, nil
}

func (w *world) Settle(ctx context.Context, marks []registry.Mark) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	time.Sleep(w.mark)
	for _, m := range marks {
		maybe := ""
		if m.State == registry.MarkReleased && m.MayShow {
			maybe = ", maybe shown"
		}
		w.note("mark %s %s", m.ID, map[registry.MarkState]string{registry.MarkDone: "done", registry.MarkRetry: "retry",
			registry.MarkReleased: "released", registry.MarkDead: "dead"}[m.State]+maybe)
	}
	return nil
}

func (w *world) Publish(_ context.Context, m stream.Message, done func(error)) {
	w.note("publish %s", m.Topic)
	w.publishing.Go(func() {
		time.Sleep(w.publish)
		done(nil)
	})
}

func (w *world) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	w.note("event %s %s", e.GetId(), strings.TrimSpace(e.GetDisposition()+" "+e.GetReason()))
	if w.event != nil {
		w.event(e)
	}
	go done(nil)
}

func (w *world) hold(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stale {
		return errors.New("presence is behind")
	}
	return nil
}

func (w *world) behind(stale bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = stale
}

func (w *world) PlatformPaused(push.Platform) bool { return w.Paused("", "") }

func (w *world) Paused(app, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped[strings.Trim(app+"/"+name, "/")]
}

// stop pauses something, or lets it go on.
func (w *world) stop(what string, stop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped == nil {
		w.stopped = map[string]bool{}
	}
	w.stopped[what] = stop
}

func (w *world) Pause()  { w.turn("paused ") }
func (w *world) Resume() { w.turn("resumed ") }

// fetched is how the fetch was turned.
func (w *world) fetched() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fetches
}

func (w *world) turn(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasSuffix(w.fetches, to) {
		w.fetches += to
	}
}

// record is a work record for a device; its id names it in the log.
func (w *world) record(id, device string) *stream.Record {
	return w.inLane(push.LaneNormal, id, device)
}

func (w *world) inLane(lane push.Lane, id, device string) *stream.Record {
	n := &push.Notification{
		ID: id, App: "demo", User: "bob", Device: device, Platform: "apns", Token: "aa", Credential: "c",
		Badge: push.NoBadge, Expires: time.Now().Add(time.Hour), Received: time.Now(),
	}
	w.records++
	rec := &stream.Record{
		Topic: "push.apns." + string(lane), Offset: w.records, Key: stream.DeviceKey("demo", "bob", device),
		Value: stream.EncodeNotification(n), Headers: stream.Meta{ID: id, Lane: lane, Attempt: 1}.Headers(),
	}
	rec.OnAck(func(acked bool) {
		if acked {
			w.note("ack %s", id)
		} else {
			w.note("drop %s", id)
		}
	})
	return rec
}

// run gives a Deliver to play in a bubble of its own.
func run(t *testing.T, w *world, sender push.Sender, senderErr error, play func(ctx context.Context, d *Deliver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{
			Platform: "apns", Owner: "me", Policy: policy, SendTimeout: 10 * time.Second, Concurrency: 20, Share: 100_000,
			Weights: map[push.Lane]int{push.LaneUrgent: 8, push.LaneNormal: 4, push.LaneBulk: 1},
			Known:   func(_, name string) bool { return name == "c" }, Serves: func(p push.Platform) bool { return p == "fcm" },
			AnyForeground: func(app string) bool { return app == "family" }, Now: time.Now,
			Observe: func(*push.Notification, push.Lane, push.Outcome, time.Duration) {},
			Brake:   Brake{Rejections: 20, Share: 0.5}, Hold: w.hold,
		}, Around{Registry: w, Senders: func(string, string) (push.Sender, error) { return sender, senderErr }, Publisher: w, Events: w,
			Stops: w, Fetch: w, Logger: zap.NewNop()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		play(t.Context(), d)
		synctest.Wait()
		stopped := time.Now()
		cancel()
		<-done
		w.stopTook = time.Since(stopped)
		w.publishing.Wait()
	})
}

// answers reports one outcome for everything.
func answers(o push.Outcome) push.Sender {
	return push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		for i := range batch {
			report(i, o)
		}
	})
}

func TestOrderOfTheLastSteps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		admission *registry.Admission // nil = go
		outcome   push.Outcome
		senderErr error
		want      string
	}{
		"delivered": {outcome: push.Outcome{Disposition: push.Delivered}, want: "mark n1 done; event n1 delivered; ack n1"},
		"retry": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonNetwork},
			want:    "publish push.apns.retry.10s; mark n1 retry; event n1 retry network; ack n1",
		},
		"token gone": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered},
			want:    "publish im.devices; mark n1 done; event n1 drop_token unregistered; ack n1",
		},
		"no such credential": {
			admission: &registry.Admission{Verdict: registry.Go, Binding: &push.Binding{Platform: "apns", Credential: "other"}},
			want:      "publish push.apns.dead; mark n1 dead; event n1 dead unknown_credential; ack n1",
		},
		"key unreadable": {
			senderErr: context.DeadlineExceeded,
			want:      "publish push.apns.parked; mark n1 released; event n1 park credential_refused; ack n1",
		},
		"settled before": {admission: &registry.Admission{Verdict: registry.Done}, want: "event n1 delivered; ack n1"},
		"settled before as filtered": {
			admission: &registry.Admission{Verdict: registry.Done, Reason: push.ReasonForeground}, want: "event n1 filter foreground; ack n1",
		},
		"another has it": {
			admission: &registry.Admission{Verdict: registry.Leased}, want: "publish push.apns.retry.10s; event n1 retry leased; ack n1",
		},
		"device uses a platform that nobody serves": {
			admission: &registry.Admission{Verdict: registry.Moved, Binding: &push.Binding{Platform: "web"}},
			want:      "publish push.apns.dead; mark n1 dead; event n1 dead unknown_credential; ack n1",
		},
		"recalled": {
			admission: &registry.Admission{Verdict: registry.Filtered, Reason: push.ReasonRecalled}, want: "mark n1 done; event n1 filter recalled; ack n1",
		},
		"read elsewhere": {
			admission: &registry.Admission{Verdict: registry.Filtered, Reason: push.ReasonRead}, want: "mark n1 done; event n1 filter read; ack n1",
		},
		"its user's quiet hours": {
			admission: &registry.Admission{Verdict: registry.Filtered, Reason: push.ReasonQuietHours}, want: "mark n1 done; event n1 filter quiet_hours; ack n1",
		},
		"its first push was acknowledged": {
			admission: &registry.Admission{Verdict: registry.Filtered, Reason: push.ReasonSuperseded}, want: "event n1 filter superseded; ack n1",
		},
		"device uses another platform": {
			admission: &registry.Admission{Verdict: registry.Moved, Binding: &push.Binding{Platform: "fcm"}}, want: "publish push.fcm.normal; ack n1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			if test.admission != nil {
				w.admit = func(registry.AdmitRequest) registry.Admission { return *test.admission }
			}
			run(t, w, answers(test.outcome), test.senderErr, func(ctx context.Context, d *Deliver) {
				d.Handle(ctx, []*stream.Record{w.record("n1", "phone")})
			})
			if got := w.happened(); got != test.want {
				t.Errorf("steps\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestADeviceGetsOneAtATimeInOrderAndOthersDoNotWait(t *testing.T) {
	t.Parallel()
	w := &world{}
	slow := push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		var wg sync.WaitGroup
		for i, n := range batch {
			wg.Go(func() {
				w.note("send %s", n.ID)
				if n.Device == "slow" {
					time.Sleep(time.Second)
				}
				report(i, push.Outcome{Disposition: push.Delivered})
			})
		}
		wg.Wait()
	})
	run(t, w, slow, nil, func(ctx context.Context, d *Deliver) {
		d.Handle(ctx, []*stream.Record{w.record("s1", "slow"), w.record("s2", "slow")})
		synctest.Wait()
		d.Handle(ctx, []*stream.Record{w.record("f1", "fast")})
		synctest.Wait()
		if got, want := w.happened(), "send s1; send f1; mark f1 done; event f1 delivered; ack f1"; got != want {
			t.Errorf("while the slow one is on its way\n got %s\nwant %s", got, want)
		}
		time.Sleep(3 * time.Second)
	})
	if got := w.happened(); strings.Index(got, "send s2") < strings.Index(got, "send f1") {
		t.Errorf("steps %s: the second of the slow device did not wait for the first", got)
	}
	if !strings.HasSuffix(w.happened(), "ack s2") {
		t.Errorf("steps %s do not end with ack s2", w.happened())
	}
}

// A producer whose answer was lost writes a record twice, one right after the other.
func TestTheSameNotificationTwiceInARowIsSentOnce(t *testing.T) {
	t.Parallel()
	w := &world{mark: 100 * time.Millisecond}
	w.admit = func(registry.AdmitRequest) registry.Admission {
		if strings.Contains(w.happened(), "mark n1 done") {
			return registry.Admission{Verdict: registry.Done}
		}
		return registry.Admission{Verdict: registry.Go}
	}
	sender := push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		for i, n := range batch {
			w.note("send %s", n.ID)
			report(i, push.Outcome{Disposition: push.Delivered})
		}
	})
	run(t, w, sender, nil, func(ctx context.Context, d *Deliver) {
		d.Handle(ctx, []*stream.Record{w.record("n1", "phone"), w.record("n1", "phone")})
		time.Sleep(time.Second)
	})
	got := w.happened()
	if sent, acked := strings.Count(got, "send n1"), strings.Count(got, "ack n1"); sent != 1 || acked != 2 {
		t.Errorf("sent %d times, acknowledged %d times: %s", sent, acked, got)
	}
}

func TestNothingIsAdmittedWhilePresenceIsBehind(t *testing.T) {
	t.Parallel()
	w := &world{stale: true}
	run(t, w, answers(push.Outcome{Disposition: push.Delivered}), nil, func(ctx context.Context, d *Deliver) {
		d.Handle(ctx, []*stream.Record{w.record("n1", "phone")})
		time.Sleep(10 * time.Second)
		if w.asked > 0 || w.happened() != "" {
			t.Errorf("the registry was asked %d times, and this happened: %s", w.asked, w.happened())
		}
		w.behind(false)
		time.Sleep(time.Second)
	})
	if got, want := w.happened(), "mark n1 done; event n1 delivered; ack n1"; got != want {
		t.Errorf("once it is not\n got %s\nwant %s", got, want)
	}
}

func TestWhatIsNotStartedWhenItsGenerationEndsIsDropped(t *testing.T) {
	t.Parallel()
	w := &world{}
	run(t, w, answers(push.Outcome{Disposition: push.Delivered}), nil, func(ctx context.Context, d *Deliver) {
		ended, end := context.WithCancel(ctx)
		end()
		d.Handle(ended, []*stream.Record{w.record("n1", "phone")})
	})
	if got, want := w.happened(), "drop n1"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
}
