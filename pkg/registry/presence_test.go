package registry

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// "Tell apart connected-foreground, connected-background, disconnected or killed, logged out, kicked", stop in the
// foreground (row 3), and "keep pushing to killed apps until logout, kick, or the activity limit" (row 5). Every row starts
// with a login at 0 s, so that there is a binding with a token.
func testRow4Presence(t *testing.T, f *fixture) {
	type events = []DeviceEvent
	const day = 24 * 3600
	for i, row := range []struct {
		name   string
		events events
		now    float64
		want   push.Reason
	}{
		{"login is foreground", nil, 1, push.ReasonForeground},
		{"the lease counts from EventTime", nil, 399.999, push.ReasonForeground},
		{"a lease that ran out is killed", nil, 400, push.ReasonKilled},
		{"foreground renews", events{f.event(EventForeground, 300)}, 699, push.ReasonForeground},
		{"heartbeat renews", events{f.event(EventHeartbeat, 300, state(StateForeground))}, 699, push.ReasonForeground},
		{"heartbeat without a state renews", events{f.event(EventHeartbeat, 300)}, 699, push.ReasonForeground},
		{"heartbeat without a state leaves background", events{f.event(EventBackground, 100), f.event(EventHeartbeat, 300)}, 301, push.ReasonBackground},
		{"heartbeat without a state leaves killed", events{f.event(EventKilled, 100), f.event(EventHeartbeat, 300)}, 301, push.ReasonKilled},
		{"heartbeat heals a lost foreground", events{f.event(EventBackground, 100), f.event(EventHeartbeat, 300, state(StateForeground))}, 301, push.ReasonForeground},
		{"heartbeat heals a lost background", events{f.event(EventHeartbeat, 300, state(StateBackground))}, 301, push.ReasonBackground},
		{"background", events{f.event(EventBackground, 5)}, 6, push.ReasonBackground},
		{"background has no lease", events{f.event(EventBackground, 5)}, 6*day + 5, push.ReasonBackground},
		{"background ends at the activity limit", events{f.event(EventBackground, 5)}, 7*day + 6, push.ReasonInactive},
		{"a heartbeat is activity", events{f.event(EventBackground, 5), f.event(EventHeartbeat, 100)}, 7*day + 99, push.ReasonBackground},
		{"killed at once", events{f.event(EventKilled, 5)}, 5, push.ReasonKilled},
		{"killed in the background", events{f.event(EventBackground, 5), f.event(EventKilled, 8)}, 9, push.ReasonKilled},
		{"foreground after killed", events{f.event(EventKilled, 5), f.event(EventForeground, 6)}, 7, push.ReasonForeground},
		{"background, then foreground within 2 s", events{f.event(EventBackground, 50), f.event(EventForeground, 52)}, 53, push.ReasonBackground},
		{"foreground, then background within 2 s", events{f.event(EventForeground, 50), f.event(EventBackground, 52)}, 53, push.ReasonBackground},
		{"foreground after more than 2 s", events{f.event(EventBackground, 50), f.event(EventForeground, 52.001)}, 53, push.ReasonForeground},
		{"an older background changes nothing", events{f.event(EventForeground, 50), f.event(EventBackground, 40)}, 53, push.ReasonForeground},
		{"an older killed changes nothing", events{f.event(EventForeground, 50), f.event(EventKilled, 49.999)}, 53, push.ReasonForeground},
		{"killed at the same time, applied later", events{f.event(EventForeground, 50), f.event(EventKilled, 50)}, 53, push.ReasonKilled},
		{"foreground at the same time as killed, applied later", events{f.event(EventKilled, 50), f.event(EventForeground, 50)}, 53, push.ReasonForeground},
		{"logout", events{f.event(EventLogout, 5)}, 6, push.ReasonLoggedOut},
		{"kicked", events{f.event(EventKicked, 5)}, 6, push.ReasonLoggedOut},
		{"presence does not log in", events{f.event(EventLogout, 5), f.event(EventForeground, 6)}, 7, push.ReasonLoggedOut},
		{"login after logout", events{f.event(EventLogout, 5), f.event(EventLogin, 6)}, 7, push.ReasonForeground},
		{"an empty token", events{f.event(EventToken, 5, token(""))}, 6, push.ReasonNoToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			// Each row has a user of its own.
			user := fmt.Sprint("user", i)
			login := f.event(EventLogin, 0, token(fmt.Sprint("token", i)))
			all := append(events{login}, row.events...)
			for i := range all {
				all[i].User = user
			}
			f.now = at(row.now)
			f.apply(all...)
			got := f.decide(f.message(func(q *DecideRequest) { q.User = user }))[0].Devices
			if len(got) != 1 || got[0].Reason != row.want {
				t.Errorf("got %v, want one device, %s", got, row.want)
			}
			if pushed := row.want == push.ReasonBackground || row.want == push.ReasonKilled; len(got) == 1 && got[0].Push != pushed {
				t.Errorf("push is %t, want %t", got[0].Push, pushed)
			}
		})
	}
}

