package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// notificationID is the first push's, for one of bob's devices.
func notificationID(f *fixture, msgKey, device string) string {
	return message.NotificationID(f.app, msgKey, "bob", device, push.PurposeFirst)
}

// "A recalled message withdraws what is queued."
func testRow24RecalledWhileQueued(t *testing.T, f *fixture) {
	f.phone()
	f.apply(f.event(EventToken, 5, token("aa"), service(true))) // so that there is a fallback
	const key = "group:team:1_2"
	ref := MessageRef{App: f.app, Key: key, Origin: "im.messages/0/1"}
	if _, err := f.Messages(t.Context(), []MessageRef{ref}); err != nil {
		t.Fatal(err)
	}
	about := func(purpose string) func(*AdmitRequest) {
		return func(q *AdmitRequest) {
			q.MsgKey, q.Message, q.Purpose, q.First = key, MessageRef{App: f.app, Key: key}, purpose, "first"
			q.Version = 2
		}
	}
	sent := f.request("first", about(push.PurposeFirst))
	if got := f.admit(sent)[0]; got.Verdict != Go {
		t.Fatalf("before the recall: %s %s", got.Verdict, got.Reason)
	}
	f.settle(sent, MarkDone, "")
	if _, err := f.Recall(t.Context(), MessageRef{App: f.app, Key: key}, f.now); err != nil {
		t.Fatal(err)
	}
	other := f.request("another message", func(q *AdmitRequest) {
		q.MsgKey, q.Message, q.Version = "group:team:3_4", MessageRef{App: f.app, Key: "group:team:3_4"}, 2
	})
	for _, row := range []struct {
		name string
		q    AdmitRequest
		want Admission
	}{
		{"queued", f.request("queued", about(push.PurposeFirst)), Admission{Verdict: Filtered, Reason: push.ReasonRecalled, Badge: push.NoBadge}},
		{"its fallback", f.request("fallback", about(push.PurposeFallback)), Admission{Verdict: Filtered, Reason: push.ReasonRecalled, Badge: push.NoBadge}},
		{"what replaces it", f.request("recall", about(push.PurposeRecall)), Admission{Verdict: Go, Badge: push.NoBadge}},
		{"delivered before", sent, Admission{Verdict: Done, Badge: push.NoBadge}},
		{"another message", other, Admission{Verdict: Go, Badge: push.NoBadge}},
	} {
		if diff := cmp.Diff(row.want, f.admit(row.q)[0]); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
		again := row.want
		if again.Verdict == Filtered {
			again.Verdict = Done
		}
		if diff := cmp.Diff(again, f.admit(row.q)[0]); diff != "" {
			t.Errorf("%s, again: %s", row.name, diff)
		}
	}
}

