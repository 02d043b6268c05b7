package registry

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// "Store, replace and clear device bindings: user, device, platform, token, certificate id, language."
func testRow1Bindings(t *testing.T, f *fixture) {
	language := "ja"
	fcm := func(e *DeviceEvent) { e.Platform = "fcm" }
	bound := func(token, credential, language string, platform push.Platform, version int64, out bool, seconds float64) []State {
		return []State{{
			App: f.app, User: "bob", Device: "phone", LoggedOut: out, EventTime: at(seconds),
			Binding: push.Binding{Platform: platform, Token: token, Credential: credential, Language: language, Version: version},
		}}
	}
	for _, step := range []struct {
		name  string
		event DeviceEvent
		want  []State
	}{
		{"login", f.event(EventLogin, 10, token("aa"), credential("main")), bound("aa", "main", "", "apns", 1, false, 10)},
		{"the same login again", f.event(EventLogin, 10, token("aa"), credential("main")), bound("aa", "main", "", "apns", 1, false, 10)},
		{"an older login", f.event(EventLogin, 9, token("zz")), nil},
		{"a login without a token keeps it", f.event(EventLogin, 20), bound("aa", "main", "", "apns", 1, false, 20)},
		{"a language", f.event(EventLogin, 21, func(e *DeviceEvent) { e.Language = &language }), bound("aa", "main", "ja", "apns", 2, false, 21)},
		{"a token of the known platform", f.event(EventToken, 22, token("bb"), func(e *DeviceEvent) { e.Platform = "" }), bound("bb", "main", "ja", "apns", 3, false, 22)},
		{"at one time the later holds", f.event(EventToken, 22, token("cc"), fcm), bound("cc", "main", "ja", "fcm", 4, false, 22)},
		{"presence concerns no binding", f.event(EventForeground, 23), nil},
		{"logout", f.event(EventLogout, 24), bound("cc", "main", "ja", "fcm", 5, true, 24)},
		{"kicked", f.event(EventKicked, 25), bound("cc", "main", "ja", "fcm", 5, true, 25)},
		{"a token does not log in", f.event(EventToken, 26, token("dd"), fcm), bound("dd", "main", "ja", "fcm", 6, true, 26)},
		{"login", f.event(EventLogin, 27), bound("dd", "main", "ja", "fcm", 7, false, 27)},
		{"an empty token", f.event(EventToken, 28, token(""), fcm), bound("", "main", "ja", "fcm", 8, false, 28)},
		{"an older logout", f.event(EventLogout, 27.5), nil},
	} {
		if diff := cmp.Diff(step.want, f.apply(step.event)[0].States); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	first := f.apply(f.event(EventToken, 1, token("t"), of("carol", "phone")))[0].States
	if len(first) != 1 || first[0].LoggedOut || first[0].Binding.Version != 1 {
		t.Errorf("a token whose login was lost: %+v", first)
	}
	gone := f.apply(f.event(EventLogout, 1, of("dave", "phone")), f.event(EventLogin, 0, of("dave", "phone")))
	if len(gone[0].States) != 1 || !gone[0].States[0].LoggedOut || gone[1].States != nil {
		t.Errorf("a login that comes after its logout: %+v", gone)
	}
}

// What the HTTP api applied at once comes again through the topic, and again after a crash.
func testRepeatedEvents(t *testing.T, f *fixture) {
	events := []DeviceEvent{
		f.event(EventLogin, 10, token("aa")), f.event(EventBackground, 11), f.event(EventLogin, 12, token("aa"), of("carol", "phone")),
		f.event(EventToken, 13, token("bb")), f.event(EventTokenRejected, 14, version(3)), f.event(EventLogout, 15),
	}
	for i := range events {
		f.apply(events[i])
	}
	bob, carol := f.binding("bob", "phone"), f.binding("carol", "phone")
	for i := range events {
		f.apply(events[i])
	}
	f.apply(events...)
	for range 20 {
		f.apply(events[rand.IntN(len(events))])
	}
	if diff := cmp.Diff([]State{bob, carol}, []State{f.binding("bob", "phone"), f.binding("carol", "phone")}); diff != "" {
		t.Errorf("repeats change the bindings: %s", diff)
	}
	if !bob.LoggedOut || bob.Binding.Token != "" || carol.Binding.Token != "aa" {
		t.Errorf("bob %+v, carol %+v", bob, carol)
	}
}

func testTokenMoves(t *testing.T, f *fixture) {
	bob := f.event(EventLogin, 10, token("shared"))
	carol := f.event(EventLogin, 20, token("shared"), of("carol", "phone"))
	f.apply(bob)
	for _, try := range []string{"first", "again, after a crash"} {
		got := f.apply(carol)[0].States
		if len(got) != 2 || got[0].User != "carol" || got[0].Binding.Token != "shared" || got[0].Binding.Version != 1 {
			t.Fatalf("%s: %+v", try, got)
		}
		if former := got[1]; former.User != "bob" || former.Binding.Token != "" || former.Binding.Version != 2 {
			t.Errorf("%s: the former owner: %+v", try, former)
		}
	}
	if got := f.apply(bob)[0].States; len(got) != 1 || got[0].Binding.Token != "" {
		t.Errorf("the old login again brings the token back: %+v", got)
	}
	if got := f.reason(); got != push.ReasonNoToken {
		t.Errorf("bob: %s", got)
	}
	// Another device of the same user is another owner too.
	got := f.apply(f.event(EventLogin, 30, token("shared"), of("carol", "phone after a reinstall")))[0].States
	if len(got) != 3 || got[1].Device != "phone" || got[1].Binding.Token != "" {
		t.Errorf("reinstalled: %+v", got)
	}
	// A former owner that has another token by now keeps it.
	f.apply(f.event(EventToken, 31, token("own")))
	f.apply(f.event(EventLogin, 32, token("shared"), of("dave", "phone")))
	if got := f.binding("bob", "phone").Binding.Token; got != "own" {
		t.Errorf("bob lost another token: %q", got)
	}
	// Apple's tokens are bytes: capitals or not, it is one token, and it stays as it was given.
	f.apply(f.event(EventLogin, 33, token("00AbCdEf"), of("eve", "phone")), f.event(EventLogin, 34, token("00aBcDeF"), of("fay", "phone")))
	if eve, fay := f.binding("eve", "phone").Binding.Token, f.binding("fay", "phone").Binding.Token; eve != "" || fay != "00aBcDeF" {
		t.Errorf("a token in other letters: eve has %q, fay has %q", eve, fay)
	}
	// Google's are text.
	f.apply(f.event(EventLogin, 35, token("x:AbC"), of("gus", "phone")), f.event(EventLogin, 36, token("x:aBc"), of("hal", "phone")))
	if gus, hal := f.binding("gus", "phone").Binding.Token, f.binding("hal", "phone").Binding.Token; gus != "x:AbC" || hal != "x:aBc" {
		t.Errorf("another token: gus has %q, hal has %q", gus, hal)
	}
	// A logged-out device loses it too: a login without a token must not find it again.
	f.apply(f.event(EventLogout, 40, of("dave", "phone")), f.event(EventLogin, 41, token("shared")), f.event(EventLogin, 42, of("dave", "phone")))
	if got := f.binding("dave", "phone").Binding.Token; got != "" {
		t.Error("dave found his old token again")
	}
}

func testTokenMovesInAnyOrder(t *testing.T, f *fixture) {
	bob := f.event(EventLogin, 10, token("shared"))
	carol := f.event(EventLogin, 20, token("shared"), of("carol", "phone"))
	got := f.apply(carol, bob) // bob's partition lags
	if states := got[1].States; len(states) != 1 || states[0].User != "bob" || states[0].Binding.Token != "" {
		t.Errorf("bob, too late: %+v", states)
	}
	if states := got[0].States; len(states) != 1 || states[0].Binding.Token != "shared" {
		t.Errorf("carol: %+v", states)
	}
	// Back and forth within one batch.
	f.apply(f.event(EventToken, 50, token("x")), f.event(EventToken, 51, token("x"), of("carol", "phone")), f.event(EventToken, 52, token("x")))
	if b, c := f.binding("bob", "phone").Binding.Token, f.binding("carol", "phone").Binding.Token; b != "x" || c != "" {
		t.Errorf("bob has %q, carol has %q", b, c)
	}
	// The last state that a batch gives of a device is the one that is true.
	f.apply(f.event(EventLogin, 53, token("w"), of("gus", "phone")))
	batch := f.apply(f.event(EventLogin, 54, token("w"), of("hal", "phone")), f.event(EventLogin, 55, of("gus", "phone")))
	if last := batch[1].States; len(last) != 1 || last[0].Binding.Token != "" || last[0].Binding.Version != 2 {
		t.Errorf("gus lost his token in the batch in which he logged in again: %+v", last)
	}
	// An event older than its device's binding still tells who had the token when.
	f.apply(f.event(EventLogin, 60, token("y"), of("eve", "phone")), f.event(EventToken, 80, token("z")))
	f.apply(f.event(EventToken, 70, token("y")))
	if got := f.binding("eve", "phone").Binding.Token; got != "" {
		t.Errorf("eve still has a token that went to another phone: %q", got)
	}
}

// A crash between two claims leaves a former owner behind; the repeat of the last claim names it still.
func testTokenChain(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 10, token("shared")))
	ctx := t.Context()
	if _, err := f.run(ctx, "claim", []*redis.StringCmd{f.ownCall(ctx, f.app, "carol", "phone", namedToken{value: "shared"}, at(20))}); err != nil {
		t.Fatal(err)
	}
	f.apply(f.event(EventLogin, 30, token("shared"), of("dave", "phone")))
	if got := f.binding("bob", "phone").Binding.Token; got != "" {
		t.Error("bob keeps a token that was taken twice")
	}
}

