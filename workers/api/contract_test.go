package api

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// TestRow1BindingsAreStoredReplacedAndCleared shows: store, replace and clear device bindings: user, device, platform,
// token, certificate id, language.
func TestRow1BindingsAreStoredReplacedAndCleared(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(100)
		bound := func(step, token, credential, language string, filter push.Reason) {
			t.Helper()
			d := w.device("phone")
			got := []string{string(d.Binding.Platform), d.TokenHash, d.Binding.Credential, d.Binding.Language, string(d.Filter)}
			want := []string{"apns", registry.TokenHash(token), credential, language, string(filter)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		login := report("phone", "login", 0, platform("apns", "aa"), `,"Credential":"demo-ios","Language":"en"`)
		w.does(login, report("phone", "background", 1))
		bound("stored", "aa", "demo-ios", "en", "")
		w.does(report("phone", "token", 10, `,"Token":"bb"`))
		bound("replaced, the rest stays", "bb", "demo-ios", "en", "")
		w.does(login)
		bound("the login is repeated late", "bb", "demo-ios", "en", "")
		w.does(report("phone", "token", 20, `,"Token":"cc","Credential":"demo-two","Language":"ja"`, `,"Platform":"apns"`))
		bound("all replaced", "cc", "demo-two", "ja", "")
		w.does(report("phone", "login", 30, platform("apns", "cc")).of("carol"))
		bound("carol has the phone now", "", "demo-two", "ja", push.ReasonNoToken)
		w.does(report("phone", "token", 40, `,"Token":"dd"`), report("phone", "token", 50, `,"Token":""`))
		bound("cleared", "", "demo-two", "ja", push.ReasonNoToken)
	})
}

// TestRow2BackgroundReportsSetTheBadgeBase shows: take background reports with an unread count; keep per-device state and
// badge base.
func TestRow2BackgroundReportsSetTheBadgeBase(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(20)
		w.does(report("phone", "login", 0, platform("apns", "aa")), report("pad", "login", 0, platform("apns", "bb")),
			report("phone", "background", 10, `,"Unread":4`))
		if phone, pad := w.device("phone"), w.device("pad"); phone.Presence != push.ReasonBackground || phone.Badge != 4 ||
			pad.Presence != push.ReasonForeground || pad.Badge != 0 {
			t.Errorf("phone %s %d, pad %s %d", phone.Presence, phone.Badge, pad.Presence, pad.Badge)
		}
		if d := w.becomes("phone", w.message()); !d.Push || d.Reason != push.ReasonBackground || d.Badge != 5 {
			t.Errorf("a message: %+v, want a push with badge 5", d)
		}
		w.does(report("phone", "background", 5, `,"Unread":40`))
		if d := w.device("phone"); d.Badge != 5 {
			t.Errorf("a late report set the badge to %d", d.Badge)
		}
		w.at(40)
		w.does(report("phone", "background", 30, `,"Unread":0`), report("phone", "background", 30, `,"Unread":0`))
		if d := w.becomes("phone", w.message()); d.Badge != 1 {
			t.Errorf("after all was read the badge is %d, want 1", d.Badge)
		}
	})
}

// TestRow3ForegroundStopsPushesToThatDevice shows: take foreground reports and stop pushing to that device.
func TestRow3ForegroundStopsPushesToThatDevice(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(30)
		w.does(report("phone", "login", 0, platform("apns", "aa")), report("phone", "background", 10),
			report("pad", "login", 0, platform("apns", "bb")), report("pad", "background", 10), report("phone", "foreground", 20, `,"Unread":0`))
		if d := w.becomes("phone", w.message()); d.Push || d.Reason != push.ReasonForeground {
			t.Errorf("phone: %+v", d)
		}
		if d := w.becomes("pad", w.message()); !d.Push {
			t.Errorf("pad: %+v", d)
		}
		w.does(report("phone", "background", 15)) // late
		if d := w.becomes("phone", w.message()); d.Push {
			t.Error("a late background report takes the phone out of the foreground")
		}
	})
}