// What a recall withdraws does not count, whether its push or what asks for the shown ones comes first, or that never does.
func testRow24RecalledDoesNotCount(t *testing.T, f *fixture) {
	f.phone()
	for i, row := range []struct {
		name  string
		steps string // d = decided, a = admitted, D = delivered, R = recalled, s = asked who was shown it
		want  int    // of 4 unread
	}{
		{"withheld alone", "dRa", 4},
		{"withheld twice", "dRaa", 4},
		{"shown, then withheld", "dRsa", 4},
		{"withheld, then shown", "dRas", 4},
		{"recalled while it was decided", "Rsda", 4},
		{"sent before", "daDRa", 5},
		{"sent before, and taken back", "daDRs", 4},
	} {
		f.apply(f.event(EventBackground, float64(100+10*i), unread(4)))
		f.now = at(float64(105 + 10*i))
		q := f.message()
		ref := MessageRef{App: f.app, Key: q.MsgKey}
		sent := f.request("recalled "+row.name, func(a *AdmitRequest) { a.MsgKey, a.Message = q.MsgKey, ref })
		for _, step := range row.steps {
			var err error
			switch step {
			case 'd':
				f.decide(q)
			case 'a':
				f.admit(sent)
			case 'D':
				f.settle(sent, MarkDone, "")
			case 'R':
				_, err = f.Recall(t.Context(), ref, f.now)
			case 's':
				_, err = f.Shown(t.Context(), []DecideRequest{q})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := f.shown(t).Badge; got != row.want {
			t.Errorf("%s: the badge is %d, want %d", row.name, got, row.want)
		}
	}
	f.apply(f.event(EventBackground, 300, unread(0)))
	f.now = at(305)
	q := f.message()
	first := f.request("the only one", func(a *AdmitRequest) { a.MsgKey = q.MsgKey })
	f.decide(q)
	f.admit(first)
	f.settle(first, MarkDone, "")
	if _, err := f.Shown(t.Context(), []DecideRequest{q}); err != nil {
		t.Fatal(err)
	}
	replacement := f.request("in its place", func(a *AdmitRequest) { a.MsgKey, a.Purpose, a.First = q.MsgKey, push.PurposeRecall, first.ID })
	if got := f.admit(replacement)[0]; got.Verdict != Go || got.Badge != 0 {
		t.Errorf("what replaces the only message: %s with the badge %d, want 0, which takes it off the icon", got.Verdict, got.Badge)
	}
}

// "Replace or withdraw a shown notification": what replaces it goes only where it may have been shown.
func testRow24ReplacesWhatWasShown(t *testing.T, f *fixture) {
	f.phone()
	for _, row := range []struct {
		name  string
		first func(q AdmitRequest)
		want  Verdict
	}{
		{"never admitted", func(AdmitRequest) {}, Filtered},
		{"delivered", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkDone, "") }, Go},
		{"being sent", func(q AdmitRequest) { f.admit(q) }, Leased},
		{"only queued", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkReleased, "") }, Filtered},
		{"to be tried again, it was refused", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkRetry, push.ReasonProviderUnavailable) }, Filtered},
		{"to be tried again, nobody answered", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkRetry, push.ReasonTimeout, mayShow) }, Go},
		{"given back, nobody answered", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkReleased, push.ReasonTimeout, mayShow) }, Go},
		{"nobody answered, then refused", func(q AdmitRequest) {
			f.admit(q)
			f.settle(q, MarkRetry, push.ReasonTimeout, mayShow)
			q.Attempt++
			f.admit(q)
			f.settle(q, MarkRetry, push.ReasonProviderUnavailable)
		}, Go},
		{"nobody answered, then dead", func(q AdmitRequest) {
			f.admit(q)
			f.settle(q, MarkRetry, push.ReasonTimeout, mayShow)
			q.Attempt++
			f.admit(q)
			f.settle(q, MarkDead, push.ReasonAttemptsExhausted)
		}, Go},
		{"nobody answered, then filtered", func(q AdmitRequest) {
			f.admit(q)
			f.settle(q, MarkRetry, push.ReasonTimeout, mayShow)
			f.wish(wishes{off: true})
			q.Attempt++
			f.admit(q)
			f.wish(wishes{})
		}, Go},
		{"its process died", func(q AdmitRequest) { f.admit(q); f.now = f.now.Add(q.Lease) }, Go},
		{"its process died, then it was refused", func(q AdmitRequest) {
			f.admit(q)
			f.now = f.now.Add(q.Lease)
			q.Owner = "you"
			f.admit(q)
			f.settle(q, MarkRetry, push.ReasonProviderUnavailable)
		}, Go},
		{"filtered", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkDone, push.ReasonExpired) }, Filtered},
		{"its token was dead", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkDone, push.ReasonUnregistered) }, Filtered},
		{"dead", func(q AdmitRequest) { f.admit(q); f.settle(q, MarkDead, push.ReasonTooLarge) }, Filtered},
	} {
		first := f.request("first, " + row.name)
		row.first(first)
		q := f.request("recall, "+row.name, func(q *AdmitRequest) { q.Purpose, q.First = push.PurposeRecall, first.ID })
		got := f.admit(q)[0]
		if got.Verdict != row.want || (row.want == Filtered && got.Reason != push.ReasonRecalled) {
			t.Errorf("%s: %s %s, want %s", row.name, got.Verdict, got.Reason, row.want)
		}
		if got.Verdict == Leased {
			f.now = f.now.Add(got.LeaseLeft)
			if got := f.admit(q)[0]; got.Verdict != Go {
				t.Errorf("%s, after the lease: %s", row.name, got.Verdict)
			}
		}
	}
}