func testTokenOfAnotherApp(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 10, token("shared")))
	f.apply(f.event(EventLogin, 20, token("shared"), func(e *DeviceEvent) { e.App = f.app + "b" }))
	if got := f.binding("bob", "phone").Binding.Token; got != "shared" {
		t.Error("another app took the token away")
	}
}

// "Forget tokens the provider rejects": that version of the binding and no other.
func testRow20RejectedToken(t *testing.T, f *fixture) {
	login := f.event(EventLogin, 10, token("aa"))
	f.apply(login)
	for _, step := range []struct {
		name        string
		event       DeviceEvent
		token       string
		wantVersion int64
	}{
		{"another version", f.event(EventTokenRejected, 11, version(7)), "aa", 1},
		{"known dead before the token was bound", f.event(EventTokenRejected, 9, version(1)), "aa", 1},
		{"this version", f.event(EventTokenRejected, 11, version(1)), "", 2},
		{"again", f.event(EventTokenRejected, 11, version(1)), "", 2},
		{"a repeat of the login", login, "", 2},
		{"a token from before the rejection, after the login", f.event(EventToken, 10.5, token("bb")), "bb", 3},
		{"the old version again", f.event(EventTokenRejected, 12, version(1)), "bb", 3},
		{"a new login with the rejected token", f.event(EventLogin, 20, token("aa")), "aa", 4},
	} {
		states := f.apply(step.event)[0].States
		got := f.binding("bob", "phone").Binding
		if got.Token != step.token || got.Version != step.wantVersion {
			t.Errorf("%s: token %q, version %d; want %q, %d", step.name, got.Token, got.Version, step.token, step.wantVersion)
		}
		if step.event.Event == EventTokenRejected && (len(states) != 1 || states[0].Binding.Version != step.wantVersion) {
			t.Errorf("%s: the state to be written: %+v", step.name, states)
		}
	}
	if got := f.apply(f.event(EventTokenRejected, 11, version(1), of("nobody", "phone")))[0].States; got != nil {
		t.Errorf("an unknown device: %+v", got)
	}
}
