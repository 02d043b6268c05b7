package service_test

import (
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// TestRecord is what the IM's gateway reads from the offline topic, byte for byte.
func TestRecord(t *testing.T) {
	t.Parallel()
	bare := func(n *push.Notification) {
		*n = push.Notification{App: "demo", User: "bob", Device: "bob-tablet", MsgKey: "k", ID: "i", Token: n.Token, Badge: push.NoBadge}
	}
	for name, test := range map[string]struct {
		change func(n *push.Notification)
		want   string
	}{
		"the contract's first message": {
			func(*push.Notification) {},
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"c2c:alice:101_900001_1790000000","PushID":"1e2f6a6e-1d1c-5a53-9a3e-0f2e6b6f3a11","Body":"Alice:hello","Ext":"{\"page\":\"chat\"}","Badge":5,"Thread":"c2c:alice","Expires":1790604800000}`,
		},
		"every member": {
			func(n *push.Notification) {
				bare(n)
				n.Title, n.Subtitle, n.Body, n.Ext = "T", "S", "B", "E"
				n.AndroidSound, n.Channel, n.Badge, n.Thread = "ding.mp3", "chat", 7, "group:team"
				n.Image, n.Expires, n.Purpose = "https://e.example/a.png?b=1&c=2", time.UnixMilli(1790604800123), push.PurposeRecall
				n.Vendor = `{"XiaoMiChannelID":"x", "HuaWeiImportance":"LOW"}`
			},
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i","Title":"T","SubTitle":"S","Body":"B","Image":"https://e.example/a.png?b=1&c=2","Sound":"ding.mp3","Channel":"chat","Ext":"E","Badge":7,"Thread":"group:team","Expires":1790604800123,"Recalled":true,"AndroidInfo":{"XiaoMiChannelID":"x", "HuaWeiImportance":"LOW"}}`,
		},
		"nothing that is not set": {
			bare,
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i"}`,
		},
		"a badge of 0": {
			func(n *push.Notification) { bare(n); n.Badge = 0 },
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i","Badge":0}`,
		},
		"a silent message says so, since no channel of ours does": {
			func(n *push.Notification) { bare(n); n.AndroidSound = push.SoundSilent },
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i","Sound":"push.no_sound"}`,
		},
		"a sound for Apple's devices is not theirs": {
			func(n *push.Notification) { bare(n); n.Sound = "ding.caf" },
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i"}`,
		},
		"a call is a record like any other, and soon over": {
			func(n *push.Notification) {
				bare(n)
				n.Type, n.Body, n.Ext, n.Expires = push.TypeVoIP, "Alice calls", `{"call":1}`, time.Unix(1790000030, 0)
			},
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i","Body":"Alice calls","Ext":"{\"call\":1}","Expires":1790000030000}`,
		},
		"a background push has no text": {
			func(n *push.Notification) {
				bare(n)
				n.Type, n.Title, n.Body, n.AndroidSound, n.Channel, n.Badge, n.Ext = push.TypeBackground, "T", "B", "s", "c", 3, "E"
			},
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i","Ext":"E","Badge":3}`,
		},
		"vendors' members that are no object are left out": {
			func(n *push.Notification) { bare(n); n.Vendor = `{"a":1},"App":"other"` },
			`{"App":"demo","User":"bob","Device":"bob-tablet","MsgKey":"k","PushID":"i"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, settings(nil))
			defer d.Close()
			n := hello()
			test.change(n)
			got, refused := d.Render(n, time.Unix(1790000000, 0))
			if refused != nil {
				t.Fatalf("refused: %+v", refused)
			}
			if string(got.Body) != test.want {
				t.Errorf("got  %s\nwant %s", got.Body, test.want)
			}
			if got.Headers != nil {
				t.Errorf("headers: %v, want none", got.Headers)
			}
		})
	}
}