// Events of distinct times (and foreground and background of equal ones) mean the same in whatever order they come.
func testPresenceInAnyOrder(t *testing.T, f *fixture) {
	const seed = 20260921
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 40 {
		var events []DeviceEvent
		for i := range 2 + random.IntN(5) {
			// 700 ms apart, so that many pairs fall within 2 s.
			e := f.event("", float64(random.IntN(6)*10+i)*0.7)
			switch random.IntN(6) {
			case 0:
				e.Event = EventForeground
			case 1:
				e.Event = EventBackground
			case 2:
				e.Event = EventKilled
			case 3:
				e.Event = EventHeartbeat
			case 4:
				e.Event, e.State = EventHeartbeat, StateForeground
			case 5:
				e.Event, e.State = EventHeartbeat, StateBackground
			}
			events = append(events, e)
		}
		var first []push.Reason
		for order := range 4 {
			user := fmt.Sprintf("user%d-%d", round, order)
			for i := range events {
				events[i].User = user
			}
			f.apply(events...)
			var got []push.Reason
			for _, now := range []float64{50, 399, 410, 500} {
				f.now = at(now)
				devices, err := f.Devices(t.Context(), f.app, user)
				if err != nil || len(devices) != 1 {
					t.Fatalf("devices: %v, %v", devices, err)
				}
				got = append(got, devices[0].Presence)
			}
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("seed %d, round %d: another order gives another presence: %s\nevents: %v", seed, round, diff, events)
			}
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		}
	}
}

func testPresenceTies(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventForeground, 10), f.event(EventBackground, 10))
	if got := f.reason(); got != push.ReasonBackground {
		t.Errorf("foreground, then background at one time: %s", got)
	}
	f.apply(f.event(EventBackground, 20), f.event(EventForeground, 20))
	if got := f.reason(); got != push.ReasonBackground {
		t.Errorf("background, then foreground at one time: %s", got)
	}
}

func testBadge(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5),
		f.event(EventLogin, 0, token("bb"), of("bob", "tablet")))
	f.now = at(10)
	quiet := func(q *DecideRequest) { q.Counts = false }
	var got []int
	for _, d := range f.decide(f.message(quiet), f.message(), f.message(), f.message(quiet), f.message()) {
		for _, device := range d.Devices {
			if device.Device == "phone" {
				got = append(got, device.Badge)
			} else if device.Push || device.Badge != push.NoBadge {
				t.Errorf("the tablet is in the foreground and got %+v", device)
			}
		}
	}
	if diff := cmp.Diff([]int{push.NoBadge, 1, 2, 2, 3}, got); diff != "" {
		t.Errorf("badges of the phone: %s", diff)
	}
	f.now = at(500) // the tablet's lease is over
	if got := f.decide(f.message())[0].Devices[1]; got.Badge != 1 {
		t.Errorf("first badge of the tablet: %+v", got)
	}
}

