package message_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// full is a message that says all that can be said.
const full = `{` + alice + `,"MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":1790000000,"MsgLifeTime":60,"MsgBody":` + hello + `,"OfflinePushInfo":{
	"Title":"Shop","Desc":"a secret","Ext":"e","AndroidInfo":{"Sound":"a.mp3","GoogleChannelID":"chat","HuaWeiImportance":"LOW","OPPOImage":"https://secret"},
	"ApnsInfo":{"Sound":"i.caf","Title":"iShop","SubTitle":"sub","Image":"https://x/y.png","InterruptionLevel":"critical"}}}`

// TestPrivateMessage: an app of privacy shows that there is a message, and nothing of it; ext and thread stay.
func TestPrivateMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		record   string
		platform push.Platform
		language string
		want     push.Notification
	}{
		"a name goes": {inGroup, "apns", "en",
			push.Notification{App: "demo", MsgKey: "group:team:424242_1790000001", Body: "New message", Thread: "group:team",
				Expires: time.Unix(1790604801, 0)}},
		"the word is the device's": {inGroup, "fcm", "zh-TW",
			push.Notification{App: "demo", MsgKey: "group:team:424242_1790000001", Body: "新訊息", Thread: "group:team",
				Expires: time.Unix(1790604801, 0)}},
		"ext and sound stay": {oneToOne, "apns", "ja",
			push.Notification{App: "demo", MsgKey: "c2c:alice:101_900001_1790000000", Body: "新着メッセージ", Thread: "c2c:alice",
				Ext: `{"page":"chat"}`, Sound: "ding.caf", Expires: time.Unix(1790604800, 0)}},
		"title, subtitle, image and what vendors may show go": {full, "apns", "en",
			push.Notification{App: "standard", MsgKey: "c2c:alice:1_2_1790000000", Body: "New message", Thread: "c2c:alice", Ext: "e",
				Sound: "i.caf", AndroidSound: "a.mp3", Channel: "chat", Vendor: `{"HuaWeiImportance":"LOW"}`, Interruption: "critical",
				Expires: time.Unix(1790000060, 0)}},
		"an extension that the message asks for may decrypt": {
			`{` + nobody + `,"MsgSeq":1,"MsgRandom":2,"MsgBody":` + hello + `,"OfflinePushInfo":{"ApnsInfo":{"MutableContent":1,"Image":"https://x/y.png"}}}`, "apns", "zh-CN",
			push.Notification{App: "standard", MsgKey: "c2c:alice:1_2_1790000000", Body: "新消息", Thread: "c2c:alice", Mutable: true,
				Expires: time.Unix(1790604800, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, c.record)
			c.want.Badge, c.want.Received, c.want.Sender, c.want.Seq = push.NoBadge, recordTime, m.From, m.Seq
			got := m.Render(message.View{Platform: c.platform, Language: c.language, Private: true})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Replace a shown notification: what stands where a recalled message stood, in the device's language, without a sound.
func TestRow24RecalledMessage(t *testing.T) {
	t.Parallel()
	const (
		inEnglish  = "[Message recalled]"
		simplified = "[消息已撤回]"
		japanese   = "[メッセージの送信が取り消されました]"
	)
	for name, c := range map[string]struct {
		record string
		view   message.View
		want   push.Notification
	}{
		"behind the name": {oneToOne, message.View{Platform: "apns"},
			push.Notification{Body: "Alice:" + inEnglish, Ext: `{"page":"chat"}`}},
		"behind the group's": {inGroup, message.View{Platform: "fcm", Language: "zh"},
			push.Notification{Body: "Ali(Team):" + simplified}},
		"without a name": {`{` + nobody + `,"MsgBody":` + hello + `}`, message.View{Platform: "apns", Language: "zh-HK"},
			push.Notification{Body: "[訊息已收回]"}},
		"under the title, where no name stood": {full, message.View{Platform: "fcm", Language: "ja"},
			push.Notification{Title: "Shop", Body: japanese, Ext: "e", Vendor: `{"HuaWeiImportance":"LOW"}`}},
		"under Apple's own title": {full, message.View{Platform: "apns", Language: "de"},
			push.Notification{Title: "iShop", Body: inEnglish, Ext: "e", Vendor: `{"HuaWeiImportance":"LOW"}`}},
		"in an app of privacy": {full, message.View{Platform: "apns", Private: true},
			push.Notification{Body: inEnglish, Ext: "e", Vendor: `{"HuaWeiImportance":"LOW"}`}},
		"the user's sound does not count": {oneToOne, message.View{Platform: "apns", Sound: "u.caf"},
			push.Notification{Body: "Alice:" + inEnglish, Ext: `{"page":"chat"}`}},
		"a call does not ring again": {
			`{` + alice + `,"MsgBody":` + hello + `,"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}}}`, message.View{Platform: "apns", Rings: true},
			push.Notification{Body: "Alice:" + inEnglish}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, c.record)
			c.view.Recalled = true
			c.want.Purpose, c.want.Badge = push.PurposeRecall, push.NoBadge
			c.want.Sound, c.want.AndroidSound = push.SoundSilent, push.SoundSilent
			c.want.App, c.want.MsgKey, c.want.Thread, c.want.Received = m.App, m.Key, m.Conversation(), recordTime
			c.want.Sender, c.want.Seq = m.From, m.Seq
			c.want.Expires = m.Time.Add(7 * 24 * time.Hour)
			if diff := cmp.Diff(c.want, m.Render(c.view)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReportsKnowTheSender: what a callback says of a group message does not stand in its key.
func TestReportsKnowTheSender(t *testing.T) {
	t.Parallel()
	if n := parse(t, inGroup).Render(message.View{}); n.Sender != "alice" || n.Seq != 7 {
		t.Errorf("sender %q, sequence number %d", n.Sender, n.Seq)
	}
}

// TestRecalledBackgroundMessage: nothing was shown, so that nothing is shown in its place.
func TestRecalledBackgroundMessage(t *testing.T) {
	t.Parallel()
	m := parse(t, apnsInfo(`"PushType":"background"`))
	n := m.Render(message.View{Platform: "apns", Recalled: true})
	if n.Type != push.TypeBackground || n.Body != "" || n.Purpose != push.PurposeRecall {
		t.Errorf("type %q, body %q, purpose %q", n.Type, n.Body, n.Purpose)
	}
}

// TestRenderingLeavesTheMessageAlone: the views of one message are independent of each other.
func TestRenderingLeavesTheMessageAlone(t *testing.T) {
	t.Parallel()
	m := parse(t, full)
	view := message.View{Platform: "apns", Language: "ja"}
	before := m.Render(view)
	for _, v := range []message.View{{Private: true}, {Recalled: true}, {Platform: "fcm", Sound: "u.caf"}} {
		m.Render(v)
	}
	if diff := cmp.Diff(before, m.Render(view)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// TestVendorsMembersOfAPrivateMessage: members that choose a channel, a category or an importance stay; what is not known
// here may be an image or a part of the text.
func TestVendorsMembersOfAPrivateMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ members, want string }{
		{`{}`, ``},
		{`{"OPPOPrivateContentParameters":"{\"name\":\"secret\"}"}`, ``},
		{`{"HuaWeiChannelID":"h","XiaoMiChannelID":"x","OPPOChannelID":"o","VIVOClassification":1,"HuaWeiImportance":"LOW","HuaWeiCategory":"IM","ExtAsHuaweiIntentParam":1,"VIVOCategory":"IM","OPPOCategory":"IM","HonorImportance":"LOW","MeiZuNoticeMsgType":1}`,
			`{"HuaWeiChannelID":"h","XiaoMiChannelID":"x","OPPOChannelID":"o","VIVOClassification":1,"HuaWeiImportance":"LOW","HuaWeiCategory":"IM","ExtAsHuaweiIntentParam":1,"VIVOCategory":"IM","OPPOCategory":"IM","HonorImportance":"LOW","MeiZuNoticeMsgType":1}`},
		{`{"HuaWeiImage":"i","OPPO\u0043hannelID" : 1.0e0,"x":{"OPPOChannelID":2},"VIVOCategory":"IM"}`, `{"OPPO\u0043hannelID":1.0e0,"VIVOCategory":"IM"}`},
	} {
		m := parse(t, row{who: alice, body: hello, more: `"OfflinePushInfo":{"AndroidInfo":` + c.members + `}`}.record())
		for range 2 {
			if got := m.Render(message.View{Private: true}).Vendor; got != c.want {
				t.Errorf("%s: %s, want %s", c.members, got, c.want)
			}
		}
	}
}

// TestUncut: everything but the body, with the longer of two titles.
func TestUncut(t *testing.T) {
	t.Parallel()
	const ten = "0123456789"
	for name, c := range map[string]struct {
		info string
		want int
	}{
		"a text alone":  {`{}`, 0},
		"Desc is cut":   {`{"Desc":"` + ten + `"}`, 0},
		"a title":       {`{"Title":"` + ten + `"}`, 10},
		"Apple's title": {`{"Title":"x","ApnsInfo":{"Title":"` + ten + `"}}`, 10},
		"all of it": {`{"Title":"` + ten + `","Ext":"` + ten + `","AndroidInfo":{"Sound":"` + ten + `","GoogleChannelID":"` + ten + `","X":1234},
			"ApnsInfo":{"SubTitle":"` + ten + `","Image":"` + ten + `","Sound":"` + ten + `"}}`, 80},
	} {
		if got := parse(t, row{who: alice, body: hello, more: `"OfflinePushInfo":` + c.info}.record()).Uncut(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
