package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// number decides a message and returns the number that bob's phone would show.
func (f *fixture) number(q DecideRequest) int {
	f.t.Helper()
	for _, d := range f.decide(q)[0].Devices {
		if d.Device == "phone" {
			return d.Badge
		}
	}
	f.t.Fatal("bob has no phone")
	return 0
}

// "Count badges atomically and exactly once per message and device."
func testRow14CountedOnce(t *testing.T, f *fixture) {
	f.phone()
	key := func(q *DecideRequest) { q.MsgKey, q.ContentKey = "c2c:alice:1_2_3", "c2c:alice:1_2_3_ffffffff" }
	first := f.message(key)
	other := f.message(key)
	other.Claim = first.Claim
	other.Claim.Content = "ffffffff"
	duplicate := first
	duplicate.Origin = "im.messages/0/again"
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"decided", func() { f.decide(first) }, 1},
		{"read again after a crash", func() { f.decide(first, first) }, 1},
		{"sent twice by the IM", func() { f.decide(duplicate) }, 1},
		{"tried three times", func() {
			for n := range 3 {
				q := f.request("tries", attempt(n))
				f.admit(q)
				f.settle(q, MarkRetry, push.ReasonTimeout)
			}
		}, 1},
		{"read again after its claim is forgotten", func() {
			if err := f.client.Del(t.Context(), claimKey(userTag(f.app, "bob"), first.Claim.Key)).Err(); err != nil {
				t.Fatal(err)
			}
			f.decide(first)
		}, 1},
		{"other content under the same key is another message", func() { f.decide(other) }, 2},
		{"and read again", func() { f.decide(other) }, 2},
		{"a message that does not count", func() { f.decide(f.message(func(q *DecideRequest) { q.Counts = false })) }, 2},
		{"one more", func() { f.decide(f.message()) }, 3},
	} {
		step.do()
		if got := f.shown(t).Badge; got != step.want {
			t.Errorf("%s: the badge is %d, want %d", step.name, got, step.want)
		}
	}
}

// What is filtered does not count, whether that was decided at once or right before the send. What ends later stays counted.
func testRow14FilteredDoesNotCount(t *testing.T, f *fixture) {
	f.phone()
	quiet := wishes{quietFrom: start, quietTill: at(3600)}
	for i, row := range []struct {
		name    string
		decided wishes
		sent    wishes
		want    int
	}{
		{"pushed", wishes{}, wishes{}, 5},
		{"push off", wishes{off: true}, wishes{}, 4},
		{"quiet hours", quiet, wishes{}, 4},
		{"push off while queued", wishes{}, wishes{off: true}, 4},
		{"quiet hours while queued", wishes{}, quiet, 4},
	} {
		f.apply(f.event(EventBackground, float64(100+10*i), unread(4)))
		f.now = at(float64(105 + 10*i))
		q := f.message()
		f.wish(row.decided)
		f.decide(q)
		f.wish(row.sent)
		request := f.request("count "+row.name, func(a *AdmitRequest) { a.MsgKey = q.MsgKey })
		f.admit(request)
		f.admit(request)
		if got := f.shown(t).Badge; got != row.want {
			t.Errorf("%s: the badge is %d, want %d", row.name, got, row.want)
		}
	}
	for i, row := range []struct {
		name   string
		state  MarkState
		reason push.Reason
	}{
		{"expired in the queue", MarkDone, push.ReasonExpired},
		{"its token was dead", MarkDone, push.ReasonUnregistered},
		{"dead letter", MarkDead, push.ReasonTooLarge},
	} {
		f.apply(f.event(EventBackground, float64(200+10*i), unread(4)))
		f.now = at(float64(205 + 10*i))
		f.wish(wishes{})
		q := f.message()
		f.decide(q)
		request := f.request("count "+row.name, func(a *AdmitRequest) { a.MsgKey = q.MsgKey })
		f.admit(request)
		f.settle(request, row.state, row.reason)
		f.admit(request)
		if got := f.shown(t).Badge; got != 5 {
			t.Errorf("%s: the badge is %d, want 5", row.name, got)
		}
	}
}

