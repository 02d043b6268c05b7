package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/operate"
)

const redriveSettings = "default_app: demo\nretry: {delays: [1s], max_attempts: 3}\nshutdown: {grace: 3s}"

// letters reads the fleet's dead letters.
func (f *embeddedFleet) letters() *operate.DeadLetters {
	return operate.NewDeadLetters(f.cluster, f.topics, fleet.Names())
}

// open are the letters that a filter chooses.
func (f *embeddedFleet) open(filter operate.Filter) []operate.Letter {
	f.t.Helper()
	var letters []operate.Letter
	if err := f.letters().Each(f.t.Context(), filter, func(l operate.Letter) bool {
		letters = append(letters, l)
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
	return letters
}

// buried waits until so many letters are open, and returns them.
func (f *embeddedFleet) buried(filter operate.Filter, n int) []operate.Letter {
	f.t.Helper()
	var letters []operate.Letter
	eventually(f.t, patience, 50*time.Millisecond, fmt.Sprintf("%d dead letters", n), func(context.Context) error {
		if letters = f.open(filter); len(letters) != n {
			return fmt.Errorf("%d letters", len(letters))
		}
		return nil
	})
	return letters
}

// clear deals with what a filter chooses, as pushctl does.
func (f *embeddedFleet) clear(c *operate.Clearing, filter operate.Filter) {
	f.t.Helper()
	var failed error
	err := f.letters().Each(f.t.Context(), filter, func(l operate.Letter) bool {
		failed = c.Add(f.t.Context(), l)
		return failed == nil
	})
	if err := errors.Join(err, failed, c.Flush(f.t.Context())); err != nil {
		f.t.Error(err)
	}
}

func (f *embeddedFleet) redrive(filter operate.Filter) int {
	f.t.Helper()
	c := f.letters().NewRedrive(f.pub, "ops@console", 0)
	f.clear(c, filter)
	return c.Done()
}

// applied waits until the role devices has read all of its topics.
func (f *embeddedFleet) applied() {
	f.t.Helper()
	inputs := []string{f.topics.Devices(), f.topics.Groups(), f.topics.Receipts()}
	eventually(f.t, patience, 20*time.Millisecond, "the role devices", func(ctx context.Context) error {
		rows, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, "devices"), inputs)
		for _, row := range rows {
			if row.Lag > 0 {
				return fmt.Errorf("%d records of %s are unread", row.Lag, row.Topic)
			}
		}
		return err
	})
}

// ended waits until what push.events says last of each message and user is what is wanted.
func (f *embeddedFleet) ended(want map[string]string) {
	f.t.Helper()
	eventually(f.t, patience, 50*time.Millisecond, "the ends", func(context.Context) error {
		got := map[string]string{}
		for what := range want {
			got[what] = f.endings().last[what]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("ends (-want +got):\n%s", diff)
		}
		return nil
	})
}

// device produces an event of a user's phone.
func (f *embeddedFleet) device(app, user, event string, more map[string]any) {
	f.t.Helper()
	value := map[string]any{"App": app, "User": user, "Device": "phone", "Event": event, "EventTime": time.Now().UnixMilli()}
	for name, v := range more {
		value[name] = v
	}
	f.produce(f.topics.Devices(), stream.UserKey(app, user), value)
}

