package fcm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// row is a message and the bytes that FCM gets of it, without the device's token.
type row struct {
	says   string
	change func(n *push.Notification)
	want   string
}

// text is a message from Alice to Bob, with nothing more than its words.
func text() *push.Notification {
	return &push.Notification{
		ID: "9016f4b9-65ec-5c54-b229-c59682517983", App: "demo", Credential: "demo-android", MsgKey: "k",
		Body: "Alice:hello", Badge: push.NoBadge,
	}
}

// sent is what FCM gets of a notification in an app's style.
func sent(t *testing.T, app, credential map[string]any, n *push.Notification) string {
	t.Helper()
	request, refused := open(t, settings(nil, app, credential)).Render(n, now)
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	return string(request.Body)
}

func check(t *testing.T, app, credential map[string]any, table ...row) {
	t.Helper()
	for _, row := range table {
		n := text()
		row.change(n)
		if got := sent(t, app, credential, n); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.says, got, row.want)
		}
	}
}

// asItIs changes nothing.
func asItIs(*push.Notification) {}

var drawnBySystem = map[string]any{"style": "notification", "channels": map[string]any{"ding.mp3": "chat", "push.no_sound": "quiet"}}

// TestRow10ExtGoesOutByteForByte: ext is a string of the data map, byte for byte, in both styles.
func TestRow10ExtGoesOutByteForByte(t *testing.T) {
	t.Parallel()
	ext := func(n *push.Notification) { n.Ext = `{"page":"chat", "url":"https://e.example/?a=1&b=<2>"} 😀` }
	check(t, nil, anyKey,
		row{
			"data", ext,
			`{"data":{"body":"Alice:hello","ext":"{\"page\":\"chat\", \"url\":\"https://e.example/?a=1&b=<2>\"} 😀","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		row{"none", asItIs, `{"data":{"body":"Alice:hello","msg_key":"k"},"android":{"priority":"high"}}`},
	)
	check(t, drawnBySystem, anyKey, row{
		"notification", ext,
		`{"notification":{"body":"Alice:hello"},"data":{"ext":"{\"page\":\"chat\", \"url\":\"https://e.example/?a=1&b=<2>\"} 😀","msg_key":"k"},"android":{"priority":"high","notification":{}}}`,
	})
}

// TestRow11Sound: Android's sound is its own; none is sent where none is named, nor where it is push.no_sound.
func TestRow11Sound(t *testing.T) {
	t.Parallel()
	check(t, nil, anyKey,
		row{
			"named", func(n *push.Notification) { n.AndroidSound = "ding.mp3" },
			`{"data":{"body":"Alice:hello","sound":"ding.mp3","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		row{
			"Apple's is not Android's", func(n *push.Notification) { n.Sound = "ding.caf" },
			`{"data":{"body":"Alice:hello","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		row{
			"silent", func(n *push.Notification) { n.AndroidSound = push.SoundSilent },
			`{"data":{"body":"Alice:hello","msg_key":"k"},"android":{"priority":"high"}}`,
		},
	)
}

// TestRow12TitleAndText: title and text stand side by side, and nothing stands for what is not there.
func TestRow12TitleAndText(t *testing.T) {
	t.Parallel()
	all := func(n *push.Notification) { n.Title, n.Subtitle, n.Body = "Order", "4711", "It is on its way" }
	check(t, nil, anyKey, row{
		"data", all,
		`{"data":{"title":"Order","subtitle":"4711","body":"It is on its way","msg_key":"k"},"android":{"priority":"high"}}`,
	})
	check(t, drawnBySystem, anyKey, row{
		"notification, which has no subtitle", all,
		`{"notification":{"title":"Order","body":"It is on its way"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{}}}`,
	})
}

// TestRow13LifetimeAndBadge: the time to live is what is left of the message's lifetime; a badge is sent where it is
// known, as 0 where it is 0.
func TestRow13LifetimeAndBadge(t *testing.T) {
	t.Parallel()
	check(t, nil, anyKey,
		row{
			"an hour", func(n *push.Notification) { n.Expires = now.Add(time.Hour) },
			`{"data":{"body":"Alice:hello","msg_key":"k"},"android":{"priority":"high","ttl":"3600s"}}`,
		},
		row{
			"a call", func(n *push.Notification) { n.Type, n.Expires = push.TypeVoIP, now.Add(30*time.Second) },
			`{"data":{"body":"Alice:hello","msg_key":"k"},"android":{"priority":"high","ttl":"30s"}}`,
		},
		row{
			"counted", func(n *push.Notification) { n.Badge = 5 },
			`{"data":{"body":"Alice:hello","badge":"5","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		row{
			"all read elsewhere", func(n *push.Notification) { n.Type, n.Badge, n.Body = push.TypeBackground, 0, "" },
			`{"data":{"badge":"0","msg_key":"k"},"android":{"priority":"normal"}}`,
		},
	)
	check(t, drawnBySystem, anyKey, row{
		"counted, drawn by the system", func(n *push.Notification) { n.Badge = 5 },
		`{"notification":{"body":"Alice:hello"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{"notification_count":5}}}`,
	})
}

// TestRow15AndroidInfo: channel, sound, ext, time to live and the credential's click action stand where FCM reads them.
func TestRow15AndroidInfo(t *testing.T) {
	t.Parallel()
	key := map[string]any{"platform": "fcm", "service_account_file": "sa.json", "click_action": "com.example.demo.CHAT"}
	table := func(own, mapped, silent string) []row {
		return []row{
			{"the message's own channel", func(n *push.Notification) {
				n.Channel, n.AndroidSound, n.Ext, n.Expires = "vip", "ding.mp3", "E", now.Add(time.Hour)
			}, own},
			{"the channel of its sound", func(n *push.Notification) { n.AndroidSound = "ding.mp3" }, mapped},
			{"the channel of silence", func(n *push.Notification) { n.AndroidSound = push.SoundSilent }, silent},
		}
	}
	drawnByApp := map[string]any{"channels": drawnBySystem["channels"]}
	check(t, drawnByApp, key, table(
		`{"data":{"body":"Alice:hello","sound":"ding.mp3","channel":"vip","ext":"E","msg_key":"k"},"android":{"priority":"high","ttl":"3600s"}}`,
		`{"data":{"body":"Alice:hello","sound":"ding.mp3","channel":"chat","msg_key":"k"},"android":{"priority":"high"}}`,
		`{"data":{"body":"Alice:hello","channel":"quiet","msg_key":"k"},"android":{"priority":"high"}}`,
	)...)
	check(t, drawnBySystem, key, table(
		`{"notification":{"body":"Alice:hello"},"data":{"ext":"E","msg_key":"k"},"android":{"priority":"high","ttl":"3600s","notification":{"channel_id":"vip","sound":"ding.mp3","click_action":"com.example.demo.CHAT"}}}`,
		`{"notification":{"body":"Alice:hello"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{"channel_id":"chat","sound":"ding.mp3","click_action":"com.example.demo.CHAT"}}}`,
		`{"notification":{"body":"Alice:hello"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{"channel_id":"quiet","click_action":"com.example.demo.CHAT"}}}`,
	)...)
}

// TestRow16LargeText: a text too long for 4096 bytes ends in … after a whole character as people see it; ext is whole.
func TestRow16LargeText(t *testing.T) {
	t.Parallel()
	const family = "👩‍👩‍👧‍👦" // 25 bytes
	frame := func(body, ext string) string {
		return `{"data":{"body":"` + body + `","ext":"` + ext + `","msg_key":"k"},"android":{"priority":"high"}}`
	}
	room := 4096 - len(frame("Alice:…", ""))
	for left, body := range map[int]string{
		-1:              "Alice…",
		0:               "Alice:…",
		len(family) - 1: "Alice:…",
		len(family):     "Alice:" + family + "…",
	} {
		n := text()
		n.Body, n.Ext = "Alice:"+strings.Repeat(family, 200), strings.Repeat("e", room-left)
		if got := sent(t, nil, anyKey, n); got != frame(body, n.Ext) {
			t.Errorf("%d bytes left: the text is not %s", left, body)
		}
	}
}

// TestRow24RecallReplacesWhatIsShown: where the app draws, recalled tells it to replace what the message key shows;
// where the system draws, the recall has the first push's tag, and so its place.
func TestRow24RecallReplacesWhatIsShown(t *testing.T) {
	t.Parallel()
	recall := func(n *push.Notification) {
		n.CollapseID = n.ID // of the first push
		n.ID, n.Purpose = "0b4c2f1e-55a1-5a5c-8d55-1f2f6a6e1d1c", push.PurposeRecall
		n.Body, n.AndroidSound = "Alice:[Message recalled]", push.SoundSilent
	}
	check(t, nil, anyKey, row{
		"data", recall,
		`{"data":{"body":"Alice:[Message recalled]","msg_key":"k","recalled":"1"},"android":{"priority":"high"}}`,
	})
	check(t, drawnBySystem, anyKey,
		row{
			"the first push", func(n *push.Notification) { n.CollapseID = n.ID },
			`{"notification":{"body":"Alice:hello"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{"tag":"9016f4b9-65ec-5c54-b229-c59682517983"}}}`,
		},
		row{
			"its recall", recall,
			`{"notification":{"body":"Alice:[Message recalled]"},"data":{"msg_key":"k","recalled":"1"},"android":{"priority":"high","notification":{"tag":"9016f4b9-65ec-5c54-b229-c59682517983","channel_id":"quiet"}}}`,
		},
	)
}
