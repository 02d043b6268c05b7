package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func voip(value string) func(*DeviceEvent) {
	return func(e *DeviceEvent) { e.VoIPToken = &value }
}

func service(on bool) func(*DeviceEvent) {
	return func(e *DeviceEvent) { e.Service = &on }
}

// "Store, replace and clear device bindings": the token for calls and the device's own service are parts of the binding
// like the others, kept where an event does not name them; an empty token turns all push off.
func testRow1VoIPTokenAndService(t *testing.T, f *fixture) {
	binding := func(version int64, token, voip string, change ...func(*push.Binding)) push.Binding {
		b := push.Binding{Platform: "apns", Token: token, VoIPToken: voip, Version: version}
		for _, c := range change {
			c(&b)
		}
		return b
	}
	fcm := func(e *DeviceEvent) { e.Platform = "fcm" }
	own := func(e *DeviceEvent) { e.Platform = push.Platform("service") }
	android := func(b *push.Binding) { b.Platform = "fcm" }
	served := func(b *push.Binding) { b.Platform, b.Service = "fcm", true }
	for i, step := range []struct {
		name   string
		event  DeviceEvent
		want   push.Binding
		reason push.Reason // of a message, not a call
	}{
		{"both tokens", f.event(EventLogin, 0, token("aa"), voip("vv")), binding(1, "aa", "vv"), push.ReasonForeground},
		{"a login that names one keeps the other", f.event(EventLogin, 0, token("bb")), binding(2, "bb", "vv"), push.ReasonForeground},
		{"a token event may bring the call's alone", f.event(EventToken, 0, voip("ww")), binding(3, "bb", "ww"), push.ReasonForeground},
		{"the same again", f.event(EventToken, 0, voip("ww")), binding(3, "bb", "ww"), push.ReasonForeground},
		{"no more calls", f.event(EventToken, 0, voip("")), binding(4, "bb", ""), push.ReasonForeground},
		{"calls again", f.event(EventToken, 0, voip("xx")), binding(5, "bb", "xx"), push.ReasonForeground},
		{"an empty token turns off both", f.event(EventToken, 0, token("")), binding(6, "", ""), push.ReasonNoToken},
		{"calls and nothing else", f.event(EventToken, 0, token(""), voip("yy")), binding(7, "", "yy"), push.ReasonNoToken},
		{"another platform has no token of this one's calls", f.event(EventLogin, 0, token("cc"), fcm), binding(8, "cc", "", android), push.ReasonForeground},
		{"unless it names one", f.event(EventToken, 0, token("dd"), voip("zz")), binding(9, "dd", "zz"), push.ReasonForeground},
		{"a platform alone, in a token event", f.event(EventToken, 0, token("dd"), fcm), binding(10, "dd", "", android), push.ReasonForeground},
		{"its own service, FCM for the rest", f.event(EventLogin, 0, token("cc"), fcm, service(true)), binding(11, "cc", "", served), push.ReasonForeground},
		{"which stays", f.event(EventLogin, 0, token("cc"), fcm), binding(11, "cc", "", served), push.ReasonForeground},
		{"until it ends", f.event(EventToken, 0, token("cc"), fcm, service(false)), binding(12, "cc", "", android), push.ReasonForeground},
		{"nothing but its own service", f.event(EventLogin, 0, token("h1"), own, service(true)), binding(13, "h1", "", func(b *push.Binding) { b.Platform = push.Platform("service") }), push.ReasonForeground},
	} {
		step.event.EventTime = at(float64(i))
		f.now = at(float64(i))
		states := f.apply(step.event)[0].States
		want := State{App: f.app, User: "bob", Device: "phone", Binding: step.want, EventTime: f.now}
		if diff := cmp.Diff([]State{want}, states); diff != "" {
			t.Errorf("%s: to be written: %s", step.name, diff)
		}
		if diff := cmp.Diff(want, StateOf(want.Record())); diff != "" {
			t.Errorf("%s: as a record: %s", step.name, diff)
		}
		got := f.decide(f.message())[0].Devices[0]
		if diff := cmp.Diff(step.want, got.Binding); diff != "" || got.Reason != step.reason {
			t.Errorf("%s: %s, want %s; %s", step.name, got.Reason, step.reason, diff)
		}
		shown, err := f.Devices(t.Context(), f.app, "bob")
		if err != nil {
			t.Fatal(err)
		}
		public := step.want
		public.Token, public.VoIPToken = "", ""
		if diff := cmp.Diff(public, shown[0].Binding); diff != "" {
			t.Errorf("%s: shown: %s", step.name, diff)
		}
		if shown[0].TokenHash != TokenHash(step.want.Token) || shown[0].VoIPTokenHash != TokenHash(step.want.VoIPToken) {
			t.Errorf("%s: shown hashes %q and %q", step.name, shown[0].TokenHash, shown[0].VoIPTokenHash)
		}
	}
}