// "never sent as 0": a push that does not count sends the current number or none. Only a push in the background, which
// shows nothing, brings the 0 that a client reported.
func testRow14NeverZero(t *testing.T, f *fixture) {
	f.phone()
	quiet := func(q *DecideRequest) { q.Counts = false }
	background := func(q *DecideRequest) { q.Counts, q.Type = false, push.TypeBackground }
	admitted := func(id string, kind push.Type) int {
		return f.admit(f.request(id, func(q *AdmitRequest) { q.Type = kind }))[0].Badge
	}
	for _, row := range []struct {
		name              string
		unread            []func(*DeviceEvent)
		alert, background int
	}{
		{"nothing known", nil, push.NoBadge, push.NoBadge},
		{"0 reported", []func(*DeviceEvent){unread(0)}, push.NoBadge, 0},
		{"3 reported", []func(*DeviceEvent){unread(3)}, 3, 3},
	} {
		f.apply(f.event(EventBackground, 7, row.unread...))
		got := []int{
			f.number(f.message(quiet)), admitted(row.name+" alert", push.TypeAlert),
			f.number(f.message(background)), admitted(row.name+" background", push.TypeBackground),
		}
		if diff := cmp.Diff([]int{row.alert, row.alert, row.background, row.background}, got); diff != "" {
			t.Errorf("%s: alert decided and admitted, background decided and admitted: %s", row.name, diff)
		}
	}
}

// "A late unread report does not erase messages counted after it."
func testRow14LateUnread(t *testing.T, f *fixture) {
	f.phone()
	for i := range 5 {
		f.decide(f.message(func(q *DecideRequest) { q.RecordTime = at(float64(10 + i)) }))
	}
	f.now = at(20)
	for _, step := range []struct {
		event DeviceEvent
		want  int
	}{
		{f.event(EventBackground, 12, unread(2)), 4}, // the messages of 13 and 14 s came after it
		{f.event(EventBackground, 12, unread(2)), 4}, // a repeat
		{f.event(EventBackground, 11, unread(9)), 4}, // older
		{f.event(EventBackground, 30, unread(0)), 0},
	} {
		f.apply(step.event)
		if got := f.shown(t).Badge; got != step.want {
			t.Errorf("unread %d at %s: the badge is %d, want %d", *step.event.Unread, step.event.EventTime, got, step.want)
		}
	}
}

// The same where more came after it than are kept apart: a report erases none that is newer, however often it comes.
func testRow14LateUnreadAfterManyMessages(t *testing.T, f *fixture) {
	many := make([]DecideRequest, 300) // 10.000 to 10.299 s: all but the last 128 are folded into the number
	message := func(ms int) DecideRequest {
		return f.message(func(q *DecideRequest) { q.RecordTime = at(10 + float64(ms)/1000) })
	}
	read := func(n int) func() {
		return func() {
			q := many[n]
			_, err := f.Read(f.t.Context(), []Receipt{{App: f.app, User: q.User, Device: "desktop", Kind: ReceiptRead, MsgKey: q.MsgKey}})
			if err != nil {
				f.t.Fatal(err)
			}
		}
	}
	report := func(ms float64, n int) func() {
		return func() { f.apply(f.event(EventBackground, 10+ms/1000, unread(n))) }
	}
	decided := func(ms int) func() { return func() { f.decide(message(ms)) } }
	type step struct {
		name string
		do   func()
		want int
	}
	for _, story := range [][]step{
		{
			{"before all of them", report(-100, 2), 302},
			{"again", report(-100, 2), 302},
			{"older", report(-200, 50), 302},
			{"one is read", read(299), 301},
			{"again, after that", report(-100, 2), 301},
			{"one that was folded is read", read(0), 301},
			{"one more", decided(400), 302},
			{"again, after one was folded", report(-100, 2), 302},
			{"after all of them", report(500, 0), 0},
			{"again, after all of them", report(500, 0), 0},
			{"a message from before it", decided(450), 0},
			{"of its time", decided(500), 0},
			{"after it", decided(501), 1},
			{"again, with that message counted", report(500, 0), 1},
		},
		{
			{"between two that are kept apart", report(200, 7), 106},
			{"again", report(200, 7), 106},
		},
		{{"as of the newest folded one", report(171, 0), 128}},
		// How many of the folded ones came after it is not known: none is erased.
		{{"among the folded ones", report(100, 0), 300}, {"again", report(100, 0), 300}, {"the next one puts it right", report(250, 1), 50}},
	} {
		f.phone()
		for i := range many {
			many[i] = message(i)
		}
		f.decide(many...)
		for _, s := range story {
			s.do()
			if got := f.shown(t).Badge; got != s.want {
				t.Errorf("%s: the badge is %d, want %d", s.name, got, s.want)
			}
		}
		f.app += "'" // the next one begins anew
	}
}