// TestRow4StatesAreToldApart shows: tell apart connected-foreground, connected-background, disconnected or killed, logged
// out, kicked.
func TestRow4StatesAreToldApart(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		states := map[string]push.Reason{
			"foreground": push.ReasonForeground, "background": push.ReasonBackground, "killed": push.ReasonKilled,
			"logout": push.ReasonLoggedOut, "kicked": push.ReasonLoggedOut,
		}
		for state := range states {
			w.does(report(state, "login", 0, platform("apns", "token-"+state)), report(state, state, 10))
		}
		w.does(report("silent", "login", 0, platform("apns", "ff")))
		w.does(report("beating", "login", 0, platform("apns", "99")), report("beating", "heartbeat", 300, `,"State":"foreground"`))
		w.at(350)
		states["silent"], states["beating"] = push.ReasonForeground, push.ReasonForeground
		for device, want := range states {
			if d := w.becomes(device, w.message()); d.Reason != want {
				t.Errorf("%s: %s, want %s", device, d.Reason, want)
			}
		}
		w.at(450) // 400 s without a heartbeat: the network or the app is gone
		states["silent"], states["foreground"] = push.ReasonKilled, push.ReasonKilled
		for device, want := range states {
			if d := w.becomes(device, w.message()); d.Reason != want {
				t.Errorf("later, %s: %s, want %s", device, d.Reason, want)
			}
		}
	})
}

// TestRow5KilledAppsArePushedToForAWeek shows: keep pushing to killed apps until logout, kick, or the activity limit.
func TestRow5KilledAppsArePushedToForAWeek(t *testing.T) {
	t.Parallel()
	const day = 24 * 3600
	eachWay(t, func(t *testing.T, w *world) {
		w.does(report("phone", "login", 0, platform("apns", "aa")), report("phone", "killed", 10),
			report("pad", "login", 0, platform("apns", "bb")), report("pad", "killed", 10))
		for _, c := range []struct {
			day  int
			then []call
			want push.Reason
		}{
			{1, nil, push.ReasonKilled},
			{6, nil, push.ReasonKilled},
			{8, nil, push.ReasonInactive},
			{9, []call{report("phone", "login", 9*day, platform("apns", "aa")), report("phone", "killed", 9*day+1)}, push.ReasonKilled},
			{10, []call{report("phone", "logout", 10*day)}, push.ReasonLoggedOut},
		} {
			w.at(c.day*day + 60)
			w.does(c.then...)
			if d := w.becomes("phone", w.message()); d.Reason != c.want {
				t.Errorf("day %d: %s, want %s", c.day, d.Reason, c.want)
			}
		}
	})
}

// TestRow6QueuedPushesEndWithALogout shows: drop what is queued for a device that logs out or is kicked before it is sent.
func TestRow6QueuedPushesEndWithALogout(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"logout", "kicked"} {
		eachWay(t, func(t *testing.T, w *world) {
			w.at(20)
			w.does(report("phone", "login", 0, platform("apns", "aa")), report("phone", "background", 10))
			q := w.message()
			if d := w.becomes("phone", q); !d.Push {
				t.Fatalf("not queued: %+v", d)
			}
			w.does(report("phone", kind, 15))
			if a := w.admits("phone", q, push.PurposeFirst); a.Verdict != registry.Filtered || a.Reason != push.ReasonLoggedOut {
				t.Errorf("%s: %s %s", kind, a.Verdict, a.Reason)
			}
		})
	}
}

// admits asks right before a send of a message to one of bob's devices.
func (w *world) admits(device string, q registry.DecideRequest, purpose string) registry.Admission {
	w.t.Helper()
	d := w.device(device)
	first := message.NotificationID(q.App, q.MsgKey, q.User, device, push.PurposeFirst)
	ask := registry.AdmitRequest{
		App: q.App, User: q.User, Device: device, ID: message.NotificationID(q.App, q.MsgKey, q.User, device, purpose), Owner: "test",
		Lease: 15 * time.Second, Attempt: 1, Platform: d.Binding.Platform, Version: d.Binding.Version, MsgKey: q.MsgKey, Purpose: purpose,
	}
	if purpose != push.PurposeFirst {
		ask.First = first
	}
	admissions, err := w.Admit(w.t.Context(), []registry.AdmitRequest{ask})
	if err != nil {
		w.t.Fatal(err)
	}
	return admissions[0]
}

