package route

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	toBob      = `{"From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":1,"MsgRandom":2,` + text + `}`
	recallOf   = `{"App":"demo","User":"alice","Receipt":"recall","MsgKey":"KEY","ReceiptTime":1790000001000}`
	toBobKey   = "c2c:alice:1_2_1790000000"
	toTeamKey  = "group:team:1_1790000000"
	taken      = "event filter recalled"
	replacedBy = `push.apns.normal phone "Alice:[Message recalled]" badge 4 purpose recall sound push.no_sound in the first one's place`
)

// receipts hands receipts to route, and says what came of them.
func (r *rig) receipts(t *testing.T, values ...string) []string {
	t.Helper()
	r.lines, r.acks = nil, nil
	var batch []*stream.Record
	for i, value := range values {
		batch = append(batch, r.recordOf("im.receipts", int64(i), []byte(value)))
	}
	r.route.HandleReceipts(t.Context(), batch)
	if len(r.acks) != len(values) {
		t.Errorf("acknowledged %v of %d receipts", r.acks, len(values))
	}
	return r.lines
}

func TestARecallReplacesWhatIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		messages []string
		key      string
		want     []string
	}{
		"one-to-one": {[]string{toBob}, toBobKey, []string{taken, replacedBy, "event bob phone push background"}},
		"in a group, to whom it was addressed": {
			[]string{strings.Replace(toTeam, "{", `{"To_Account":["bob"],`, 1)}, toTeamKey,
			[]string{taken, strings.Replace(replacedBy, "Alice:", "Alice(Team):", 1), "event bob phone push background"}},
		"in a group, to all": {[]string{toTeam}, toTeamKey,
			[]string{taken, strings.Replace(replacedBy, "Alice:", "Alice(Team):", 1), "event bob phone push background"}},
		"of a message with a title": {[]string{strings.Replace(toBob, "{", `{"OfflinePushInfo":{"Title":"News","Ext":"e"},`, 1)}, toBobKey,
			[]string{taken, strings.Replace(replacedBy, "Alice:", "", 1), "event bob phone push background"}},
		"of other content under the same key": {
			[]string{toBob, strings.ReplaceAll(toBob, "hello", "other")}, toBobKey + "_5c2a8fd9",
			[]string{taken}},
		"of a message that was never seen": {nil, toBobKey, []string{taken}},
		"of a message that wakes the app":  {[]string{strings.Replace(toBob, "{", `{"OfflinePushInfo":{"ApnsInfo":{"PushType":"background"}},`, 1)}, toBobKey, []string{taken}},
		"of no message's key":              {[]string{toBob}, "nonsense", []string{taken}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.device(t, "bob", "phone", 4)
			r.join(t, "team", clock.Add(-time.Minute), "alice", "bob")
			for i, m := range c.messages {
				r.route.Handle(t.Context(), []*stream.Record{r.record(int64(i), m)})
			}
			if got := r.receipts(t, strings.Replace(recallOf, "KEY", c.key, 1)); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestARecallOfOneContentLeavesTheOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device(t, "bob", "phone", 4)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob), r.record(1, strings.ReplaceAll(toBob, "hello", "other"))})
	n, err := stream.DecodeNotification(r.sent[1].Value)
	if err != nil || n.MsgKey == toBobKey {
		t.Fatalf("the second one's key is %s, %v", n.MsgKey, err)
	}
	second := n.ID
	r.sent = nil
	r.receipts(t, strings.Replace(recallOf, "KEY", n.MsgKey, 1))
	if len(r.sent) != 1 {
		t.Fatalf("%q", r.lines)
	}
	if n, err = stream.DecodeNotification(r.sent[0].Value); err != nil || n.CollapseID != second {
		t.Errorf("replaces %s, want %s, %v", n.CollapseID, second, err)
	}
}

func TestARecallThatComesBeforeItsMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device(t, "bob", "phone", 4)
	r.receipts(t, strings.Replace(recallOf, "KEY", toBobKey, 1))
	r.lines = nil
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
	if want := []string{"event bob filter recalled"}; !slices.Equal(r.lines, want) {
		t.Errorf("got %q, want %q", r.lines, want)
	}
}