// A report costs a device no more than its time.
func testUnreadReportsAreSmall(t *testing.T, f *fixture) {
	f.phone()
	size := func() int64 { return f.client.StrLen(t.Context(), userKey(userTag(f.app, "bob"))).Val() }
	f.decide(f.message())
	before := size()
	f.apply(f.event(EventBackground, 20, unread(3)))
	if grew := size() - before; grew > 14 {
		t.Errorf("it grew by %d bytes", grew)
	}
}

func testCountedMessagesAreBounded(t *testing.T, f *fixture) {
	f.phone()
	requests := make([]DecideRequest, 300)
	for i := range requests {
		requests[i] = f.message(func(q *DecideRequest) { q.RecordTime = at(10 + float64(i)/1000) })
	}
	f.decide(requests...)
	if got := f.shown(t).Badge; got != 300 {
		t.Errorf("the badge is %d, want 300", got)
	}
	key := badgePrefix(userTag(f.app, "bob")) + "phone"
	if n := f.client.ZCard(t.Context(), key).Val(); n != 128 {
		t.Errorf("%d messages are kept, want 128", n)
	}
	if life := f.client.PTTL(t.Context(), key).Val(); life < 7*24*time.Hour || life > 8*24*time.Hour {
		t.Errorf("they are kept for %s", life)
	}
	// An old one is in the number and no longer in the set; a new one can be taken out.
	for _, read := range []struct{ message, want int }{{0, 300}, {299, 299}} {
		_, err := f.Read(t.Context(), []Receipt{{App: f.app, User: "bob", Device: "phone", Kind: ReceiptRead, MsgKey: requests[read.message].MsgKey}})
		if got := f.shown(t).Badge; got != read.want || err != nil {
			t.Errorf("after message %d was read: %d, want %d; %v", read.message, got, read.want, err)
		}
	}
}

