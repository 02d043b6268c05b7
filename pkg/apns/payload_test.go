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
		"nothing at all": {
			func(n *push.Notification) { *n = push.Notification{Badge: push.NoBadge, Sound: push.SoundSilent} },
			`{"aps":{}}`,
		},
	} {
		n := notification()
		n.MsgKey = "k"
		test.change(n)
		got, ok := buildPayload(n)
		if !ok || string(got) != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: not JSON", name)
		}
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

func TestABodyIsCutNoFurtherThanTheLimitNeeds(t *testing.T) {
	t.Parallel()
	const family = "👩‍👩‍👧‍👦" // one cluster of 25 bytes
	for name, cluster := range map[string]string{
		"ASCII": "x", "umlauts": "e\u0301", "a family": family, "Chinese": "汉", "quotes": `"`, "control": "\x01",
		"flags": "🇩🇪", "markup": "<", "line separator": "\u2028", "line ends": "\r\n",
	} {
		for _, title := range []string{"", "T"} {
			n := notification()
			n.Title = title
			n.Body = strings.Repeat(cluster, 1<<20/len(cluster))
			payload, ok := buildPayload(n)
			if !ok || len(payload) > maxPayload {
				t.Fatalf("%s: %d bytes", name, len(payload))
			}
			body := bodyOf(t, payload)
			kept, ended := strings.CutSuffix(body, ellipsis)
			if !ended || kept != strings.Repeat(cluster, len(kept)/len(cluster)) {
				t.Errorf("%s: the body ends in %q", name, body[len(body)-12:])
			}
			quoted, _ := json.Marshal(cluster) // bound: escapes no less than needed
			if room := maxPayload - len(payload); room >= len(quoted) {
				t.Errorf("%s: %d bytes are left, and a cluster takes at most %d", name, room, len(quoted))
			}
			if n.Ext != `{"page":"chat"}` || !strings.Contains(string(payload), `"ext":"{\"page\":\"chat\"}"`) {
				t.Errorf("%s: ext was touched", name)
			}
		}
	}
}

func TestTheLimitItself(t *testing.T) {
	t.Parallel()
	n := notification()
	n.Body = "x"
	whole, _ := buildPayload(n)
	n.Body = strings.Repeat("x", maxPayload-len(whole)+1)
	exact, ok := buildPayload(n)
	if !ok || len(exact) != maxPayload || strings.Contains(string(exact), ellipsis) {
		t.Errorf("a payload of exactly the limit was cut: %d bytes", len(exact))
	}
	n.Body += "x"
	over, ok := buildPayload(n)
	if !ok || len(over) != maxPayload || !strings.HasSuffix(bodyOf(t, over), "x"+ellipsis) {
		t.Errorf("one byte over: %d bytes", len(over))
	}
}

func TestNothingButTheBodyIsCut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(n *push.Notification){
		"ext":             func(n *push.Notification) { n.Ext = strings.Repeat("x", 4096) },
		"title":           func(n *push.Notification) { n.Title = strings.Repeat("x", 4096) },
		"ext, no body":    func(n *push.Notification) { n.Body, n.Ext = "", strings.Repeat("x", 4096) },
		"ext, large body": func(n *push.Notification) { n.Body, n.Ext = strings.Repeat("y", 5000), strings.Repeat("x", 4096) },
	} {
		n := notification()
		change(n)
		if payload, ok := buildPayload(n); ok {
			t.Errorf("%s: got %d bytes, want too large", name, len(payload))
		}
	}
}

func FuzzPayload(f *testing.F) {
	f.Add("Alice:hello", "", "ext", 3900)
	f.Add("👩‍👩‍👧‍👦\u0301\xff", "T", "\x00", 100)
	f.Fuzz(func(t *testing.T, body, title, ext string, times int) {
		n := notification()
		n.Body = strings.Repeat(body, max(0, times)%5000)
		n.Title, n.Ext = title, ext
		payload, ok := buildPayload(n)
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
		kept, ended := strings.CutSuffix(got, ellipsis)
		if !ended || !strings.HasPrefix(want, kept) {
			t.Fatalf("body %q became %q", n.Body, got)
		}
		if diff := cmp.Diff(uniseg.GraphemeClusterCount(want), uniseg.GraphemeClusterCount(kept)+uniseg.GraphemeClusterCount(want[len(kept):])); diff != "" {
			t.Fatalf("a cluster was cut: %q", got)
		}
	})
}