func TestARecallOfWhatTheLogHasNoMoreOnlyMarks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"expired": func(r *rig) { delete(r.log, "im.messages/0/0") },
		"another message is there, and shown": func(r *rig) {
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, strings.Replace(toBob, `"MsgRandom":2`, `"MsgRandom":3`, 1))})
		},
		"something else stands there": func(r *rig) { r.record(0, "{") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.device(t, "bob", "phone", 4)
			r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
			change(r)
			if got, want := r.receipts(t, strings.Replace(recallOf, "KEY", toBobKey, 1)), []string{taken}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			r.lines = nil
			r.route.Handle(t.Context(), []*stream.Record{r.record(1, toBob)})
			if want := []string{"event bob filter recalled"}; !slices.Equal(r.lines, want) {
				t.Errorf("sent again: %q, want %q", r.lines, want)
			}
		})
	}
}

func TestARecallOfACallReplacesAlertsAndNoRinging(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	voip := tokenOf("calls")
	r.phone(t, "bob", "phone", 4, func(e *registry.DeviceEvent) { e.VoIPToken = &voip })
	r.device(t, "bob", "tablet", 4)
	call := strings.Replace(toBob, "{", `{"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}},`, 1)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, call)})
	want := []string{taken, strings.NewReplacer("phone", "tablet", "normal", "urgent").Replace(replacedBy), "event bob tablet push background"}
	if got := r.receipts(t, strings.Replace(recallOf, "KEY", toBobKey, 1)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestARecallOnADeviceWithAServiceOfItsOwn: nobody knows whether the service or its fallback shows the message.
func TestARecallOnADeviceWithAServiceOfItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	yes, token := true, "fcm-token"
	r.phone(t, "bob", "phone", 4, func(e *registry.DeviceEvent) { e.Platform, e.Token, e.Service = "fcm", &token, &yes })
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
	r.sent = nil
	want := []string{taken, strings.Replace(replacedBy, "apns", "service", 1), strings.Replace(replacedBy, "apns", "fcm", 1), "event bob phone push background"}
	if got := r.receipts(t, strings.Replace(recallOf, "KEY", toBobKey, 1)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	ids := map[string]bool{}
	for _, m := range r.sent {
		n, err := stream.DecodeNotification(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		ids[n.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("one would be taken for the other: %v", ids)
	}
}

func TestARecallInABigGroupGoesThroughItsRanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	users := names(0, 501)
	r.join(t, "team", clock.Add(-time.Minute), users...)
	phones := everyTenth(users)
	r.phones(t, 4, phones...)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toTeam)})
	r.route.HandleFanout(t.Context(), r.parts())
	r.sent = nil
	got := r.receipts(t, strings.Replace(recallOf, "KEY", toTeamKey, 1))
	if len(got) != 2 || got[0] != taken || !strings.HasSuffix(got[1], "recall") {
		t.Fatalf("%q", got)
	}
	r.route.HandleFanout(t.Context(), r.parts())
	byTopic, byUser := r.pushed(t)
	if len(byTopic) != 1 || byTopic["push.apns.bulk"] != len(phones) || len(byUser) != len(phones) {
		t.Errorf("%v, %d users", byTopic, len(byUser))
	}
}

// TestARecallReadTwice: the same notification under the same id, and the number is taken back once.
func TestARecallReadTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device(t, "bob", "phone", 4)
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, toBob)})
	r.sent = nil
	receipt := strings.Replace(recallOf, "KEY", toBobKey, 1)
	first := r.receipts(t, receipt)
	if again := r.receipts(t, receipt); !slices.Equal(first, again) {
		t.Errorf("got %q, then %q", first, again)
	}
	a, b := string(r.sent[0].Value), string(r.sent[1].Value)
	if a != b {
		t.Error("the records differ")
	}
}

func TestOtherReceiptsAreNotRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.receipts(t,
		`{"App":"demo","User":"bob","Device":"phone","Receipt":"read","MsgKey":"c2c:alice:1_2_1790000000","ReceiptTime":1790000001000}`,
		`{"App":"demo","User":"bob","Device":"phone","Receipt":"acknowledged","MsgKey":"c2c:alice:1_2_1790000000","ReceiptTime":1790000001000}`,
		`{"App":"other","User":"alice","Receipt":"recall","MsgKey":"c2c:alice:1_2_1790000000","ReceiptTime":1790000001000}`,
		`{"App":`, ``); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