// A message that is read on one device leaves the numbers of all, is not pushed any more where it is queued, and where it
// was shown the icon is corrected.
func testRead(t *testing.T, f *fixture) {
	phone := f.event(EventLogin, 0, token("aa"))
	f.apply(phone, f.event(EventBackground, 5, unread(4)),
		f.event(EventLogin, 0, token("bb"), of("bob", "pad")), f.event(EventBackground, 5, of("bob", "pad")),
		f.event(EventLogin, 9, token("cc"), of("bob", "desktop")))
	f.now = at(10)
	message := func(n int) DecideRequest {
		return f.message(func(q *DecideRequest) { q.MsgKey = fmt.Sprint("c2c:alice:", n) })
	}
	receipt := func(n int, device string) Receipt {
		return Receipt{App: f.app, User: "bob", Device: device, Kind: ReceiptRead, MsgKey: fmt.Sprint("c2c:alice:", n), Time: f.now}
	}
	read := func(receipts ...Receipt) []string {
		t.Helper()
		syncs, err := f.Read(t.Context(), receipts)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, s := range syncs {
			if s.App != f.app || s.User != "bob" || s.Binding.Token == "" {
				t.Errorf("sync: %+v", s)
			}
			got = append(got, fmt.Sprintf("%s %s %d", s.MsgKey, s.Device, s.Badge))
		}
		return got
	}
	send := func(n int, device string) AdmitRequest {
		key := fmt.Sprint("c2c:alice:", n)
		return f.request(notificationID(f, key, device), on(device), func(q *AdmitRequest) { q.MsgKey = key })
	}
	shown := func(n int, devices ...string) {
		for _, device := range devices {
			q := send(n, device)
			f.admit(q)
			f.settle(q, MarkDone, "")
		}
	}
	compare := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	none := []string{}

	f.decide(message(1), message(2), message(3), message(4)) // phone 8, pad 4
	compare("read while still queued: no icon shows it", none, read(receipt(1, "desktop")))
	compare("it left the number", 7, f.shown(t).Badge)
	compare("and is not pushed", push.ReasonRead, f.admit(send(1, "phone"))[0].Reason)
	compare("nor counted twice out", 7, f.shown(t).Badge)

	shown(2, "phone", "pad")
	shown(3, "phone")
	want := []string{"c2c:alice:2 phone 6", "c2c:alice:2 pad 2"}
	compare("read after it was shown", want, read(receipt(2, "desktop")))
	compare("the receipt again, as after a crash", want, read(receipt(2, "desktop")))
	compare("read on another device too", none, read(receipt(2, "phone")))
	compare("the number fell once", 6, f.shown(t).Badge)
	compare("one more within ten seconds: the correction is on its way", none, read(receipt(3, "desktop")))
	f.now = at(20)
	compare("the correction brings the number as it is then", 5, f.admit(f.request("sync", func(q *AdmitRequest) {
		q.Purpose, q.Type, q.First, q.MsgKey = push.PurposeSync, push.TypeBackground, send(2, "phone").ID, "c2c:alice:2"
	}))[0].Badge)
	shown(4, "phone", "pad")
	compare("the device on which it was read shows it itself", []string{"c2c:alice:4 pad 0"}, read(receipt(4, "phone")))

	compare("unknown messages change nothing", none, read(receipt(99, "phone"), receipt(98, "desktop")))
	compare("the number", 4, f.shown(t).Badge)
	late := f.decide(message(99))[0]
	compare("read before it was routed: not pushed", push.ReasonRead, late.Devices[2].Reason)
	compare("and not counted", 4, f.shown(t).Badge)

	// What was shown so long ago that its mark is forgotten; and what had another end.
	f.decide(message(10), message(11), message(12), message(13)) // record time 20 s
	for n, state := range map[int]MarkState{11: MarkDead, 12: MarkRetry, 13: MarkReleased} {
		q := send(n, "phone")
		f.admit(q)
		f.settle(q, state, push.ReasonTooLarge)
	}
	f.now = at(20 + 16*60)
	compare("the mark is forgotten", []string{"c2c:alice:10 phone 7", "c2c:alice:10 pad 3"}, read(receipt(10, "desktop")))
	f.now = f.now.Add(SyncWait)
	f.apply(f.event(EventForeground, 900, of("bob", "pad")))
	f.now = at(1100)
	compare("dead: never shown; the pad is open", none, read(receipt(11, "desktop")))
	compare("a try may have been shown", []string{"c2c:alice:12 phone 5"}, read(receipt(12, "desktop")))
	f.now = f.now.Add(SyncWait)
	compare("given back after a try", []string{"c2c:alice:13 phone 4"}, read(receipt(13, "desktop")))
	if life := f.client.PTTL(t.Context(), readKey(userTag(f.app, "bob"), digest("c2c:alice:1"))).Val(); life < 23*time.Hour || life > 24*time.Hour {
		t.Errorf("a read mark lives %s", life)
	}
}
