package apns

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// sent is what Apple gets of a notification: one header, or the payload.
func sent(t *testing.T, n *push.Notification) push.Request {
	t.Helper()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	request, refused := d.Render(n, time.Unix(1790000000, 0))
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	return request
}

// text is a message from Alice to Bob, with nothing more than its words.
func text() *push.Notification {
	return &push.Notification{
		ID: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", App: "demo", Credential: "demo-ios", MsgKey: "k",
		Body: "Alice:hello", Badge: push.NoBadge,
	}
}

// payloads is a table of messages and the bytes that Apple gets of each.
type payloads []struct {
	says   string
	change func(n *push.Notification)
	want   string
}

func (table payloads) check(t *testing.T) {
	t.Helper()
	for _, row := range table {
		n := text()
		row.change(n)
		if got := string(sent(t, n).Body); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.says, got, row.want)
		}
	}
}

// TestRow10ExtGoesOutByteForByte: ext stands at the payload's top level, byte for byte, whatever is in it.
func TestRow10ExtGoesOutByteForByte(t *testing.T) {
	t.Parallel()
	payloads{
		{
			"JSON", func(n *push.Notification) { n.Ext = `{"page":"chat", "url":"https://e.example/?a=1&b=<2>"}` },
			`{"aps":{"alert":"Alice:hello","sound":"default"},"ext":"{\"page\":\"chat\", \"url\":\"https://e.example/?a=1&b=<2>\"}","msg_key":"k"}`,
		},
		{
			"any text", func(n *push.Notification) { n.Ext = "  héllo\n😀" },
			`{"aps":{"alert":"Alice:hello","sound":"default"},"ext":"  héllo\n😀","msg_key":"k"}`,
		},
		{
			"none", func(*push.Notification) {},
			`{"aps":{"alert":"Alice:hello","sound":"default"},"msg_key":"k"}`,
		},
	}.check(t)
}

// TestRow11Sound: the message's sound is aps.sound; none is Apple's default; push.no_sound is silent.
func TestRow11Sound(t *testing.T) {
	t.Parallel()
	payloads{
		{
			"named", func(n *push.Notification) { n.Sound = "dingdong.aiff" },
			`{"aps":{"alert":"Alice:hello","sound":"dingdong.aiff"},"msg_key":"k"}`,
		},
		{"not named", func(*push.Notification) {}, `{"aps":{"alert":"Alice:hello","sound":"default"},"msg_key":"k"}`},
		{
			"silent", func(n *push.Notification) { n.Sound = push.SoundSilent },
			`{"aps":{"alert":"Alice:hello"},"msg_key":"k"}`,
		},
		{
			"Android's is not Apple's", func(n *push.Notification) { n.AndroidSound = "android.mp3" },
			`{"aps":{"alert":"Alice:hello","sound":"default"},"msg_key":"k"}`,
		},
	}.check(t)
}

// TestRow12TitleAndText: with a title or a subtitle the alert is an object of what there is, else a string.
func TestRow12TitleAndText(t *testing.T) {
	t.Parallel()
	payloads{
		{"text", func(*push.Notification) {}, `{"aps":{"alert":"Alice:hello","sound":"default"},"msg_key":"k"}`},
		{
			"title and text", func(n *push.Notification) { n.Title, n.Body = "Order", "It is on its way" },
			`{"aps":{"alert":{"title":"Order","body":"It is on its way"},"sound":"default"},"msg_key":"k"}`,
		},
		{
			"all three", func(n *push.Notification) { n.Title, n.Subtitle, n.Body = "Order", "4711", "It is on its way" },
			`{"aps":{"alert":{"title":"Order","subtitle":"4711","body":"It is on its way"},"sound":"default"},"msg_key":"k"}`,
		},
		{
			"an image, which the app's extension loads",
			func(n *push.Notification) { n.Image, n.Mutable = "https://e.example/a.png", true },
			`{"aps":{"alert":"Alice:hello","sound":"default","mutable-content":1},"image":"https://e.example/a.png","msg_key":"k"}`,
		},
		{
			"an interruption level", func(n *push.Notification) { n.Interruption = "passive" },
			`{"aps":{"alert":"Alice:hello","sound":"default","interruption-level":"passive"},"msg_key":"k"}`,
		},
	}.check(t)
}