// "Take background reports with an unread count; keep per-device state and badge base": the newest report is the base.
func testRow2Unread(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5, unread(4)))
	f.now = at(10)
	steps := []struct {
		event   DeviceEvent
		message float64 // record time
		want    int
	}{
		{f.event(EventHeartbeat, 6, state(StateBackground)), 5.5, 5},
		{f.event(EventBackground, 7, unread(0)), 7.5, 1},
		{f.event(EventBackground, 6.5, unread(40)), 7.5, 2}, // older: changes nothing
		{f.event(EventBackground, 7, unread(9)), 7.5, 12},   // equal, later; three messages came after it
		{f.event(EventForeground, 8, unread(2)), 8.5, 3},    // within 2 s of background: still background
		{f.event(EventBackground, 9), 8.1, 4},               // which says nothing of the number
		{f.event(EventHeartbeat, 9.2), 8, 4},                // the message is in the report already
		{f.event(EventHeartbeat, 9.2), 5, 4},
		{f.event(EventBackground, 8.7, unread(1)), 9, 2}, // not the newest event, but the newest report
	}
	for i, step := range steps {
		f.apply(step.event)
		d := f.decide(f.message(func(q *DecideRequest) { q.RecordTime = at(step.message) }))[0].Devices[0]
		if d.Badge != step.want || !d.Push {
			t.Errorf("step %d: badge %d, push %t, want %d", i, d.Badge, d.Push, step.want)
		}
	}
}

// "Take background reports with an unread count; keep per-device state and badge base": the report is the number up to its
// time; what was counted after that stays on top, however late or often the report comes.
func testRow2AnUnreadReportKeepsWhatCameAfterIt(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5),
		f.event(EventLogin, 0, token("bb"), of("bob", "tablet")), f.event(EventBackground, 5, of("bob", "tablet")))
	f.now = at(100)
	for _, seconds := range []float64{10, 20, 30} {
		f.decide(f.message(func(q *DecideRequest) { q.RecordTime = at(seconds) }))
	}
	badges := func() [2]int {
		devices, err := f.Devices(t.Context(), f.app, "bob")
		if err != nil || len(devices) != 2 {
			t.Fatalf("devices: %v, %v", devices, err)
		}
		return [2]int{devices[0].Badge, devices[1].Badge}
	}
	report := f.event(EventBackground, 20, unread(7))
	for _, step := range []struct {
		name   string
		events []DeviceEvent
		want   [2]int // phone, tablet
	}{
		{"three messages", nil, [2]int{3, 3}},
		{"a report of the time of the second", []DeviceEvent{report}, [2]int{8, 3}},
		{"the same again", []DeviceEvent{report, report}, [2]int{8, 3}},
		{"an older one", []DeviceEvent{f.event(EventBackground, 19, unread(50))}, [2]int{8, 3}},
		{"another of the same time", []DeviceEvent{f.event(EventBackground, 20, unread(1))}, [2]int{2, 3}},
		{"presence alone", []DeviceEvent{f.event(EventHeartbeat, 25, state(StateBackground))}, [2]int{2, 3}},
		{"all read in the foreground", []DeviceEvent{f.event(EventForeground, 40, unread(0))}, [2]int{0, 3}},
		{"the tablet's own report", []DeviceEvent{f.event(EventBackground, 29, unread(5), of("bob", "tablet"))}, [2]int{0, 6}},
	} {
		f.apply(step.events...)
		if got := badges(); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	// Logged out, a device counts nothing that could come back with a report of the next session.
	f.decide(f.message(func(q *DecideRequest) { q.RecordTime = at(90) }))
	f.apply(f.event(EventLogout, 50, of("bob", "tablet")), f.event(EventLogin, 51, token("bb"), of("bob", "tablet")),
		f.event(EventBackground, 60, unread(2), of("bob", "tablet")))
	if got := badges(); got != [2]int{0, 2} {
		t.Errorf("after a logout: %v", got)
	}
}

