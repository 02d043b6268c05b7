package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// settings is one settings event of bob's.
func (f *fixture) settings(seconds float64, s Settings) DeviceEvent {
	return DeviceEvent{App: f.app, User: "bob", Event: EventSettings, EventTime: at(seconds), Settings: &s}
}

func (f *fixture) restoreSettings(states ...*schemasv1.UserState) {
	f.t.Helper()
	if err := f.RestoreSettings(f.t.Context(), states); err != nil {
		f.t.Fatal(err)
	}
}

// known is what the registry holds of bob's settings.
func (f *fixture) known() *schemasv1.UserState {
	f.t.Helper()
	s, err := f.Settings(f.t.Context(), f.app, "bob")
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// option is a receive option of a user's state.
func option(conversation string, value int32, seconds float64) *schemasv1.ReceiveOption {
	return &schemasv1.ReceiveOption{Conversation: conversation, Option: value, EventTimeMs: at(seconds).UnixMilli()}
}

// "Apply receive options, do-not-disturb": each event yields the user's whole settings, the newest EventTime holds, an
// equal one yields to the later event, each conversation's option goes by its own time, and what is absent stays.
func testRow18SettingsEvents(t *testing.T, f *fixture) {
	on, off, loud, silent, none := true, false, "a.caf", push.SoundSilent, ""
	night := QuietDaily{Start: 22 * 3600, Duration: 8 * 3600, Zone: "Asia/Shanghai"}
	if got := f.known(); got != nil {
		t.Errorf("nothing was set: %v", got)
	}
	want := &schemasv1.UserState{App: f.app, User: "bob"}
	for _, step := range []struct {
		name   string
		event  DeviceEvent
		change func() // of what is known; nil = the event is older than all that it sets
	}{
		{"options alone are not the general part", f.settings(10, Settings{Options: map[string]int{"c2c:alice": 2, "group:team": 3}}), func() {
			want.Options = []*schemasv1.ReceiveOption{option("c2c:alice", 2, 10), option("group:team", 3, 10)}
		}},
		{"a sound, although older than the options", f.settings(5, Settings{SoundC2C: &loud}), func() {
			want.SoundC2C, want.EventTimeMs = loud, at(5).UnixMilli()
		}},
		{"the same again, after a crash", f.settings(5, Settings{SoundC2C: &loud}), func() {}},
		{"push off and the other sound", f.settings(20, Settings{Push: &off, SoundGroup: &silent}), func() {
			want.PushOff, want.SoundGroup, want.EventTimeMs = true, silent, at(20).UnixMilli()
		}},
		{"an older one changes nothing", f.settings(19.999, Settings{Push: &on, SoundC2C: &none}), nil},
		{"older, but for one of its options", f.settings(11, Settings{Push: &on, Options: map[string]int{"c2c:alice": 0}}), func() {
			want.Options[0] = option("c2c:alice", 0, 11)
		}},
		{"an older option", f.settings(10.5, Settings{Options: map[string]int{"c2c:alice": 1}}), nil},
		{"of equal times the later holds", f.settings(20, Settings{Push: &on}), func() { want.PushOff = false }},
		{"an option's too", f.settings(11, Settings{Options: map[string]int{"c2c:alice": 1}}), func() { want.Options[0].Option = 1 }},
		{"quiet hours", f.settings(30, Settings{QuietDaily: &night, QuietOnce: &QuietOnce{at(100), 3600}}), func() {
			want.EventTimeMs = at(30).UnixMilli()
			want.QuietDaily = &schemasv1.QuietDaily{StartS: 79200, DurationS: 28800, TimeZone: "Asia/Shanghai"}
			want.QuietOnce = &schemasv1.QuietOnce{StartMs: at(100).UnixMilli(), UntilMs: at(3700).UnixMilli()}
		}},
		{"no more quiet hours, no more sound", f.settings(40, Settings{QuietDaily: &QuietDaily{}, QuietOnce: &QuietOnce{}, SoundC2C: &none}), func() {
			want.EventTimeMs, want.QuietDaily, want.QuietOnce, want.SoundC2C = at(40).UnixMilli(), nil, nil, ""
		}},
	} {
		got := f.apply(step.event)[0]
		if got.States != nil {
			t.Errorf("%s: settings concern no binding: %v", step.name, got.States)
		}
		if step.change == nil {
			if got.Settings != nil {
				t.Errorf("%s: to be written: %v", step.name, got.Settings)
			}
		} else {
			step.change()
			if diff := cmp.Diff(want, got.Settings, protocmp.Transform()); diff != "" {
				t.Errorf("%s: to be written: %s", step.name, diff)
			}
		}
		if diff := cmp.Diff(want, f.known(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: known: %s", step.name, diff)
		}
	}
}

// In a batch every answer holds the newest settings, so that the last one written is the one that is true, and other
// users' are not among them.
func testRow18SettingsInOneBatch(t *testing.T, f *fixture) {
	off, on := false, true
	carol := f.settings(1, Settings{Push: &off})
	carol.User = "carol"
	applied := f.apply(f.settings(1, Settings{Push: &off}), f.event(EventLogin, 1, token("aa")), carol,
		f.settings(2, Settings{Push: &on, Options: map[string]int{"c2c:alice": 2}}), f.settings(0, Settings{Push: &off}))
	want := &schemasv1.UserState{
		App: f.app, User: "bob", EventTimeMs: at(2).UnixMilli(), Options: []*schemasv1.ReceiveOption{option("c2c:alice", 2, 2)},
	}
	for _, i := range []int{0, 3} {
		if diff := cmp.Diff(want, applied[i].Settings, protocmp.Transform()); diff != "" {
			t.Errorf("event %d: %s", i, diff)
		}
	}
	if s := applied[2].Settings; s == nil || s.User != "carol" || !s.PushOff {
		t.Errorf("carol: %v", s)
	}
	if applied[1].Settings != nil || len(applied[1].States) != 1 || applied[4].Settings != nil {
		t.Errorf("login: %+v, older settings: %v", applied[1], applied[4].Settings)
	}
}

// "A daily window (start time, duration, time zone)": an event that names the zone is all that it takes, and when the
// clocks there change, the window goes with them.
func testRow18DailyDoNotDisturbFollowsTheZonesClock(t *testing.T, f *fixture) {
	set := func(zone string, startHour, hours int) {
		f.apply(f.settings(f.now.Sub(start).Seconds(), Settings{QuietDaily: &QuietDaily{startHour * 3600, hours * 3600, zone}}))
	}
	for _, row := range []struct {
		zone  string
		set   string // when the user chose 22:00, 8 h
		now   string
		quiet bool
	}{
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-24T19:59:59Z", false},
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-24T20:00:00Z", true},
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T04:59:59Z", true}, // the night has an hour more
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T05:00:00Z", false},
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T20:30:00Z", false},
		{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T21:00:00Z", true},
		{"America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T02:00:00Z", true},
		{"America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T02:59:59Z", false},
		{"America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T03:00:00Z", true},
		{"Asia/Kolkata", "2026-10-31T12:00:00Z", "2026-10-31T16:29:59Z", false},
		{"Asia/Kolkata", "2026-10-31T12:00:00Z", "2026-10-31T16:30:00Z", true},
		{"UTC", "2026-10-31T12:00:00Z", "2026-10-31T22:00:00Z", true},
		{"UTC", "2026-10-31T12:00:00Z", "2026-11-01T06:00:00Z", false},
	} {
		f.now = moment(t, row.set)
		f.apply(DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventLogin, EventTime: f.now, Platform: "apns", Token: pointer("aa")},
			DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventBackground, EventTime: f.now})
		set(row.zone, 22, 8)
		f.now = moment(t, row.now)
		want := push.ReasonBackground
		if row.quiet {
			want = push.ReasonQuietHours
		}
		if got := f.reason(); got != want {
			t.Errorf("22:00 to 06:00 in %s, set at %s, at %s: %s, want %s", row.zone, row.set, row.now, got, want)
		}
		// The next row begins with a binding of its own time.
		if err := f.client.Del(t.Context(), userKey(userTag(f.app, "bob")), settingsKey(userTag(f.app, "bob"))).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func pointer[T any](v T) *T { return &v }

// Whatever a user sets, their settings stay small: the option that was set longest ago gives way.
func testRow18OptionsAreBounded(t *testing.T, f *fixture) {
	all := make(map[string]int)
	for i := range maxOptions {
		all[fmt.Sprintf("group:%04d", i)] = 2
	}
	f.apply(f.settings(10, Settings{Options: all}))
	f.apply(f.settings(5, Settings{Push: pointer(true), Options: map[string]int{"group:old": 1}}))
	f.apply(f.settings(20, Settings{Options: map[string]int{"c2c:new": 2, "group:1999": 0}}))
	got := f.known()
	if len(got.Options) != maxOptions || got.EventTimeMs != at(5).UnixMilli() {
		t.Fatalf("%d options, general part of %d", len(got.Options), got.EventTimeMs)
	}
	names := make(map[string]bool)
	for _, o := range got.Options {
		names[o.Conversation] = true
	}
	if !names["c2c:new"] || !names["group:1999"] || names["group:old"] || names["group:0000"] {
		t.Errorf("kept: new %t, set again %t; gone: the oldest %t, the first of those of one time %t",
			names["c2c:new"], names["group:1999"], !names["group:old"], !names["group:0000"])
	}
}

// Settings that were lost come back whole from their states; what is newer in Redis stays, part by part.
func testRow18SettingsAreRestored(t *testing.T, f *fixture) {
	full := &schemasv1.UserState{
		App: f.app, User: "bob", EventTimeMs: at(10).UnixMilli(), PushOff: true, SoundC2C: "a.caf", SoundGroup: "b.caf",
		QuietDaily: &schemasv1.QuietDaily{StartS: 60, DurationS: 3600, TimeZone: "Europe/Berlin"},
		QuietOnce:  &schemasv1.QuietOnce{StartMs: at(1).UnixMilli(), UntilMs: at(2).UnixMilli()},
		Options:    []*schemasv1.ReceiveOption{option("c2c:alice", 2, 3), option("group:team", 4, 12)},
	}
	change := func(change func(s *schemasv1.UserState)) *schemasv1.UserState {
		s := proto.CloneOf(full)
		change(s)
		return s
	}
	on := change(func(s *schemasv1.UserState) { s.PushOff, s.EventTimeMs = false, at(20).UnixMilli() })
	for _, step := range []struct {
		name   string
		states []*schemasv1.UserState
		want   *schemasv1.UserState
	}{
		{"lost", []*schemasv1.UserState{full}, full},
		{"again", []*schemasv1.UserState{full}, full},
		{"older", []*schemasv1.UserState{change(func(s *schemasv1.UserState) { s.EventTimeMs, s.SoundC2C = at(9).UnixMilli(), "" })}, full},
		{"newer, then older", []*schemasv1.UserState{on, full}, on},
		{"an option that is older, one that is newer, one more", []*schemasv1.UserState{{
			App: f.app, User: "bob", Options: []*schemasv1.ReceiveOption{option("c2c:alice", 0, 2), option("c2c:carol", 1, 1), option("group:team", 0, 13)},
		}}, func() *schemasv1.UserState {
			on.Options = []*schemasv1.ReceiveOption{full.Options[0], option("c2c:carol", 1, 1), option("group:team", 0, 13)}
			return on
		}()},
		{"what cannot be settings", []*schemasv1.UserState{
			{App: f.app, User: "b\x1fob"}, {},
			{App: f.app, User: "bob", EventTimeMs: at(99).UnixMilli(), SoundC2C: "a\x1f"},
			{App: f.app, User: "bob", Options: []*schemasv1.ReceiveOption{option("c2c:al\x1fice", 0, 99)}},
			{App: f.app, User: "bob", EventTimeMs: at(99).UnixMilli(), QuietDaily: &schemasv1.QuietDaily{}},
		}, on},
	} {
		f.restoreSettings(step.states...)
		if diff := cmp.Diff(step.want, f.known(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	f.apply(f.settings(19, Settings{Push: pointer(false)}))
	if got := f.known(); got.PushOff {
		t.Error("an event older than what was restored changes it")
	}
}

// A zone that this process does not know leaves the window off, and in the state, for a process that does.
func testRow18UnknownZone(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	f.now = at(10)
	lost := &schemasv1.UserState{
		App: f.app, User: "bob", EventTimeMs: at(1).UnixMilli(),
		QuietDaily: &schemasv1.QuietDaily{DurationS: 86400, TimeZone: "Mars/Olympus_Mons"},
	}
	f.restoreSettings(lost)
	for _, now := range []float64{10, 3700, 7400} { // looked up again each hour
		f.now = at(now)
		if got := f.reason(); got != push.ReasonBackground {
			t.Errorf("after %v s: %s", now, got)
		}
	}
	if diff := cmp.Diff(lost, f.known(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// "Sound: per message > the user's default for the conversation type": from the event to the decision, and cleared again.
func testRow11DefaultSounds(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	f.now = at(10)
	group := func(q *DecideRequest) { q.Group = true }
	for i, step := range []struct {
		single, group         *string
		wantSingle, wantGroup string
	}{
		{nil, nil, "", ""},
		{pointer("a.caf"), nil, "a.caf", ""},
		{nil, pointer(push.SoundSilent), "a.caf", push.SoundSilent},
		{pointer(""), pointer("b.caf"), "", "b.caf"},
	} {
		if i > 0 {
			f.apply(f.settings(float64(i), Settings{SoundC2C: step.single, SoundGroup: step.group}))
		}
		got := f.decide(f.message(), f.message(group))
		if got[0].Sound != step.wantSingle || got[1].Sound != step.wantGroup {
			t.Errorf("step %d: one-to-one %q, group %q; want %q, %q", i, got[0].Sound, got[1].Sound, step.wantSingle, step.wantGroup)
		}
	}
}

// An offset that ran out costs the first call a look at the zone, and nobody after it.
func TestRow18AnOffsetIsRenewedOnce(t *testing.T) {
	t.Parallel()
	client := dial(t, serve(t), 0)
	trips := &checker{t: t}
	client.AddHook(trips)
	f := newFixture(t, newRegistry(client, false, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.now = moment(t, "2026-10-24T12:00:00Z")
	f.apply(DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventLogin, EventTime: f.now, Platform: "apns", Token: pointer("aa")},
		DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventBackground, EventTime: f.now},
		f.settings(f.now.Sub(start).Seconds(), Settings{QuietDaily: &QuietDaily{22 * 3600, 3600, "Europe/Berlin"}}))
	f.reason()                                // the decision's script is known from here on
	f.now = moment(t, "2026-10-25T12:00:00Z") // the clocks were set back
	var got []int64
	for range 2 {
		before := trips.trips.Load()
		f.reason()
		got = append(got, trips.trips.Load()-before)
	}
	if diff := cmp.Diff([]int64{5, 1}, got); diff != "" { // decide, read, renew by a script that is unknown, renew, decide
		t.Errorf("round trips: %s", diff)
	}
	// Another process may have an older answer, or one about the zone of before.
	for _, late := range [][]any{{"Europe/Berlin", 7200, f.now.UnixMilli()}, {"Asia/Tokyo", 32400, int64(endOfTime)}} {
		call := f.scripts.settingsZone.call(t.Context(), []string{settingsKey(userTag(f.app, "bob"))}, late...)
		if answers, err := f.run(t.Context(), "renew", []*redis.StringCmd{call}); err != nil || answers[0] != "0" {
			t.Errorf("%v: %q, %v", late, answers, err)
		}
	}
}

func TestEmptyRedisTakesNoSettings(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	event := f.settings(1, Settings{Push: pointer(false)})
	if _, err := f.Apply(t.Context(), []DeviceEvent{event}); !errors.Is(err, ErrEmpty) {
		t.Errorf("apply: %v", err)
	}
	if n := f.client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
	lost := &schemasv1.UserState{App: f.app, User: "bob", EventTimeMs: at(2).UnixMilli(), PushOff: true}
	f.restoreSettings(lost)
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.apply(event)[0].Settings; got != nil {
		t.Errorf("an event older than what was restored: %v", got)
	}
	if got := f.known(); !proto.Equal(got, lost) {
		t.Errorf("restored: %v", got)
	}
}

func TestParseSettings(t *testing.T) {
	t.Parallel()
	const event = `{"App":"demo","User":"bob","Event":"settings","EventTime":1790000000000,`
	for _, row := range []struct {
		json string
		want Settings
	}{
		{
			`"Push":true,"Sounds":{"C2C":"a.caf","Group":"push.no_sound"},"ReceiveOptions":{"c2c:alice":2,"group:team":3},` +
				`"QuietDaily":{"Start":"22:00","Duration":28800,"TimeZone":"Asia/Shanghai"},"QuietOnce":{"Start":1790000000000,"Duration":3600}}`,
			Settings{
				Push: pointer(true), SoundC2C: pointer("a.caf"), SoundGroup: pointer(push.SoundSilent),
				Options:    map[string]int{"c2c:alice": 2, "group:team": 3},
				QuietDaily: &QuietDaily{79200, 28800, "Asia/Shanghai"}, QuietOnce: &QuietOnce{start, 3600},
			},
		},
		{`"Push":false,"Device":"bob-iphone","Flavor":"sweet"}`, Settings{Push: pointer(false)}},
		{`"QuietDaily":null,"QuietOnce":null}`, Settings{QuietDaily: &QuietDaily{}, QuietOnce: &QuietOnce{}}},
		{`"QuietDaily":{"Start":"00:00:01","Duration":1,"TimeZone":"UTC"}}`, Settings{QuietDaily: &QuietDaily{1, 1, "UTC"}}},
		{`"QuietDaily":{"Start":"23:59:59","Duration":86400,"TimeZone":"America/Argentina/Buenos_Aires"}}`,
			Settings{QuietDaily: &QuietDaily{86399, 86400, "America/Argentina/Buenos_Aires"}}},
		{`"Sounds":{"C2C":""}}`, Settings{SoundC2C: pointer("")}},
		{`"ReceiveOptions":{"group:a:b":4,"c2c:日本":0}}`, Settings{Options: map[string]int{"group:a:b": 4, "c2c:日本": 0}}},
	} {
		got, err := ParseDeviceEvent([]byte(event+row.json), start)
		want := DeviceEvent{App: "demo", User: "bob", Event: EventSettings, EventTime: start, Settings: &row.want}
		if err != nil {
			t.Errorf("%s: %v", row.json, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", row.json, diff)
		}
	}
}

func TestParseSettingsSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	daily := func(members string) string { return `"QuietDaily":{` + members + `}` }
	many := make(map[string]int)
	for i := range maxOptions + 1 {
		many[fmt.Sprint("c2c:", i)] = 0
	}
	options := `"ReceiveOptions":{`
	for _, name := range slices.Sorted(maps.Keys(many)) {
		options += `"` + name + `":1,`
	}
	for _, row := range []struct{ json, want string }{
		{`"Flavor":"sweet"`, "Event: settings that set nothing"},
		{`"Push":null,"Sounds":{},"ReceiveOptions":{}`, "Event: settings that set nothing"},
		{`"Push":1`, "Push: not of the right type"},
		{`"Sounds":"a.caf"`, "Sounds: not of the right type"},
		{`"Sounds":{"C2C":1}`, "Sounds: not of the right type"},
		{`"Sounds":{"C2C":"a\u0007"}`, "Sounds.C2C: holds a control character"},
		{`"ReceiveOptions":{"alice":1}`, "ReceiveOptions: a conversation has to be c2c:<user> or group:<group>"},
		{`"ReceiveOptions":{"c2c:":1}`, "ReceiveOptions: the id of a conversation: required"},
		{`"ReceiveOptions":{"c2c:a\u001fb":1}`, "ReceiveOptions: the id of a conversation: holds a control character"},
		{`"ReceiveOptions":{"group:team":5}`, "ReceiveOptions: of a group conversation has to be 0 to 4"},
		{`"ReceiveOptions":{"group:team":-1}`, "ReceiveOptions: of a group conversation has to be 0 to 4"},
		{`"ReceiveOptions":{"group:team":null}`, "ReceiveOptions: of a group conversation has to be 0 to 4"},
		{`"ReceiveOptions":{"c2c:alice":3}`, "ReceiveOptions: of a c2c conversation has to be 0 to 2"},
		{`"ReceiveOptions":{"c2c:alice":"2"}`, "ReceiveOptions: not of the right type"},
		{options + `"c2c:x":1}`, "ReceiveOptions: more than 2000"},
		{daily(``), "QuietDaily.Start: has to be HH:MM or HH:MM:SS"},
		{daily(`"Start":"24:00"`), "QuietDaily.Start"},
		{daily(`"Start":"7:00"`), "QuietDaily.Start"},
		{daily(`"Start":"07:00:00.5"`), "QuietDaily.Start"},
		{daily(`"Start":420`), "QuietDaily: Start: not of the right type"},
		{daily(`"Start":"07:00"`), "QuietDaily.Duration: has to be 1 to 86400 seconds"},
		{daily(`"Start":"07:00","Duration":86401`), "QuietDaily.Duration"},
		{daily(`"Start":"07:00","Duration":-1`), "QuietDaily.Duration"},
		{daily(`"Start":"07:00","Duration":60`), "QuietDaily.TimeZone: not the name of a time zone"},
		{daily(`"Start":"07:00","Duration":60,"TimeZone":"Local"`), "QuietDaily.TimeZone: not the name of a time zone"},
		{daily(`"Start":"07:00","Duration":60,"TimeZone":"Mars/Olympus_Mons"`), "QuietDaily.TimeZone: not the name of a known time zone"},
		{daily(`"Start":"07:00","Duration":60,"TimeZone":"../../etc/passwd"`), "QuietDaily.TimeZone: not the name of a known time zone"},
		{`"QuietOnce":{}`, "QuietOnce.Start: required, in milliseconds since 1970"},
		{`"QuietOnce":{"Start":1790000000,"Duration":60}`, "QuietOnce.Start: required, in milliseconds since 1970"},
		{`"QuietOnce":{"Start":9000000000000000000,"Duration":60}`, "QuietOnce.Start: more than a year in the future"},
		{`"QuietOnce":{"Start":1790000000000}`, "QuietOnce.Duration: has to be 1 to 2678400 seconds"},
		{`"QuietOnce":{"Start":1790000000000,"Duration":2678401}`, "QuietOnce.Duration"},
	} {
		value := `{"App":"demo","User":"bob","Event":"settings","EventTime":1790000000000,` + row.json + `}`
		_, err := ParseDeviceEvent([]byte(value), start)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%.200s: %v, want %q", value, err, row.want)
		}
	}
}