// TestRow13LifetimeAndBadge: a message's lifetime ends at apns-expiration, in whole seconds; a badge is sent where it is
// known, as 0 where it is 0.
func TestRow13LifetimeAndBadge(t *testing.T) {
	t.Parallel()
	for expires, want := range map[time.Time]string{
		time.Unix(1790604800, 0):      "1790604800",
		time.UnixMilli(1790000030999): "1790000030",
		{}:                            "",
	} {
		n := text()
		n.Expires = expires
		if got := sent(t, n).Headers["apns-expiration"]; got != want {
			t.Errorf("%s: apns-expiration %q, want %q", expires, got, want)
		}
	}
	payloads{
		{
			"counted", func(n *push.Notification) { n.Badge = 5 },
			`{"aps":{"alert":"Alice:hello","badge":5,"sound":"default"},"msg_key":"k"}`,
		},
		{"not known", func(*push.Notification) {}, `{"aps":{"alert":"Alice:hello","sound":"default"},"msg_key":"k"}`},
		{
			"all read elsewhere", func(n *push.Notification) { n.Type, n.Badge, n.Body = push.TypeBackground, 0, "" },
			`{"aps":{"content-available":1,"badge":0},"msg_key":"k"}`,
		},
	}.check(t)
}

// TestRow16LargeText: a text too long for 4096 bytes ends in … after a whole character as people see it; ext is whole.
func TestRow16LargeText(t *testing.T) {
	t.Parallel()
	const family = "👩‍👩‍👧‍👦" // 25 bytes
	frame := func(body, ext string) string {
		return `{"aps":{"alert":"` + body + `","sound":"default"},"ext":"` + ext + `","msg_key":"k"}`
	}
	room := 4096 - len(frame("Alice:…", ""))
	for left, body := range map[int]string{
		0:                  "Alice:…",
		len(family) - 1:    "Alice:…",
		len(family):        "Alice:" + family + "…",
		2*len(family) + 1:  "Alice:" + family + family + "…",
		-1:                 "Alice…",
		-len("Alice:"):     "…",
		-len("Alice:") - 1: "", // dead
	} {
		n := text()
		n.Body, n.Ext = "Alice:"+strings.Repeat(family, 200), strings.Repeat("e", room-left)
		if body == "" {
			if _, refused := render(n, bundle); refused == nil || refused.Disposition != push.Dead || refused.Reason != push.ReasonTooLarge {
				t.Errorf("%d bytes over: got %+v, want dead, too_large", -left, refused)
			}
			continue
		}
		if got := string(sent(t, n).Body); got != frame(body, n.Ext) {
			t.Errorf("%d bytes left: the text is not %s", left, body)
		}
	}
}

// TestRow24RecallReplacesWhatIsShown: a recall has an id of its own and the collapse id of the first push, so that the
// phone shows it in the other's place, without a sound.
func TestRow24RecallReplacesWhatIsShown(t *testing.T) {
	t.Parallel()
	first := text()
	first.CollapseID = first.ID
	recall := text()
	recall.ID, recall.CollapseID, recall.Purpose = "0b4c2f1e-55a1-5a5c-8d55-1f2f6a6e1d1c", first.ID, push.PurposeRecall
	recall.Body, recall.Sound = "Alice:[Message recalled]", push.SoundSilent
	shown, replaced := sent(t, first), sent(t, recall)
	want := map[string]string{
		"apns-id": recall.ID, "apns-topic": bundle, "apns-push-type": "alert", "apns-priority": "10",
		"apns-collapse-id": shown.Headers["apns-collapse-id"],
	}
	if diff := cmp.Diff(want, replaced.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got, want := string(replaced.Body), `{"aps":{"alert":"Alice:[Message recalled]"},"msg_key":"k"}`; got != want {
		t.Errorf("body:\n got %s\nwant %s", got, want)
	}
}
