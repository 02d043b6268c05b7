package registry

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// wishes are a user's settings as they lie in Redis.
type wishes struct {
	off                  bool
	single, group        string        // sounds
	start, length        time.Duration // quiet every day
	zone                 string
	offset               time.Duration
	offsetTill           time.Time
	quietFrom, quietTill time.Time
	conversation, option string
}

// wish writes bob's settings.
func (f *fixture) wish(w wishes) {
	f.t.Helper()
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	millis := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	general := make([]string, generalFields)
	general[0], general[1], general[2], general[3] = millis(start), "1", w.single, w.group
	if w.off {
		general[1] = "0"
	}
	if w.length > 0 {
		general[4], general[5], general[generalZone], general[7], general[8] =
			seconds(w.start), seconds(w.length), w.zone, seconds(w.offset), millis(w.offsetTill)
	}
	if !w.quietFrom.IsZero() {
		general[9], general[10] = millis(w.quietFrom), millis(w.quietTill)
	}
	fields := []any{"", strings.Join(general, unit)}
	if w.conversation != "" {
		fields = append(fields, w.conversation, w.option+unit+millis(start))
	}
	if err := f.client.HSet(f.t.Context(), settingsKey(userTag(f.app, "bob")), fields...).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// phone gives bob a phone in the background.
func (f *fixture) phone() {
	f.t.Helper()
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	f.now = at(10)
}

// "0 receive and push; 1 not received, not pushed; 2 received, not pushed; 3 received, pushed only when mentioned; 4 = only
// mentions received and pushed. @me and @all override 3 and 4, not 2."
func testRow18ReceiveOptions(t *testing.T, f *fixture) {
	f.phone()
	const mentioned, ignored = "mentioned", "the sender overrides it"
	for _, row := range []struct {
		option string
		how    string
		want   push.Reason
	}{
		{"", "", push.ReasonBackground},
		{"0", "", push.ReasonBackground},
		{"1", "", push.ReasonMuted},
		{"2", "", push.ReasonMuted},
		{"3", "", push.ReasonNotMentioned},
		{"4", "", push.ReasonNotMentioned},
		{"1", mentioned, push.ReasonMuted},
		{"2", mentioned, push.ReasonMuted},
		{"3", mentioned, push.ReasonBackground},
		{"4", mentioned, push.ReasonBackground},
		{"1", ignored, push.ReasonBackground},
		{"2", ignored, push.ReasonBackground},
		{"3", ignored, push.ReasonBackground},
	} {
		t.Run(row.option+" "+row.how, func(t *testing.T) {
			conversation := fmt.Sprintf("group:%s %s", row.option, row.how)
			if row.option != "" {
				f.wish(wishes{conversation: conversation, option: row.option})
			}
			q := f.message(func(q *DecideRequest) {
				q.Conversation, q.Group = conversation, true
				q.Mentioned, q.IgnoreOption = row.how == mentioned, row.how == ignored
			})
			elsewhere := f.message(func(q *DecideRequest) { q.Conversation = "group:another" })
			for i, d := range f.decide(q, q, elsewhere) {
				want := row.want
				if i == 2 {
					want = push.ReasonBackground
				}
				if got := d.Devices[0]; got.Reason != want || got.Push != (want == push.ReasonBackground) {
					t.Errorf("answer %d: %s, push %t; want %s", i, got.Reason, got.Push, want)
				}
			}
		})
	}
}

// "Global do-not-disturb: a daily window (start time, duration, time zone) or a one-off window": a push inside it is
// filtered, a mention and a call too.
func testRow18DoNotDisturb(t *testing.T, f *fixture) {
	f.phone()
	clock := func(s string) time.Time {
		moment, err := time.Parse(time.RFC3339, "2026-11-23T"+s+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	far := clock("00:00:00").AddDate(1, 0, 0)
	night := wishes{start: 22 * time.Hour, length: 8 * time.Hour, zone: "Asia/Shanghai", offset: 8 * time.Hour, offsetTill: far}
	siesta := wishes{start: 13 * time.Hour, length: 90 * time.Minute, zone: "America/New_York", offset: -5 * time.Hour, offsetTill: far}
	always := wishes{length: 24 * time.Hour, zone: "UTC", offsetTill: far}
	once := wishes{quietFrom: clock("10:00:00"), quietTill: clock("11:00:00")}
	both := night
	both.quietFrom, both.quietTill = once.quietFrom, once.quietTill
	stale := wishes{start: 22 * time.Hour, length: 8 * time.Hour, zone: "Asia/Shanghai", offset: 0, offsetTill: clock("00:00:00")}
	unknown := wishes{length: 24 * time.Hour, zone: "Nowhere/Atlantis", offsetTill: clock("00:00:00")}
	for _, row := range []struct {
		name  string
		w     wishes
		now   string
		quiet bool
	}{
		{"before the night in Shanghai", night, "13:59:59", false},
		{"22:00 in Shanghai", night, "14:00:00", true},
		{"past midnight there", night, "17:00:00", true},
		{"the last second", night, "21:59:59", true},
		{"06:00 in Shanghai", night, "22:00:00", false},
		{"west of Greenwich, before", siesta, "17:59:59", false},
		{"west of Greenwich, 13:00", siesta, "18:00:00", true},
		{"west of Greenwich, 14:30", siesta, "19:30:00", false},
		{"a whole day", always, "00:00:00", true},
		{"a whole day, its end", always, "23:59:59", true},
		{"once, before", once, "09:59:59", false},
		{"once, from its first second", once, "10:00:00", true},
		{"once, to its last", once, "10:59:59", true},
		{"once, over", once, "11:00:00", false},
		{"a window once beside a daily one", both, "10:30:00", true},
		{"and the daily one beside it", both, "14:30:00", true},
		{"an offset that ran out is renewed", stale, "14:00:00", true},
		{"as it was not quiet without its offset", stale, "22:00:00", false},
		{"a zone that nobody knows keeps nothing quiet", unknown, "12:00:00", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.wish(row.w)
			f.now = clock(row.now)
			f.apply(DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventBackground, EventTime: f.now})
			want := push.ReasonBackground
			if row.quiet {
				want = push.ReasonQuietHours
			}
			mention := f.message(func(q *DecideRequest) { q.Mentioned = true })
			call := f.message(func(q *DecideRequest) { q.Type = push.TypeVoIP })
			for i, d := range f.decide(f.message(), mention, call) {
				if got := d.Devices[0]; got.Reason != want || got.Push == row.quiet {
					t.Errorf("message, mention, call: number %d is %s, push %t; want %s", i, got.Reason, got.Push, want)
				}
			}
		})
	}
}

// Summer time begins: the stored offset holds until then, and the window moves with the clock on the wall.
func testRow18DoNotDisturbInSummer(t *testing.T, f *fixture) {
	f.phone()
	change := time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC) // Berlin goes from +1 h to +2 h
	f.wish(wishes{start: 22 * time.Hour, length: time.Hour, zone: "Europe/Berlin", offset: time.Hour, offsetTill: change})
	for _, row := range []struct {
		now  time.Time
		want push.Reason
	}{
		{time.Date(2027, 3, 27, 21, 30, 0, 0, time.UTC), push.ReasonQuietHours},
		{time.Date(2027, 3, 28, 21, 30, 0, 0, time.UTC), push.ReasonBackground},
		{time.Date(2027, 3, 28, 20, 30, 0, 0, time.UTC), push.ReasonQuietHours},
	} {
		f.now = row.now
		f.apply(DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: EventBackground, EventTime: f.now})
		if got := f.reason(); got != row.want {
			t.Errorf("%s: %s, want %s", row.now, got, row.want)
		}
	}
}