// "A token belongs to one user at a time", the one for calls too, and whoever loses the installation's token loses both.
func testRow1VoIPTokenMoves(t *testing.T, f *fixture) {
	tokens := func(user, device string) [2]string {
		b := f.binding(user, device).Binding
		return [2]string{b.Token, b.VoIPToken}
	}
	check := func(name, user, device string, want ...string) {
		t.Helper()
		if got := tokens(user, device); got != [2]string(want) {
			t.Errorf("%s: %s has %q, want %q", name, user, got, want)
		}
	}
	f.apply(f.event(EventLogin, 10, token("aa"), voip("vv")))
	carol := f.event(EventLogin, 20, token("bb"), voip("vv"), of("carol", "phone"))
	for _, try := range []string{"first", "again, after a crash"} {
		states := f.apply(carol)[0].States
		if len(states) != 2 || states[1].User != "bob" || states[1].Binding.VoIPToken != "" || states[1].Binding.Token != "aa" {
			t.Errorf("%s: %+v", try, states)
		}
		check(try, "bob", "phone", "aa", "")
		check(try, "carol", "phone", "bb", "vv")
	}
	if states := f.apply(f.event(EventLogin, 10, token("aa"), voip("vv")))[0].States; len(states) != 1 || states[0].Binding.VoIPToken != "" {
		t.Errorf("the old login again: %+v", states)
	}
	check("the old login again", "bob", "phone", "aa", "")

	// Both tokens at once, from two owners.
	f.apply(f.event(EventToken, 30, token("cc"), voip("ww")))
	states := f.apply(f.event(EventLogin, 40, token("cc"), voip("vv"), of("dave", "phone")))[0].States
	if len(states) != 3 || states[0].User != "dave" {
		t.Errorf("dave takes from two: %+v", states)
	}
	check("took both", "dave", "phone", "cc", "vv")
	check("lost the installation", "bob", "phone", "", "")
	check("lost calls", "carol", "phone", "bb", "")

	// The event that comes too late loses both, and says so once.
	late := f.apply(f.event(EventToken, 35, token("cc"), voip("vv"), of("erin", "phone")))[0].States
	if len(late) != 1 || late[0].Binding.Token != "" || late[0].Binding.VoIPToken != "" {
		t.Errorf("too late: %+v", late)
	}
	// Back and forth within one batch.
	f.apply(f.event(EventToken, 50, voip("x")), f.event(EventToken, 51, voip("x"), of("carol", "phone")), f.event(EventToken, 52, voip("x")))
	check("back and forth", "bob", "phone", "", "x")
	check("back and forth", "carol", "phone", "bb", "")
	// A later event about other things does not make the token younger than it is.
	f.apply(f.event(EventLogin, 70))
	f.apply(f.event(EventToken, 60, voip("x"), of("carol", "phone")))
	check("named before the login", "bob", "phone", "", "")
	check("named before the login", "carol", "phone", "bb", "x")
	// The same text is another token where it is of the other kind.
	f.apply(f.event(EventToken, 80, token("x"), of("frank", "phone")))
	check("of another kind", "carol", "phone", "bb", "x")
}

// "Forget tokens the provider rejects": a call's token goes alone, and only in the version that was tried.
func testRow20RejectedVoIPToken(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 10, token("aa"), voip("vv")))
	call := func(e *DeviceEvent) { e.PushType = push.TypeVoIP }
	for _, step := range []struct {
		name  string
		event DeviceEvent
		want  push.Binding
	}{
		{"another version", f.event(EventTokenRejected, 11, version(7), call), push.Binding{Token: "aa", VoIPToken: "vv", Version: 1}},
		{"this version", f.event(EventTokenRejected, 11, version(1), call), push.Binding{Token: "aa", Version: 2}},
		{"again", f.event(EventTokenRejected, 11, version(1), call), push.Binding{Token: "aa", Version: 2}},
		{"a repeat of the login", f.event(EventLogin, 10, token("aa"), voip("vv")), push.Binding{Token: "aa", Version: 2}},
		{"a new one", f.event(EventToken, 12, voip("ww")), push.Binding{Token: "aa", VoIPToken: "ww", Version: 3}},
		{"the other token leaves it", f.event(EventTokenRejected, 13, version(3)), push.Binding{VoIPToken: "ww", Version: 4}},
		{"it too", f.event(EventTokenRejected, 14, version(4), call), push.Binding{Version: 5}},
		{"none is left", f.event(EventTokenRejected, 15, version(5), call), push.Binding{Version: 5}},
	} {
		states := f.apply(step.event)[0].States
		step.want.Platform = "apns"
		if diff := cmp.Diff(step.want, f.binding("bob", "phone").Binding); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		if step.event.Event == EventLogin {
			continue // older than what the rejection left: nothing to be written
		}
		if len(states) != 1 || !cmp.Equal(step.want, states[0].Binding) {
			t.Errorf("%s: to be written: %+v", step.name, states)
		}
	}
}

func testRestoredVoIPToken(t *testing.T, f *fixture) {
	lost := StateOf(&schemasv1.DeviceState{
		App: f.app, User: "bob", Device: "phone", Platform: "fcm", Token: "aa", VoipToken: "vv", Service: true, Version: 4, EventTimeMs: at(10).UnixMilli(),
	})
	if err := f.Restore(t.Context(), []State{lost}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lost, f.binding("bob", "phone")); diff != "" {
		t.Error(diff)
	}
	f.apply(f.event(EventToken, 20, token("bb"), voip("vv"), of("carol", "phone")))
	if got := f.binding("bob", "phone").Binding; got.VoIPToken != "" || got.Token != "aa" {
		t.Errorf("a restored token is taken away: %+v", got)
	}
}
