package fcm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

var (
	dataStyle         = map[string]any{"channels": map[string]any{"ding.caf": "chat", "push.no_sound": "quiet"}}
	notificationStyle = map[string]any{"style": "notification", "channels": map[string]any{"ding.caf": "chat"}}
)

func TestMessage(t *testing.T) {
	t.Parallel()
	full := func(n *push.Notification) {
		n.Title, n.Subtitle, n.Image, n.AndroidSound = "T", "S", "https://example.com/i.png", "ding.caf"
	}
	bare := func(n *push.Notification) {
		*n = push.Notification{App: n.App, Credential: n.Credential, MsgKey: "k", Badge: push.NoBadge}
	}
	for _, c := range []struct {
		name   string
		style  map[string]any
		change func(*push.Notification)
		want   string
	}{
		{
			"the example of the contracts", dataStyle, func(*push.Notification) {},
			`{"data":{"body":"Alice:hello","badge":"5","ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`,
		},
		{
			"data: every key", dataStyle, full,
			`{"data":{"title":"T","subtitle":"S","body":"Alice:hello","image":"https://example.com/i.png","sound":"ding.caf","badge":"5","channel":"chat","ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`,
		},
		{
			"notification: every key", notificationStyle, full,
			`{"notification":{"title":"T","body":"Alice:hello","image":"https://example.com/i.png"},"data":{"ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s","notification":{"tag":"9016f4b9-65ec-5c54-b229-c59682517983","channel_id":"chat","sound":"ding.caf","notification_count":5}}}`,
		},
		{"data: nothing that is not set", dataStyle, bare, `{"data":{"msg_key":"k"},"android":{"priority":"high"}}`},
		{
			"notification: nothing that is not set", notificationStyle, bare,
			`{"notification":{},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{}}}`,
		},
		{
			"a badge of 0 is set", dataStyle, func(n *push.Notification) { bare(n); n.Badge = 0 },
			`{"data":{"badge":"0","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		{
			"a silent message names no sound, but takes its channel", dataStyle,
			func(n *push.Notification) { bare(n); n.AndroidSound = push.SoundSilent },
			`{"data":{"channel":"quiet","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		{
			"the message's own channel wins", dataStyle,
			func(n *push.Notification) { bare(n); n.AndroidSound, n.Channel = "ding.caf", "vip" },
			`{"data":{"sound":"ding.caf","channel":"vip","msg_key":"k"},"android":{"priority":"high"}}`,
		},
		{
			"a sound for Apple devices is not ours", dataStyle,
			func(n *push.Notification) { bare(n); n.Sound = "ding.caf" },
			`{"data":{"msg_key":"k"},"android":{"priority":"high"}}`,
		},
		{
			"a call", dataStyle,
			func(n *push.Notification) {
				bare(n)
				n.Type, n.Body, n.Expires = push.TypeVoIP, "Alice calls", now.Add(30*time.Second)
			},
			`{"data":{"body":"Alice calls","msg_key":"k"},"android":{"priority":"high","ttl":"30s"}}`,
		},
		{
			"background: no text, no sound, no hurry", dataStyle, func(n *push.Notification) { full(n); n.Type = push.TypeBackground },
			`{"data":{"badge":"5","ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"normal","ttl":"604800s"}}`,
		},
		{
			"background: nothing for the system to draw, whatever the style", notificationStyle,
			func(n *push.Notification) { full(n); n.Type, n.Badge = push.TypeBackground, 0 },
			`{"data":{"badge":"0","ext":"{\"page\":\"chat\"}","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"normal","ttl":"604800s"}}`,
		},
		{
			"a recall", dataStyle, func(n *push.Notification) { bare(n); n.Purpose = push.PurposeRecall },
			`{"data":{"msg_key":"k","recalled":"1"},"android":{"priority":"high"}}`,
		},
		{
			"notification: an image that is no address costs the image only", notificationStyle,
			func(n *push.Notification) { bare(n); n.Body, n.Image = "b", "no address" },
			`{"notification":{"body":"b"},"data":{"msg_key":"k"},"android":{"priority":"high","notification":{}}}`,
		},
		{
			"the time to live rounds down", dataStyle,
			func(n *push.Notification) { bare(n); n.Expires = now.Add(90*time.Second - time.Millisecond) },
			`{"data":{"msg_key":"k"},"android":{"priority":"high","ttl":"89s"}}`,
		},
		{
			"the time to live ends at four weeks", dataStyle,
			func(n *push.Notification) { bare(n); n.Expires = now.Add(1000 * time.Hour) },
			`{"data":{"msg_key":"k"},"android":{"priority":"high","ttl":"2419200s"}}`,
		},
		{
			"the time to live is never negative", dataStyle,
			func(n *push.Notification) { bare(n); n.Expires = now.Add(-time.Hour) },
			`{"data":{"msg_key":"k"},"android":{"priority":"high","ttl":"0s"}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := hello()
			c.change(n)
			request, impossible := open(t, settings(nil, c.style, anyKey)).Render(n, now)
			if impossible != nil {
				t.Fatalf("impossible: %+v", impossible)
			}
			if request.Headers != nil {
				t.Errorf("headers: got %v, want none", request.Headers)
			}
			if diff := cmp.Diff(decode(t, []byte(c.want)), decode(t, request.Body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenderImpossible(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*push.Notification)
		want   push.Reason
	}{
		{"ext is never cut", func(n *push.Notification) { n.Ext = strings.Repeat("x", 4096) }, push.ReasonTooLarge},
		{"background has no body to cut", func(n *push.Notification) { n.Ext, n.Type = strings.Repeat("x", 4096), push.TypeBackground }, push.ReasonTooLarge},
		{"nor is it without a body", func(n *push.Notification) { n.Ext, n.Body = strings.Repeat("x", 4096), "" }, push.ReasonTooLarge},
		{"unknown app", func(n *push.Notification) { n.App = "other" }, push.ReasonUnknownApp},
		{"unknown credential", func(n *push.Notification) { n.Credential = "other" }, push.ReasonUnknownCredential},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := hello()
			c.change(n)
			_, impossible := open(t, settings(nil, nil, anyKey)).Render(n, now)
			if impossible == nil || impossible.Disposition != push.Dead || impossible.Reason != c.want {
				t.Errorf("got %+v, want dead, %s", impossible, c.want)
			}
		})
	}
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}