// The devices to which a recalled message was pushed, with the number that is left.
func testRow24Shown(t *testing.T, f *fixture) {
	f.phone()
	f.apply(f.event(EventLogin, 9, token("bb"), of("bob", "desktop")), f.event(EventBackground, 6, unread(4)))
	first := f.message(func(q *DecideRequest) { q.MsgKey, q.ContentKey = "c2c:alice:1_2_3", "c2c:alice:1_2_3_ffffffff" })
	other := first
	other.Origin, other.Claim.Content = "im.messages/0/other", "ffffffff"
	f.decide(first, other) // 6
	f.apply(f.event(EventToken, 11, token("new")))
	shown := func(q DecideRequest) Decision {
		t.Helper()
		got, err := f.Shown(t.Context(), []DecideRequest{q})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	desktop := DeviceDecision{Device: "desktop", Binding: push.Binding{Platform: "apns", Token: "bb", Version: 1}, Reason: push.ReasonForeground, Badge: push.NoBadge}
	phone := DeviceDecision{Device: "phone", Binding: push.Binding{Platform: "apns", Token: "new", Version: 2}, Push: true, Reason: push.ReasonBackground}
	for _, row := range []struct {
		name  string
		q     DecideRequest
		other bool
		badge int
	}{
		{"the other content", other, true, 5},
		{"again", other, true, 5},
		{"the first content", first, false, 4},
	} {
		phone.Badge = row.badge
		want := Decision{Status: Replay, OtherContent: row.other, Devices: []DeviceDecision{desktop, phone}}
		got := shown(row.q)
		got.Devices[0].Badge = push.NoBadge // it has no push
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
	unknown := first
	unknown.Origin = "im.messages/0/unknown"
	for name, q := range map[string]DecideRequest{"another origin": unknown, "another message": f.message(), "another user": f.message(func(q *DecideRequest) { q.User = "nobody" })} {
		if diff := cmp.Diff(Decision{}, shown(q)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A device's own service takes offline messages, and FCM is the fallback where it does not acknowledge in time.
func testServiceChannel(t *testing.T, f *fixture) {
	const key = "c2c:alice:1_2_3"
	yes := true
	fcm := func(e *DeviceEvent) { e.Platform = "fcm" }
	f.apply(f.event(EventLogin, 0, token("aa"), fcm, func(e *DeviceEvent) { e.Service = &yes }), f.event(EventBackground, 5),
		f.event(EventLogin, 0, token("bb"), fcm, of("bob", "plain")), f.event(EventBackground, 5, of("bob", "plain")),
		f.event(EventLogin, 0, token("handle"), of("bob", "handle"), func(e *DeviceEvent) { e.Platform = "service" }),
		f.event(EventBackground, 5, of("bob", "handle")))
	f.now = at(10)
	ask := func(id string, platform push.Platform, change ...func(*AdmitRequest)) AdmitRequest {
		q := f.request(id, change...)
		q.Platform, q.MsgKey = platform, key
		return q
	}
	fallbackOf := func(first string) func(*AdmitRequest) {
		return func(q *AdmitRequest) { q.Purpose, q.First = push.PurposeFallback, first }
	}
	acknowledge := func(device string) {
		t.Helper()
		err := f.Acknowledge(t.Context(), []Receipt{{App: f.app, User: "bob", Device: device, Kind: ReceiptAcknowledged, MsgKey: key, Time: f.now}})
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name string, q AdmitRequest, verdict Verdict, reason push.Reason) {
		t.Helper()
		if got := f.admit(q)[0]; got.Verdict != verdict || got.Reason != reason {
			t.Errorf("%s: %s %s, want %s %s", name, got.Verdict, got.Reason, verdict, reason)
		}
	}
	expect("to a device without a service", ask("1", "service", on("plain")), Moved, "")
	expect("to a device that is nothing else", ask("2", "service", on("handle")), Go, "")
	expect("which has no fallback", ask("3", "fcm", on("handle"), fallbackOf("2")), Filtered, push.ReasonSuperseded)
	expect("queued for FCM before the device had a service", ask("4", "fcm"), Go, "")

	first := ask(notificationID(f, key, "phone"), "service")
	expect("the service's", first, Go, "")
	f.settle(first, MarkDone, "")
	expect("no acknowledgement in time", ask("5", "fcm", fallbackOf(first.ID)), Go, "")
	expect("a recall before one", ask("5 recalled", "fcm", func(q *AdmitRequest) { q.Purpose, q.First = push.PurposeRecall, first.ID }), Go, "")
	acknowledge("phone")
	acknowledge("phone")
	expect("acknowledged", ask("6", "fcm", fallbackOf(first.ID)), Filtered, push.ReasonSuperseded)
	expect("acknowledged, again", ask("6", "fcm", fallbackOf(first.ID)), Done, push.ReasonSuperseded)
	expect("the first push is read again", first, Done, "")
	expect("or redriven", ask(first.ID, "service", redriven(1)), Done, "")
	for _, state := range []MarkState{MarkRetry, MarkReleased, MarkDead, MarkDone} {
		q := ask(first.ID, "service", redriven(2), attempt(9))
		f.settle(q, state, push.ReasonExpired)
		expect("a late settlement", ask("late"+string(rune('a'+state)), "fcm", fallbackOf(first.ID)), Filtered, push.ReasonSuperseded)
	}
	expect("a recall goes not to the fallback", ask("7 of the fallback", "fcm", func(q *AdmitRequest) { q.Purpose, q.First = push.PurposeRecall, first.ID }), Filtered, push.ReasonSuperseded)
	recall := func(q *AdmitRequest) { q.Purpose, q.First = push.PurposeRecall, first.ID }
	expect("a recall goes to the service, which has the message", ask("7", "service", recall), Go, "")
	expect("and not where no fallback was shown", ask("7 by FCM", "fcm", recall), Filtered, push.ReasonSuperseded)

	expect("where the first was filtered", ask("9", "fcm", fallbackOf("8")), Go, "")
	filtered := ask("10", "service")
	f.admit(filtered)
	f.settle(filtered, MarkDone, push.ReasonExpired)
	expect("its fallback is too", ask("11", "fcm", fallbackOf("10")), Filtered, push.ReasonExpired)

	// The service is turned off while the first push and its fallback are queued: one of them goes.
	off := of("bob", "off")
	f.apply(f.event(EventLogin, 0, token("cc"), fcm, service(true), off), f.event(EventBackground, 5, off))
	expect("a service", ask("12", "service", on("off")), Go, "")
	f.apply(f.event(EventToken, 6, token("cc"), fcm, service(false), off))
	expect("none any more: the first goes to FCM", ask("13", "service", on("off")), Moved, "")
	expect("there", ask("13", "fcm", on("off")), Go, "")
	expect("and its fallback nowhere", ask("14", "fcm", on("off"), fallbackOf("13")), Filtered, push.ReasonSuperseded)
	expect("a fallback before its first", ask("16", "fcm", on("off"), fallbackOf("15")), Filtered, push.ReasonSuperseded)

	// Whoever has no service acknowledges nothing.
	for _, device := range []string{"plain", "nowhere"} {
		acknowledge(device)
		expect("acknowledged without a service: "+device, ask(notificationID(f, key, "plain"), "fcm", on("plain")), Go, "")
		if n := f.client.Exists(t.Context(), markKey(userTag(f.app, "bob"), notificationID(f, key, "nowhere"))).Val(); n != 0 {
			t.Error("an unknown device's acknowledgement leaves a mark")
		}
	}

	// The acknowledgement may be faster than the mark of the send.
	soon := ask(notificationID(f, key, "handle"), "service", on("handle"))
	f.admit(soon)
	acknowledge("handle")
	f.settle(soon, MarkRetry, push.ReasonTimeout)
	expect("acknowledged before it was settled", soon, Done, "")
	if life := f.client.PTTL(t.Context(), markKey(userTag(f.app, "bob"), soon.ID)).Val(); life < 23*time.Hour || life > 24*time.Hour {
		t.Errorf("an acknowledgement is kept for %s", life)
	}
}

// A call goes where a VoIP token is, whether or not there is another; everything else does not.
func testCalls(t *testing.T, f *fixture) {
	voip := func(s string) func(*DeviceEvent) { return func(e *DeviceEvent) { e.VoIPToken = &s } }
	f.apply(f.event(EventLogin, 0, token("aa"), voip("v1")), f.event(EventBackground, 5),
		f.event(EventLogin, 0, token(""), voip("v2"), of("bob", "calls only")), f.event(EventBackground, 5, of("bob", "calls only")),
		f.event(EventLogin, 0, token("bb"), of("bob", "no calls")), f.event(EventBackground, 5, of("bob", "no calls")))
	f.now = at(10)
	const none, yes = push.ReasonNoToken, push.ReasonBackground
	for _, row := range []struct {
		kind              push.Type
		decided, admitted map[string]push.Reason
	}{
		{
			push.TypeAlert, map[string]push.Reason{"phone": yes, "calls only": none, "no calls": yes},
			map[string]push.Reason{"phone": "", "calls only": none, "no calls": ""},
		},
		{ // to the last one route writes an alert
			push.TypeVoIP, map[string]push.Reason{"phone": yes, "calls only": yes, "no calls": yes},
			map[string]push.Reason{"phone": "", "calls only": "", "no calls": none},
		},
	} {
		decided, admitted := make(map[string]push.Reason), make(map[string]push.Reason)
		for _, d := range f.decide(f.message(func(q *DecideRequest) { q.Type = row.kind }))[0].Devices {
			decided[d.Device] = d.Reason
			a := f.admit(f.request(string(row.kind)+d.Device, on(d.Device), func(q *AdmitRequest) { q.Type, q.Version = row.kind, 99 }))[0]
			admitted[d.Device] = a.Reason
			if a.Verdict == Go && a.Binding.VoIPToken != d.Binding.VoIPToken {
				t.Errorf("%s: the binding handed back has VoIP token %q", d.Device, a.Binding.VoIPToken)
			}
		}
		if diff := cmp.Diff(row.decided, decided); diff != "" {
			t.Errorf("decide, type %q: %s", row.kind, diff)
		}
		if diff := cmp.Diff(row.admitted, admitted); diff != "" {
			t.Errorf("admit, type %q: %s", row.kind, diff)
		}
	}
}