// TestARedrivenPushEndsAsItsDeviceSaysNow: a redrive passes the end that the notification had, and nothing else.
func TestARedrivenPushEndsAsItsDeviceSaysNow(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 10, redriveSettings, map[string]string{"demo": ""})
	const users = 7
	tokens := f.phones("demo", "apns", users)
	refuse := func(token string, answers ...pushtest.Answer) {
		if err := f.sim.APNs.Control().Script.Put(token, answers); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range tokens {
		refuse(token, pushtest.Answer{Status: http.StatusBadRequest, Reason: "PayloadEmpty", Times: -1})
	}
	keys := make([]string, users)
	for i := range users {
		keys[i] = f.text("apns", userOf("apns", i), i)
	}
	rejected := operate.Filter{Reason: push.ReasonPayloadRejected}
	letters := f.buried(rejected, users)

	const unchanged, gone, opened, renewed, read, moved, refusedAgain = 0, 1, 2, 3, 4, 5, 6
	for i, token := range tokens {
		if i != refusedAgain {
			refuse(token)
		}
	}
	user := func(i int) string { return userOf("apns", i) }
	newToken, fcmToken := fmt.Sprintf("%064x", 77), "moved-token"
	f.device("demo", user(gone), "logout", nil)
	eventually(t, patience, 500*time.Millisecond, "a phone in the foreground", func(ctx context.Context) error { // of what comes within 2 s, background counts
		devices, err := f.reg.Devices(ctx, "demo", user(opened))
		if err == nil && devices[0].Presence != push.ReasonForeground {
			f.device("demo", user(opened), "foreground", nil)
			err = errors.New(string(devices[0].Presence))
		}
		return err
	})
	f.device("demo", user(renewed), "token", map[string]any{"Platform": "apns", "Credential": "ios", "Token": newToken})
	f.device("demo", user(moved), "token", map[string]any{"Platform": "fcm", "Credential": "android", "Token": fcmToken})
	f.produce(f.topics.Receipts(), stream.UserKey("demo", user(read)), map[string]any{"App": "demo", "User": user(read), "Device": "tablet",
		"Receipt": "read", "MsgKey": keys[read], "ReceiptTime": time.Now().UnixMilli()})
	f.applied()

	expired, first := f.expiredCopy(letters[0])
	if sent := f.redrive(rejected); sent != users+1 {
		t.Fatalf("%d letters sent back, want %d", sent, users+1)
	}
	f.ended(map[string]string{
		keys[unchanged] + " " + user(unchanged): "delivered ", keys[gone] + " " + user(gone): "filter logged_out",
		keys[opened] + " " + user(opened): "filter foreground", keys[renewed] + " " + user(renewed): "delivered ",
		keys[read] + " " + user(read): "filter read", keys[moved] + " " + user(moved): "delivered ",
		keys[refusedAgain] + " " + user(refusedAgain): "dead payload_rejected", expired + " " + user(users): "filter expired",
	})
	for token, control := range map[string]*pushtest.Control{tokens[unchanged]: f.sim.APNs.Control(), newToken: f.sim.APNs.Control(), fcmToken: f.sim.FCM.Control()} {
		if n := accepted(control, []string{token}); n != 1 {
			t.Errorf("%s got %d pushes, want one", token, n)
		}
	}
	if n := accepted(f.sim.APNs.Control(), []string{tokens[gone], tokens[opened], tokens[renewed], tokens[read], tokens[moved], tokens[refusedAgain]}); n != 0 {
		t.Errorf("%d pushes to phones that are to get none", n)
	}

	again := f.buried(rejected, 1)
	refuse(tokens[refusedAgain])
	if sent := f.redrive(rejected); sent != 1 {
		t.Errorf("%d letters that died again sent back, want one", sent)
	}
	f.ended(map[string]string{keys[refusedAgain] + " " + user(refusedAgain): "delivered "})
	f.sentBackWith(again[0].ID, []int{1, 2}, first[again[0].ID])
}