// "push on or off"; and where the message names no sound: "the user's default for the conversation type".
func testRow18PushOffAndSounds(t *testing.T, f *fixture) {
	f.phone()
	f.wish(wishes{off: true})
	if got := f.reason(); got != push.ReasonPushOff {
		t.Errorf("push off: %s", got)
	}
	f.wish(wishes{single: "a.caf", group: push.SoundSilent})
	one, group := f.message(), f.message(func(q *DecideRequest) { q.Group = true })
	for _, status := range []ClaimStatus{New, Replay} {
		got := f.decide(one, group)
		if got[0].Status != status || got[0].Sound != "a.caf" || got[1].Sound != push.SoundSilent || !got[1].Devices[0].Push {
			t.Errorf("%s: %+v", status, got)
		}
		f.wish(wishes{single: "b.caf"}) // a replay keeps what was decided
	}
}

// Each device gets one reason: its own first, then what its user says, the most general first.
func testRow23OneReasonEach(t *testing.T, f *fixture) {
	f.phone()
	f.apply(f.event(EventLogin, 9, token("bb"), of("bob", "open")), f.event(EventLogin, 0, of("bob", "tokenless")),
		f.event(EventLogin, 0, token("cc"), of("bob", "out")), f.event(EventLogout, 1, of("bob", "out")),
		f.event(EventLogin, -8*24*3600, token("dd"), of("bob", "drawer")))
	muted := wishes{conversation: "c2c:alice", option: "2", quietFrom: start, quietTill: at(3600)}
	off := muted
	off.off = true
	mentions := muted
	mentions.option = "3"
	quiet := muted
	quiet.option = "0"
	message := func(q *DecideRequest) { q.Conversation = "c2c:alice" }
	policy := func(q *DecideRequest) { q.AnyForeground = true }
	for _, row := range []struct {
		name    string
		w       wishes
		change  func(*DecideRequest)
		toPhone push.Reason
	}{
		{"push off before all", off, message, push.ReasonPushOff},
		{"muted before quiet hours", muted, message, push.ReasonMuted},
		{"not mentioned before quiet hours", mentions, message, push.ReasonNotMentioned},
		{"quiet hours", quiet, message, push.ReasonQuietHours},
		{"the app's policy is about devices, so before push off", off, policy, push.ReasonForeground},
	} {
		f.wish(row.w)
		got := make(map[string]push.Reason)
		for _, d := range f.decide(f.message(message, row.change))[0].Devices {
			got[d.Device] = d.Reason
		}
		want := map[string]push.Reason{
			"phone": row.toPhone, "open": push.ReasonForeground, "tokenless": push.ReasonNoToken,
			"out": push.ReasonLoggedOut, "drawer": push.ReasonInactive,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
}

// "Devices are decided one by one: a desktop session does not silence a phone, unless the app's policy says so."
func testAnyForeground(t *testing.T, f *fixture) {
	const user, device = push.ReasonForeground, push.ReasonBackground
	f.phone()
	for _, row := range []struct {
		name    string
		desktop DeviceEvent
		want    push.Reason
	}{
		{"open, without a token", f.event(EventLogin, 8, of("bob", "desktop")), user},
		{"open", f.event(EventLogin, 9, token("bb"), of("bob", "desktop")), user},
		{"in the background", f.event(EventBackground, 20, of("bob", "desktop")), device},
		{"open again", f.event(EventForeground, 30, of("bob", "desktop")), user},
		{"logged out", f.event(EventLogout, 40, of("bob", "desktop")), device},
	} {
		f.apply(row.desktop)
		f.now = row.desktop.EventTime.Add(time.Second)
		for _, policy := range []bool{false, true} {
			want := device
			if policy {
				want = row.want
			}
			decided := f.decide(f.message(func(q *DecideRequest) { q.AnyForeground = policy }))[0].Devices
			if got := decided[1]; got.Device != "phone" || got.Reason != want || got.Push != (want == device) {
				t.Errorf("%s, policy %t: decide: %+v", row.name, policy, got)
			}
			id := fmt.Sprint(row.name, policy)
			admitted := f.admit(f.request(id, func(q *AdmitRequest) { q.AnyForeground = policy }))[0]
			if pushed := admitted.Verdict == Go; pushed != (want == device) || (!pushed && admitted.Reason != push.ReasonForeground) {
				t.Errorf("%s, policy %t: admit: %s %s", row.name, policy, admitted.Verdict, admitted.Reason)
			}
		}
	}
	f.apply(f.event(EventLogin, 60, of("bob", "desktop")))
	f.now = at(61)
	for _, purpose := range []string{push.PurposeSync, push.PurposeRecall} {
		first := f.request("first of " + purpose)
		f.admit(first)
		f.settle(first, MarkDone, "")
		correction := f.request(purpose, func(q *AdmitRequest) { q.AnyForeground, q.Purpose, q.First = true, purpose, first.ID })
		if got := f.admit(correction)[0]; got.Verdict != Go {
			t.Errorf("%s while the desktop is open: %s %s", purpose, got.Verdict, got.Reason)
		}
	}
	f.now = at(1000) // the desktop's lease is over
	if got := f.decide(f.message(func(q *DecideRequest) { q.AnyForeground = true }))[0].Devices[1].Reason; got != device {
		t.Errorf("a session whose lease is over silences the phone: %s", got)
	}
}

// What a user chose before the push left its queue still holds it back; a replay keeps what was decided.
func testRow18SettingsWhileQueued(t *testing.T, f *fixture) {
	f.phone()
	for _, row := range []struct {
		name    string
		w       wishes
		purpose string
		want    push.Reason
	}{
		{"no settings", wishes{}, push.PurposeFirst, ""},
		{"push off", wishes{off: true}, push.PurposeFirst, push.ReasonPushOff},
		{"quiet hours", wishes{quietFrom: start, quietTill: at(3600)}, push.PurposeFirst, push.ReasonQuietHours},
		{"quiet hours, offset run out", wishes{length: 24 * time.Hour, zone: "UTC", offsetTill: start}, push.PurposeFirst, push.ReasonQuietHours},
		{"muted meanwhile", wishes{conversation: "c2c:alice", option: "2"}, push.PurposeFirst, ""},
		{"fallback in quiet hours", wishes{quietFrom: start, quietTill: at(3600)}, push.PurposeFallback, push.ReasonQuietHours},
		{"a correction makes no sound", wishes{quietFrom: start, quietTill: at(3600)}, push.PurposeSync, ""},
		{"a correction where push is off", wishes{off: true}, push.PurposeSync, push.ReasonPushOff},
	} {
		q := f.message()
		before := f.decide(q)[0]
		f.wish(row.w)
		id := "settings " + row.name
		request := f.request(id, func(q *AdmitRequest) { q.Purpose, q.First = row.purpose, "first of "+id })
		got := f.admit(request)[0]
		if got.Reason != row.want || (got.Verdict == Go) != (row.want == "") {
			t.Errorf("%s: %s %s, want %q", row.name, got.Verdict, got.Reason, row.want)
		}
		if again := f.admit(request)[0]; row.want != "" && (again.Verdict != Done || again.Reason != row.want) {
			t.Errorf("%s, again: %s %s", row.name, again.Verdict, again.Reason)
		}
		before.Status = Replay
		if diff := cmp.Diff(before, f.decide(q)[0]); diff != "" {
			t.Errorf("%s: the replay: %s", row.name, diff)
		}
		f.wish(wishes{conversation: "c2c:alice", option: "0"})
	}
	f.wish(wishes{off: true})
	q := f.message()
	f.decide(q)
	f.wish(wishes{})
	if got := f.decide(q)[0]; got.Status != Replay || got.Devices[0].Reason != push.ReasonPushOff {
		t.Errorf("a filtered message is filtered when it is read again: %+v", got)
	}
}