func testDecideDevices(t *testing.T, f *fixture) {
	f.now = at(1000)
	f.apply(
		f.event(EventLogin, 0, token("aa"), of("bob", "phone"), credential("main")), f.event(EventBackground, 5, of("bob", "phone")),
		f.event(EventLogin, 990, token("bb"), of("bob", "desktop")),
		f.event(EventLogin, 0, token("cc"), of("bob", "old")), f.event(EventLogout, 1, of("bob", "old")),
		f.event(EventLogin, 0, of("bob", "web")),
		f.event(EventBackground, 900, of("bob", "unbound")), // presence alone makes no device
		f.event(EventLogin, -8*24*3600, token("dd"), of("bob", "drawer")),
		f.event(EventLogin, 500, token("ee"), of("bob", "pad")),
	)
	want := []DeviceDecision{
		{Device: "desktop", Binding: push.Binding{Platform: "apns", Token: "bb", Version: 1}, Reason: push.ReasonForeground, Badge: push.NoBadge},
		{Device: "drawer", Binding: push.Binding{Platform: "apns", Token: "dd", Version: 1}, Reason: push.ReasonInactive, Badge: push.NoBadge},
		{Device: "old", Binding: push.Binding{Platform: "apns", Token: "cc", Version: 2}, Reason: push.ReasonLoggedOut, Badge: push.NoBadge},
		{Device: "pad", Binding: push.Binding{Platform: "apns", Token: "ee", Version: 1}, Push: true, Reason: push.ReasonKilled, Badge: 1},
		{Device: "phone", Binding: push.Binding{Platform: "apns", Token: "aa", Credential: "main", Version: 1}, Push: true, Reason: push.ReasonBackground, Badge: 1},
		{Device: "web", Binding: push.Binding{Version: 1}, Reason: push.ReasonNoToken, Badge: push.NoBadge},
	}
	q := f.message()
	got := f.decide(q, q, f.message(func(q *DecideRequest) { q.User = "nobody" }))
	if diff := cmp.Diff(Decision{Devices: want}, got[0]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Decision{Status: Replay, Devices: want}, got[1]); diff != "" {
		t.Errorf("replay: %s", diff)
	}
	if diff := cmp.Diff(Decision{}, got[2]); diff != "" {
		t.Errorf("a user without devices: %s", diff)
	}
}

func testTooManyDevices(t *testing.T, f *fixture) {
	var events []DeviceEvent
	for i := range maxDevices + 1 {
		// The second is the oldest.
		seconds := float64(10 + i)
		if i == 1 {
			seconds = 1
		}
		events = append(events, f.event(EventLogin, seconds, of("bob", fmt.Sprintf("device%03d", i))))
	}
	f.apply(events...)
	got := f.decide(f.message())[0].Devices
	if len(got) != maxDevices || got[0].Device != "device000" || got[1].Device != "device002" {
		t.Errorf("%d devices, the first %v", len(got), got[:2])
	}
}

func testAwkwardIDs(t *testing.T, f *fixture) {
	pairs := [][2]string{{"a|b", "c"}, {"a", "b|c"}, {"{}", "}"}, {"{", "}}"}, {"a%7Cb", "c"}, {"日本", "🙂"}, {"a:b", "5:c"}}
	for i, p := range pairs {
		user, device := p[0], p[1]
		f.apply(f.event(EventLogin, 0, of(user, device), token(fmt.Sprint("t", i))), f.event(EventBackground, 5, of(user, device)))
	}
	for i, p := range pairs {
		q := f.message(func(q *DecideRequest) { q.User = p[0] })
		for _, d := range f.decide(q, q) {
			if len(d.Devices) != 1 || d.Devices[0].Device != p[1] || d.Devices[0].Binding.Token != fmt.Sprint("t", i) || d.Devices[0].Badge != 1 {
				t.Errorf("%q: %+v", p, d)
			}
		}
	}
	// The border between app and user is not the user's to move.
	if userTag("x|y", "z") == userTag("x", "y|z") {
		t.Error("two users share one tag")
	}
}

func testDevices(t *testing.T, f *fixture) {
	f.now = at(20)
	f.apply(f.event(EventLogin, 0, token("secret"), credential("main")), f.event(EventBackground, 5, unread(4)),
		f.event(EventHeartbeat, 7), f.event(EventKilled, 9, of("bob", "unbound")))
	got, err := f.Devices(t.Context(), f.app, "bob")
	want := []Device{
		{
			Device: "phone", Binding: push.Binding{Platform: "apns", Credential: "main", Version: 1}, TokenHash: "2bb80d537b1da3e3",
			BoundAt: at(0), Presence: push.ReasonBackground, Foreground: at(0), Lease: at(7), Background: at(5), Badge: 4,
		},
		{Device: "unbound", Presence: push.ReasonKilled, Filter: push.ReasonNoToken, Killed: at(9)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := f.Devices(t.Context(), f.app, "nobody"); err != nil || len(got) != 0 {
		t.Errorf("nobody has %v, %v", got, err)
	}
}