// TestRow18UsersSayWhatTheyWant shows: apply receive options, mentions, do-not-disturb.
func TestRow18UsersSayWhatTheyWant(t *testing.T) {
	t.Parallel()
	team := func(q *registry.DecideRequest) { q.Conversation, q.Group = "group:team", true }
	mention := func(q *registry.DecideRequest) { team(q); q.Mentioned = true }
	type ask func(*registry.DecideRequest)
	alice := func(*registry.DecideRequest) {}
	for name, c := range map[string]struct {
		settings []call
		seconds  int
		about    ask
		want     push.Reason
	}{
		"nothing set":               {nil, 20, alice, push.ReasonBackground},
		"push off":                  {[]call{set(1, `"Push":false`)}, 20, alice, push.ReasonPushOff},
		"off and on":                {[]call{set(1, `"Push":false`), set(2, `"Push":true`)}, 20, alice, push.ReasonBackground},
		"on, then late off":         {[]call{set(2, `"Push":true`), set(1, `"Push":false`)}, 20, alice, push.ReasonBackground},
		"muted alice":               {[]call{set(1, `"ReceiveOptions":{"c2c:alice":2}`)}, 20, alice, push.ReasonMuted},
		"muted carol":               {[]call{set(1, `"ReceiveOptions":{"c2c:carol":2}`)}, 20, alice, push.ReasonBackground},
		"muted, then late unmuted":  {[]call{set(2, `"ReceiveOptions":{"c2c:alice":2}`), set(1, `"ReceiveOptions":{"c2c:alice":0}`)}, 20, alice, push.ReasonMuted},
		"mentions only":             {[]call{set(1, `"ReceiveOptions":{"group:team":3}`)}, 20, team, push.ReasonNotMentioned},
		"mentions only, mentioned":  {[]call{set(1, `"ReceiveOptions":{"group:team":3}`)}, 20, mention, push.ReasonBackground},
		"muted, mentioned":          {[]call{set(1, `"ReceiveOptions":{"group:team":2}`)}, 20, mention, push.ReasonMuted},
		"inside the one-off window": {[]call{set(1, `"QuietOnce":{"Start":1790000010000,"Duration":60}`)}, 20, alice, push.ReasonQuietHours},
		"inside it, mentioned":      {[]call{set(1, `"QuietOnce":{"Start":1790000010000,"Duration":60}`)}, 20, mention, push.ReasonQuietHours},
		"after it":                  {[]call{set(1, `"QuietOnce":{"Start":1790000010000,"Duration":60}`)}, 71, alice, push.ReasonBackground},
		"it is cleared":             {[]call{set(1, `"QuietOnce":{"Start":1790000010000,"Duration":60}`), set(2, `"QuietOnce":null`)}, 20, alice, push.ReasonBackground},
		// The stories begin at 14:13:20 UTC, 22:13:20 in Shanghai.
		"inside the daily window":    {[]call{set(1, `"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Asia/Shanghai"}`)}, 20, alice, push.ReasonQuietHours},
		"the same hours elsewhere":   {[]call{set(1, `"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Europe/Berlin"}`)}, 20, alice, push.ReasonBackground},
		"before the next daily one":  {[]call{set(1, `"QuietDaily":{"Start":"22:15","Duration":28800,"TimeZone":"Asia/Shanghai"}`)}, 20, alice, push.ReasonBackground},
		"daily, then late cleared":   {[]call{set(2, `"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Asia/Shanghai"}`), set(1, `"QuietDaily":null`)}, 20, alice, push.ReasonQuietHours},
		"set twice, the later holds": {[]call{set(1, `"Push":true`), set(1, `"Push":false`)}, 20, alice, push.ReasonPushOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, w *world) {
				w.does(report("phone", "login", -20, platform("apns", "aa")), report("phone", "background", -10))
				w.does(c.settings...)
				w.at(c.seconds)
				if d := w.becomes("phone", w.message(c.about)); d.Reason != c.want || d.Push != (c.want == push.ReasonBackground) {
					t.Errorf("push %t, %s; want %s", d.Push, d.Reason, c.want)
				}
			})
		})
	}
}

