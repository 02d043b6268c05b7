package deliver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestWhatTheRegistryCanNeverJudgeIsADeadLetterAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := &world{poison: "n2"}
	run(t, w, answers(push.Outcome{Disposition: push.Delivered}), nil, func(ctx context.Context, d *Deliver) {
		d.Handle(ctx, []*stream.Record{w.record("n1", "a"), w.record("n2", "b"), w.record("n3", "c"), w.record("n4", "d")})
		time.Sleep(time.Second)
	})
	got := w.happened()
	for _, want := range []string{"ack n1", "ack n3", "ack n4", "publish push.apns.dead", "event n2 dead invalid_message", "ack n2"} {
		if !strings.Contains(got, want) {
			t.Errorf("steps %s\nwithout %s", got, want)
		}
	}
	if strings.Contains(got, "mark n2") {
		t.Errorf("steps %s: n2 was marked, which the registry cannot do either", got)
	}
	if want := lastingTries + 2*2; w.asked > want {
		t.Errorf("the registry was asked %d times, want at most %d", w.asked, want)
	}
}

func TestWhatTheRegistryIsTold(t *testing.T) {
	t.Parallel()
	d := New(Config{Owner: "me", SendTimeout: 10 * time.Second, AnyForeground: func(app string) bool { return app == "family" }}, Around{Logger: zap.NewNop()})
	n := &push.Notification{
		ID: "n1", App: "demo", User: "bob", Device: "phone", Platform: "fcm", Version: 3,
		MsgKey: "c2c:alice:101_900001_1790000000_0a1b2c3d", CollapseID: "n0",
	}
	want := registry.AdmitRequest{
		App: "demo", User: "bob", Device: "phone", ID: "n1", Owner: "me", Lease: 20 * time.Second, Attempt: 2, Redrive: 1,
		Platform: "fcm", Version: 3, MsgKey: n.MsgKey,
		Message: registry.MessageRef{App: "demo", Key: "c2c:alice:101_900001_1790000000", Content: "0a1b2c3d"},
	}
	for name, test := range map[string]struct {
		change func(*push.Notification)
		want   func(*registry.AdmitRequest)
	}{
		"a first push": {func(*push.Notification) {}, func(*registry.AdmitRequest) {}},
		"a fallback names the first": {
			func(n *push.Notification) { n.Purpose = push.PurposeFallback },
			func(q *registry.AdmitRequest) { q.Purpose, q.First = push.PurposeFallback, "n0" },
		},
		"a sync wakes the app": {
			func(n *push.Notification) { n.Purpose, n.Type = push.PurposeSync, push.TypeBackground },
			func(q *registry.AdmitRequest) {
				q.Purpose, q.First, q.Type = push.PurposeSync, "n0", push.TypeBackground
			},
		},
		"an app in which one foreground silences all": {
			func(n *push.Notification) { n.App = "family" },
			func(q *registry.AdmitRequest) { q.App, q.Message.App, q.AnyForeground = "family", "family", true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, want := *n, want
			test.change(&n)
			test.want(&want)
			got := d.request(&item{n: &n, meta: stream.Meta{Attempt: 2, Redrive: 1}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhereANotificationGoesWhenItsDeviceChanged(t *testing.T) {
	t.Parallel()
	old := push.Notification{Token: "old", Credential: "old-key", Version: 1, Interruption: "passive"}
	call := push.Notification{Type: push.TypeVoIP, Token: "old-voip", Credential: "old-key", Version: 1}
	both := push.Binding{Platform: "apns", Token: "new", VoIPToken: "new-voip", Credential: "key", Version: 2}
	alone := push.Binding{Platform: "apns", Token: "new", Credential: "key", Version: 2}
	for name, test := range map[string]struct {
		n    push.Notification
		b    push.Binding
		want push.Notification
	}{
		"an alert":                          {old, both, push.Notification{Token: "new", Credential: "key", Version: 2, Interruption: "passive"}},
		"a call has a token of its own":     {call, both, push.Notification{Type: push.TypeVoIP, Token: "new-voip", Credential: "key", Version: 2}},
		"a call without one rings as alert": {call, alone, push.Notification{Token: "new", Credential: "key", Version: 2, Interruption: "time-sensitive"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, *rebound(&test.n, test.b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARejectedTokenIsTold(t *testing.T) {
	t.Parallel()
	n := &push.Notification{App: "demo", User: "bob", Device: "phone", Version: 3}
	call := *n
	call.Type = push.TypeVoIP
	for name, test := range map[string]struct {
		n     *push.Notification
		since time.Time
		want  string
	}{
		"with the provider's time": {n, now.Add(-time.Minute), `{"App":"demo","User":"bob","Device":"phone","Event":"token_rejected","EventTime":1789999940000,"Version":3,"Reason":"unregistered"}`},
		"now, where it gave none":  {n, time.Time{}, `{"App":"demo","User":"bob","Device":"phone","Event":"token_rejected","EventTime":1790000000000,"Version":3,"Reason":"unregistered"}`},
		"a call's token":           {&call, time.Time{}, `{"App":"demo","User":"bob","Device":"phone","Event":"token_rejected","EventTime":1790000000000,"Version":3,"Reason":"unregistered","PushType":"voip"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := rejected(stream.Topics{}, test.n, push.ReasonUnregistered, test.since, now)
			if m.Topic != "im.devices" || string(m.Key) != "demo|bob" {
				t.Errorf("to %s under %s", m.Topic, m.Key)
			}
			if got := string(m.Value); got != test.want {
				t.Errorf("event\n got %s\nwant %s", got, test.want)
			}
		})
	}
}
