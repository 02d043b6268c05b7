package apns

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(n *push.Notification)
		want   string
	}{
		"the contract's first message": {
			func(*push.Notification) {},
			`{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"k"}`,
		},
		"a title and a subtitle": {
			func(n *push.Notification) { n.Title, n.Subtitle = "T", "S" },
			`{"aps":{"alert":{"title":"T","subtitle":"S","body":"Alice:hello"},"badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"k"}`,
		},
		"a title alone": {
			func(n *push.Notification) { n.Title, n.Body, n.Ext = "T", "", "" },
			`{"aps":{"alert":{"title":"T"},"badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"msg_key":"k"}`,
		},
		"no badge, the default sound": {
			func(n *push.Notification) { n.Badge, n.Sound, n.Ext = push.NoBadge, "", "" },
			`{"aps":{"alert":"Alice:hello","sound":"default","thread-id":"c2c:alice"},"msg_key":"k"}`,
		},
		"badge zero, silent": {
			func(n *push.Notification) { n.Badge, n.Sound, n.Ext = 0, push.SoundSilent, "" },
			`{"aps":{"alert":"Alice:hello","badge":0,"thread-id":"c2c:alice"},"msg_key":"k"}`,
		},
		"an image for the extension": {
			func(n *push.Notification) { n.Image, n.Mutable, n.Ext = "https://e.example/a.png?b=1&c=2", true, "" },
			`{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice","mutable-content":1},"image":"https://e.example/a.png?b=1&c=2","msg_key":"k"}`,
		},
		"no escapes but those that JSON requires": {
			func(n *push.Notification) { n.Body, n.Ext = "<a>&'\u2028\u2029/\x7f é 😀 \"\\\n\t\x01", "" },
			`{"aps":{"alert":"<a>&'` + "\u2028\u2029/\x7f" + ` é 😀 \"\\\n\t\u0001","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"msg_key":"k"}`,
		},
		"bytes that are not UTF-8": {
			func(n *push.Notification) { n.Body, n.Ext = "a\xffb", "" },
			`{"aps":{"alert":"a` + "\ufffd" + `b","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"msg_key":"k"}`,
		},
		"an interruption level": {
			func(n *push.Notification) { n.Interruption, n.Ext = "time-sensitive", "" },
			`{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice","interruption-level":"time-sensitive"},"msg_key":"k"}`,
		},
		"a call: what the app needs to ring, and nothing for the system": {
			func(n *push.Notification) {
				n.Type, n.Badge, n.Sound, n.Interruption, n.Mutable = push.TypeVoIP, push.NoBadge, "", "time-sensitive", true
			},
			`{"aps":{"alert":"Alice:hello","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"k"}`,
		},
		"a call with a ring of its own": {
			func(n *push.Notification) { n.Type, n.Sound = push.TypeVoIP, "ring.caf" },
			`{"aps":{"alert":"Alice:hello","badge":5,"sound":"ring.caf","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"k"}`,
		},
		"background: nothing to show": {
			func(n *push.Notification) {
				n.Type, n.Title, n.Subtitle, n.Interruption, n.Mutable, n.Image = push.TypeBackground, "T", "S", "active", true, "https://e.example/a.png"
			},
			`{"aps":{"content-available":1,"badge":5},"ext":"{\"page\":\"chat\"}","msg_key":"k"}`,
		},
		"background: the badge goes to 0": {
			func(n *push.Notification) { n.Type, n.Badge, n.Body, n.Ext = push.TypeBackground, 0, "", "" },
			`{"aps":{"content-available":1,"badge":0},"msg_key":"k"}`,
		},
		"background: no badge": {
			func(n *push.Notification) { n.Type, n.Badge, n.Ext = push.TypeBackground, push.NoBadge, "" },
			`{"aps":{"content-available":1},"msg_key":"k"}`,
		},
	} {
		n := notification()
		n.MsgKey = "k"
		test.change(n)
		got, ok := appendPayload(nil, n, maxPayload)
		if !ok || string(got) != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: not JSON", name)
		}
	}
}

func TestTheLimitIsThatOfTheType(t *testing.T) {
	t.Parallel()
	for pushType, limit := range map[push.Type]int{push.TypeAlert: 4096, push.TypeVoIP: 5120} {
		n := notification()
		n.Type = pushType
		n.Body = strings.Repeat("x", 10_000)
		r, refused := render(n, bundle)
		if refused != nil || len(r.payload) != limit {
			t.Errorf("%q: %d bytes, %+v, want %d", pushType, len(r.payload), refused, limit)
		}
	}
	n := notification()
	n.Type, n.Ext = push.TypeBackground, strings.Repeat("x", 4096)
	if _, refused := render(n, bundle); refused == nil || refused.Reason != push.ReasonTooLarge {
		t.Errorf("background: got %+v, want too large", refused)
	}
}

// bodyOf reads the text of a payload back.
func bodyOf(t *testing.T, payload []byte) string {
	t.Helper()
	var p struct {
		APS struct {
			Alert json.RawMessage `json:"alert"`
		} `json:"aps"`
		Ext string `json:"ext"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(p.APS.Alert, &text); err == nil {
		return text
	}
	var alert struct{ Body string }
	if err := json.Unmarshal(p.APS.Alert, &alert); err != nil {
		t.Fatal(err)
	}
	return alert.Body
}

func FuzzPayload(f *testing.F) {
	f.Add("Alice:hello", "", "ext", 3900)
	f.Add("👩‍👩‍👧‍👦\u0301\xff", "T", "\x00", 100)
	f.Fuzz(func(t *testing.T, body, title, ext string, times int) {
		n := notification()
		n.Body = strings.Repeat(body, max(0, times)%5000)
		n.Title, n.Ext = title, ext
		payload, ok := appendPayload(nil, n, maxPayload)
		if !ok {
			return
		}
		if len(payload) > maxPayload || !json.Valid(payload) || !utf8.Valid(payload) {
			t.Fatalf("%d bytes: %q", len(payload), payload)
		}
		got, want := bodyOf(t, payload), strings.ToValidUTF8(n.Body, "\ufffd")
		if got == want || !utf8.ValidString(n.Body) {
			return
		}
		kept, ended := strings.CutSuffix(got, "…")
		if !ended || !strings.HasPrefix(want, kept) {
			t.Fatalf("body %q became %q", n.Body, got)
		}
		if diff := cmp.Diff(uniseg.GraphemeClusterCount(want), uniseg.GraphemeClusterCount(kept)+uniseg.GraphemeClusterCount(want[len(kept):])); diff != "" {
			t.Fatalf("a cluster was cut: %q", got)
		}
	})
}