// expiredCopy writes a dead letter like the given one, for a user who is not there, whose lifetime is over. It returns its message key, and when
// each notification was seen first.
func (f *embeddedFleet) expiredCopy(like operate.Letter) (key string, first map[string]time.Time) {
	f.t.Helper()
	first = map[string]time.Time{}
	var copied stream.Message
	if err := f.cluster.Scan(f.t.Context(), f.topics.Dead("apns"), nil, func(r *stream.Record) bool {
		n, meta, err := stream.DecodeWork(r)
		if err != nil {
			f.t.Fatal(err)
		}
		first[n.ID] = meta.FirstSeen
		if r.Origin() == like.Position.String() {
			n.ID, n.User, n.MsgKey, n.Expires = "59d9f5c0-7a4c-5f9e-9f3c-2f6d3a1b0c9d", userOf("apns", 7), "c2c:alice:9_9_9", time.Now().Add(-time.Second)
			meta.ID = n.ID
			copied = stream.Message{Topic: r.Topic, Key: stream.DeviceKey(n.App, n.User, n.Device), Value: stream.EncodeNotification(n),
				Headers: meta.Headers(), Partition: stream.ByKey}
		}
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	f.pub.Publish(f.t.Context(), copied, func(err error) { done <- err })
	if err := <-done; err != nil {
		f.t.Fatal(err)
	}
	return "c2c:alice:9_9_9", first
}

// sentBackWith checks the redrive numbers of a notification's records in its lane, and that each begins at the first attempt and
// keeps when it was seen first.
func (f *embeddedFleet) sentBackWith(id string, want []int, first time.Time) {
	f.t.Helper()
	var got []int
	for _, lane := range push.Lanes {
		if err := f.cluster.Scan(f.t.Context(), f.topics.Work("apns", lane), nil, func(r *stream.Record) bool {
			n, meta, err := stream.DecodeWork(r)
			if err == nil && n.ID == id && meta.Redrive > 0 {
				got = append(got, meta.Redrive)
				if meta.Attempt != 1 || !meta.FirstSeen.Equal(first) {
					f.t.Errorf("redrive %d: attempt %d, first seen %v, want 1 and %v", meta.Redrive, meta.Attempt, meta.FirstSeen, first)
				}
			}
			return true
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		f.t.Errorf("redrive numbers %v, want %v", got, want)
	}
}

// forgetful publishes letters' records, and loses the marks: a redrive that was killed between the two.
type forgetful struct {
	operate.Publisher
	dead string
}

func (p forgetful) Publish(ctx context.Context, m stream.Message, done func(error)) {
	if m.Topic == p.dead {
		done(stream.ErrClosed)
		return
	}
	p.Publisher.Publish(ctx, m, done)
}

// TestNobodyIsPushedTwiceByARedrive: after one that was killed before it could mark anything, and by two operators at once.
func TestNobodyIsPushedTwiceByARedrive(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 10, redriveSettings, map[string]string{"demo": ""})
	const users = 30
	tokens := f.phones("demo", "apns", users)
	provider := f.sim.APNs.Control()
	if err := provider.Script.Put("", []pushtest.Answer{{Status: http.StatusBadRequest, Reason: "PayloadEmpty", Times: -1}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range users {
		want[f.text("apns", userOf("apns", i), i)+" "+userOf("apns", i)] = "delivered "
	}
	f.buried(operate.Filter{}, users)
	if err := provider.Script.Put("", nil); err != nil {
		t.Fatal(err)
	}

	killed := f.letters().NewRedrive(forgetful{f.pub, f.topics.Dead("apns")}, "ops@console", 0)
	failed := 0
	for _, l := range f.open(operate.Filter{})[:users/2] {
		if killed.Add(t.Context(), l) != nil {
			failed++
		}
	}
	if err := killed.Flush(t.Context()); !errors.Is(err, stream.ErrClosed) || failed > 0 || killed.Done() != 0 {
		t.Fatalf("%d marked, %v", killed.Done(), err)
	}
	if left := f.open(operate.Filter{}); len(left) != users {
		t.Fatalf("%d letters are open, want all %d", len(left), users)
	}
	var operators sync.WaitGroup
	for range 2 {
		operators.Go(func() { f.clear(f.letters().NewRedrive(f.pub, "ops@console", 200), operate.Filter{}) })
	}
	operators.Wait()
	f.ended(want)
	eventually(t, patience, 50*time.Millisecond, "the copies", func(ctx context.Context) error {
		rows, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, "deliver-apns"), []string{f.topics.Work("apns", push.LaneUrgent), f.topics.Work("apns", push.LaneNormal), f.topics.Retry("apns", time.Second)})
		for _, row := range rows {
			if row.Lag > 0 && row.Committed >= 0 {
				return fmt.Errorf("%d records of %s are unread", row.Lag, row.Topic)
			}
		}
		return err
	})
	if n := accepted(provider, tokens); n != users {
		t.Errorf("%d pushes to %d phones", n, users)
	}
	if left := f.open(operate.Filter{}); len(left) != 0 {
		t.Errorf("%d letters are open", len(left))
	}
}

// TestRedrivenInputs: what was refused for want of an app, or of a group's members, goes its way once they are there.
func TestRedrivenInputs(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 10, redriveSettings, map[string]string{"demo": ""})
	tokens := f.phones("demo", "apns", 2)
	provider := f.sim.APNs.Control()

	// A group that nobody knows.
	began := time.Now()
	group := map[string]any{"App": "demo", "GroupId": "team", "From_Account": "alice", "Random": 7, "MsgTimeStamp": began.Unix(),
		"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": "all"}}}}
	f.produce(f.topics.Messages(), []byte("demo|team"), group)
	toGroup := f.buried(operate.Filter{}, 1)[0]
	if toGroup.Reason != push.ReasonInvalidMessage || toGroup.MsgKey != "group:team:7_"+strconv.FormatInt(began.Unix(), 10) {
		t.Errorf("letter %+v", toGroup)
	}
	for i := range 2 {
		f.produce(f.topics.Groups(), stream.MemberKey("demo", "team", userOf("apns", i)), map[string]any{"App": "demo", "Group": "team",
			"User": userOf("apns", i), "JoinedTime": began.Add(-time.Minute).UnixMilli()})
	}
	f.applied()
	if sent := f.redrive(operate.Filter{}); sent != 1 {
		t.Fatalf("%d sent back", sent)
	}
	arrived := func(tokens []string, n int, what string) {
		t.Helper()
		eventually(t, patience, 20*time.Millisecond, what, func(context.Context) error {
			if got := accepted(provider, tokens); got != n {
				return fmt.Errorf("%d pushes", got)
			}
			return nil
		})
	}
	arrived(tokens, 2, "the group's pushes, in the window in which a second record is a duplicate")
	if sent := f.redrive(operate.Filter{Redriven: true}); sent != 1 {
		t.Errorf("%d sent back again", sent)
	}
	f.ended(map[string]string{toGroup.MsgKey + " " + userOf("apns", 0): "filter duplicate", toGroup.MsgKey + " " + userOf("apns", 1): "filter duplicate"})

	// An app that is not configured yet: its phone's login, and a message without a number and a time.
	login := map[string]any{"App": "later", "User": "bob", "Device": "phone", "Event": "login", "EventTime": time.Now().Add(-10 * time.Minute).UnixMilli(),
		"Platform": "apns", "Credential": "ios", "Token": fmt.Sprintf("%064x", 99)}
	f.produce(f.topics.Devices(), stream.UserKey("later", "bob"), login)
	f.produce(f.topics.Messages(), []byte("later|alice"), map[string]any{"App": "later", "From_Account": "alice", "To_Account": "bob",
		"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": "hello"}}}})
	unknown := operate.Filter{Reason: push.ReasonUnknownApp}
	letters := f.buried(unknown, 2)
	f.stop()
	f.cfg.Apps["later"] = f.cfg.Apps["demo"]
	f.run()
	events, messages := operate.Filter{Topic: f.topics.InputDead(f.topics.Devices())}, operate.Filter{Topic: f.topics.InputDead(f.topics.Messages())}
	if sent := f.redrive(events); sent != 1 {
		t.Errorf("%d events sent back", sent)
	}
	f.applied()
	if sent := f.redrive(messages); sent != 1 {
		t.Errorf("%d messages sent back", sent)
	}
	arrived([]string{login["Token"].(string)}, 1, "the push of an app that was not configured")
	died := letters[slices.IndexFunc(letters, func(l operate.Letter) bool { return l.Topic == messages.Topic })]
	f.ended(map[string]string{"at:" + died.Origin + " bob": "delivered "})
}