// TestRow20RejectedTokensAreForgotten shows: send each token with its own credential and environment; forget tokens the
// provider rejects.
func TestRow20RejectedTokensAreForgotten(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(100)
		w.does(report("phone", "login", 0, platform("apns", "aa"), `,"Credential":"store","VoIPToken":"ee"`),
			report("pad", "login", 0, platform("apns", "bb"), `,"Credential":"beta"`), report("phone", "background", 1), report("pad", "background", 1))
		if phone, pad := w.becomes("phone", w.message()).Binding, w.becomes("pad", w.message()).Binding; phone.Token+phone.Credential != "aastore" || pad.Token+pad.Credential != "bbbeta" {
			t.Errorf("phone is sent with %s, pad with %s", phone.Credential, pad.Credential)
		}
		version := w.device("phone").Binding.Version
		rejected := func(seconds int, version int64, pushType string) {
			w.hears(report("phone", "token_rejected", seconds, `,"Version":`, strconv.FormatInt(version, 10), `,"Reason":"unregistered"`, pushType))
		}
		rejected(10, version, `,"PushType":"voip"`)
		if d := w.device("phone"); d.VoIPTokenHash != "" || d.TokenHash == "" {
			t.Error("a rejected VoIP token has to go alone")
		}
		version = w.device("phone").Binding.Version
		w.does(report("phone", "token", 20, `,"Token":"cc"`))
		rejected(21, version, "")
		if d := w.device("phone"); d.TokenHash != registry.TokenHash("cc") {
			t.Error("the rejection of an old token took the new one")
		}
		rejected(22, w.device("phone").Binding.Version, "")
		if d := w.device("phone"); d.TokenHash != "" || d.Filter != push.ReasonNoToken {
			t.Error("a rejected token is kept")
		}
		w.does(report("phone", "token", 20, `,"Token":"cc"`))
		if d := w.device("phone"); d.TokenHash != "" {
			t.Error("a repeat brings the rejected token again")
		}
	})
}

// TestRow22ReachedAndClickedAreTaken shows the clients' part of: record sent and failed (and reached and clicked where
// clients report it) per push id. They change nothing here: they stand on im.receipts for whoever reports.
func TestRow22ReachedAndClickedAreTaken(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(20)
		w.does(report("phone", "login", 0, platform("apns", "aa")), report("phone", "background", 10))
		q := w.message()
		w.becomes("phone", q)
		before := w.device("phone")
		w.does(receiptFor("phone", "reached", q.MsgKey), receiptFor("phone", "clicked", q.MsgKey))
		if diff := cmp.Diff(before, w.device("phone")); diff != "" {
			t.Errorf("the device changed:\n%s", diff)
		}
	})
}

// TestAMessageThatIsReadIsTakenBackEverywhere: it leaves the badge of every device, is not pushed where it still waits,
// and a repeated receipt changes nothing.
func TestAMessageThatIsReadIsTakenBackEverywhere(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(20)
		for _, device := range []string{"phone", "pad"} {
			w.does(report(device, "login", 0, platform("apns", "token-"+device)), report(device, "background", 10, `,"Unread":4`))
		}
		q := w.message()
		w.becomes("phone", q)
		for range 2 {
			w.does(receiptFor("pad", "read", q.MsgKey))
			if phone, pad := w.device("phone").Badge, w.device("pad").Badge; phone != 4 || pad != 4 {
				t.Errorf("badges %d and %d, want 4", phone, pad)
			}
		}
		if a := w.admits("phone", q, push.PurposeFirst); a.Verdict != registry.Filtered || a.Reason != push.ReasonRead {
			t.Errorf("the push still waiting: %s %s", a.Verdict, a.Reason)
		}
	})
}

// TestAReadMessageThatWasShownCorrectsTheOtherIcon: once, by whatever way the receipt comes.
func TestAReadMessageThatWasShownCorrectsTheOtherIcon(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		w.at(20)
		for _, device := range []string{"phone", "pad"} {
			w.does(report(device, "login", 0, platform("apns", "token-"+device)), report(device, "background", 10, `,"Unread":4`))
		}
		q := w.message()
		w.becomes("phone", q)
		w.delivered("phone", q)
		w.does(receiptFor("pad", "read", q.MsgKey))
		corrections := slices.DeleteFunc(slices.Clone(w.written), func(line string) bool { return line != "p.push.apns.retry.10s demo|bob|phone" })
		if want := map[string]int{overHTTP: 0, overTopic: 1, overHTTPAndRead: 1}[w.way]; len(corrections) != want {
			t.Errorf("the role wrote %q, want %d corrections", w.written, want)
		}
	})
}

func (w *world) delivered(device string, q registry.DecideRequest) {
	w.t.Helper()
	if a := w.admits(device, q, push.PurposeFirst); a.Verdict != registry.Go {
		w.t.Fatalf("not admitted: %s %s", a.Verdict, a.Reason)
	}
	err := w.Settle(w.t.Context(), []registry.Mark{{App: q.App, User: q.User, ID: message.NotificationID(q.App, q.MsgKey, q.User, device, ""),
		Owner: "test", Attempt: 1, State: registry.MarkDone}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestAnAcknowledgedMessageNeedsNoFallback: the device's own service has taken it.
func TestAnAcknowledgedMessageNeedsNoFallback(t *testing.T) {
	t.Parallel()
	for _, acknowledged := range []bool{true, false} {
		eachWay(t, func(t *testing.T, w *world) {
			w.at(20)
			w.does(report("phone", "login", 0, platform("fcm", "aa"), `,"Service":true`), report("phone", "background", 10))
			if d := w.device("phone"); !d.Binding.Service {
				t.Fatal("the device's service is not known")
			}
			q := w.message()
			w.becomes("phone", q)
			want := registry.Go
			if acknowledged {
				want = registry.Filtered
				w.does(receiptFor("phone", "acknowledged", q.MsgKey), receiptFor("phone", "acknowledged", q.MsgKey))
			}
			if a := w.admits("phone", q, push.PurposeFallback); a.Verdict != want || acknowledged && a.Reason != push.ReasonSuperseded {
				t.Errorf("acknowledged %t: %s %s", acknowledged, a.Verdict, a.Reason)
			}
		})
	}
}

// TestMembershipsHoldFromJoiningToLeaving: a message goes to who was a member at its time, late and repeated calls change
// nothing.
func TestMembershipsHoldFromJoiningToLeaving(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w *world) {
		at := func(step string, seconds int, want ...string) {
			t.Helper()
			sizes, err := w.Groups(t.Context(), []registry.GroupRef{{App: "demo", Group: "team"}})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for b := range sizes[0].Buckets {
				some, err := w.Members(t.Context(), "demo", "team", b, sizes[0].Buckets, start.Add(time.Duration(seconds)*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, some...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("%s, at %d s (-want +got):\n%s", step, seconds, diff)
			}
		}
		w.does(joined("bob", 0), joined("carol", 10))
		at("joined", 5, "bob")
		at("joined", 20, "bob", "carol")
		w.at(30)
		w.does(left("bob"), left("bob"))
		at("bob left", 20, "bob", "carol")
		at("bob left", 40, "carol")
		w.does(joined("bob", 0))
		at("the first joining is repeated late", 40, "carol")
		w.does(joined("bob", 50))
		at("bob is back", 40, "carol")
		at("bob is back", 60, "bob", "carol")
	})
}

// TestEachCallLeavesTheSameByEveryWay runs each call of a client, each of them twice, then calls that are late, and compares
// all that the registry knows in the end.
func TestEachCallLeavesTheSameByEveryWay(t *testing.T) {
	t.Parallel()
	both := func(calls ...call) []call { return calls }
	for name, c := range map[string]struct{ calls, late []call }{
		"login":           {both(report("phone", "login", 10, platform("apns", "bb"), `,"Credential":"two","Language":"ja"`)), both(report("phone", "login", 5, platform("fcm", "cc")))},
		"token":           {both(report("phone", "token", 10, `,"Token":"bb"`)), both(report("phone", "token", 5, `,"Token":"cc"`))},
		"VoIP token":      {both(report("phone", "token", 10, `,"Token":"bb","VoIPToken":"cc"`)), both(report("phone", "token", 5, `,"Token":"dd","VoIPToken":"ee"`))},
		"own service":     {both(report("droid", "login", 10, platform("fcm", "bb"), `,"Service":true`)), both(report("droid", "login", 5, platform("fcm", "bb"), `,"Service":false`))},
		"service alone":   {both(report("droid", "login", 10, platform("service", "droid"))), nil},
		"push off":        {both(report("phone", "token", 10, `,"Token":""`)), both(report("phone", "token", 5, `,"Token":"cc"`))},
		"background":      {both(report("phone", "background", 10, `,"Unread":3`)), both(report("phone", "background", 5, `,"Unread":9`))},
		"foreground":      {both(report("phone", "foreground", 10, `,"Unread":0`)), both(report("phone", "background", 5, `,"Unread":9`))},
		"heartbeat":       {both(report("phone", "heartbeat", 10, `,"State":"background"`)), both(report("phone", "heartbeat", 5, `,"State":"foreground"`))},
		"killed":          {both(report("phone", "killed", 10)), both(report("phone", "foreground", 5))},
		"logout":          {both(report("phone", "logout", 10)), both(report("phone", "login", 5, platform("apns", "aa")))},
		"kicked":          {both(report("phone", "kicked", 10)), both(report("phone", "token", 5, `,"Token":"cc"`))},
		"another's token": {both(report("pad", "login", 10, platform("apns", "aa"))), both(report("phone", "login", 0, platform("apns", "aa"), `,"Credential":"one"`))},
		"push switched":   {both(set(10, `"Push":false`)), both(set(5, `"Push":true`))},
		"sounds":          {both(set(10, `"Sounds":{"C2C":"a.caf","Group":"push.no_sound"}`)), both(set(5, `"Sounds":{"C2C":"b.caf"}`))},
		"receive options": {both(set(10, `"ReceiveOptions":{"c2c:alice":2,"group:team":4}`)), both(set(5, `"ReceiveOptions":{"c2c:alice":0}`))},
		"daily window":    {both(set(10, `"QuietDaily":{"Start":"22:00:30","Duration":28800,"TimeZone":"America/New_York"}`)), both(set(5, `"QuietDaily":null`))},
		"one-off window":  {both(set(10, `"QuietOnce":{"Start":1790000000000,"Duration":3600}`)), both(set(5, `"QuietOnce":{"Start":1790000000000,"Duration":60}`))},
		"at one time":     {both(set(10, `"Push":false,"Sounds":{"C2C":"a.caf"},"QuietOnce":null`), set(10, `"Push":true,"Sounds":{"C2C":""}`)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first *known
			for _, way := range ways {
				w := newWorld(t, way)
				w.at(20)
				w.does(report("phone", "login", 0, platform("apns", "aa"), `,"Credential":"one"`))
				w.does(c.calls...)
				once := w.knows()
				w.does(c.calls...)
				if diff := cmp.Diff(once, w.knows()); diff != "" {
					t.Errorf("%s, repeated (-once +twice):\n%s", way, diff)
				}
				// What is late may be remembered as the newest of its kind, and decides nothing.
				w.does(c.late...)
				late := w.knows()
				if diff := cmp.Diff(once, late, cmpopts.IgnoreFields(registry.Device{}, "Foreground", "Background", "Killed", "Lease")); diff != "" {
					t.Errorf("%s, a late call (-before +after):\n%s", way, diff)
				}
				if first == nil {
					first = &late
				}
				if diff := cmp.Diff(*first, late); diff != "" {
					t.Errorf("%s is not the same as %s:\n%s", way, ways[0], diff)
				}
			}
		})
	}
}

// known is all that is known of bob.
type known struct {
	Devices  []registry.Device
	Settings settings
}

func (w *world) knows() known {
	w.t.Helper()
	devices, err := w.Devices(w.t.Context(), "demo", "bob")
	if err != nil {
		w.t.Fatal(err)
	}
	state, err := w.Settings(w.t.Context(), "demo", "bob")
	if err != nil {
		w.t.Fatal(err)
	}
	return known{devices, settingsOf("demo", "bob", state)}
}
