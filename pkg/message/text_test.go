package message_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// shown is what a message decides about how a push looks and sounds; its order is that of the fields of the contract.
type shown struct {
	title, subtitle, body, ext, image, sound, androidSound, channel string
	mutable, silentBadge                                            bool
}

func show(n push.Notification, counts bool) shown {
	return shown{
		title: n.Title, subtitle: n.Subtitle, body: n.Body, ext: n.Ext, image: n.Image, sound: n.Sound,
		androidSound: n.AndroidSound, channel: n.Channel, mutable: n.Mutable, silentBadge: !counts,
	}
}

// TestShown: who writes, what is in MsgBody, what stands beside it, and what the phone shows.
func TestShown(t *testing.T) {
	t.Parallel()
	const (
		alice   = `"From_Account":"alice","To_Account":"bob","From_Nick":"Alice"`
		nobody  = `"From_Account":"alice","To_Account":"bob"`
		hello   = `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`
		face    = `[{"MsgType":"TIMFaceElem","MsgContent":{"Index":1}}]`
		custom  = `[{"MsgType":"TIMCustomElem","MsgContent":{"Data":"secret","Desc":"a card","Ext":"go://1","Sound":"c.caf"}}]`
		noDesc  = `[{"MsgType":"TIMCustomElem","MsgContent":{"Data":"secret","Ext":"go://1","Sound":"c.caf"}}]`
		unknown = `[{"MsgType":"TIMFutureElem","MsgContent":{"Text":"??"}}]`
	)
	group := func(names string) string {
		return `"From_Account":"alice","GroupId":"team"` + names
	}
	for _, c := range []struct {
		name, who, body, more string
		want                  shown
	}{
		// Who writes.
		{"one-to-one with a nickname", alice, hello, "", shown{body: "Alice:hello"}},
		{"one-to-one without", nobody, hello, "", shown{body: "hello"}},
		{"an empty nickname is none", nobody + `,"From_Nick":""`, hello, "", shown{body: "hello"}},
		{"the card is the group's alone", alice + `,"From_NameCard":"Ali","GroupName":"Team"`, hello, "", shown{body: "Alice:hello"}},
		{"group with a card", group(`,"GroupName":"Team","From_Nick":"Alice","From_NameCard":"Ali"`), hello, "", shown{body: "Ali(Team):hello"}},
		{"group with a nickname", group(`,"GroupName":"Team","From_Nick":"Alice","From_NameCard":""`), hello, "", shown{body: "Alice(Team):hello"}},
		{"group with no name", group(`,"GroupName":"Team"`), hello, "", shown{body: "(Team):hello"}},
		{"group without a group name", group(`,"From_Nick":"Alice"`), hello, "", shown{body: "Alice:hello"}},
		{"group with neither", group(``), hello, "", shown{body: "hello"}},

		// What is in MsgBody.
		{"location", alice, `[{"MsgType":"TIMLocationElem","MsgContent":{"Desc":"x","Latitude":1.5,"Longitude":2}}]`, "", shown{body: "Alice:[Location]"}},
		{"face", alice, face, "", shown{body: "Alice:[Face]"}},
		{"sound", alice, `[{"MsgType":"TIMSoundElem","MsgContent":{"Url":"x","Second":3}}]`, "", shown{body: "Alice:[Voice]"}},
		{"image", alice, `[{"MsgType":"TIMImageElem","MsgContent":{"UUID":"x","ImageInfoArray":[]}}]`, "", shown{body: "Alice:[Image]"}},
		{"file", alice, `[{"MsgType":"TIMFileElem","MsgContent":{"FileName":"x"}}]`, "", shown{body: "Alice:[File]"}},
		{"video", alice, `[{"MsgType":"TIMVideoFileElem","MsgContent":{"VideoUrl":"x"}}]`, "", shown{body: "Alice:[Video]"}},
		{"relay shows its title", alice, `[{"MsgType":"TIMRelayElem","MsgContent":{"Title":"Chat history","MsgNum":2,"AbstractList":["a"]}}]`, "", shown{body: "Alice:Chat history"}},
		{"custom", alice, custom, "", shown{body: "Alice:a card", ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"custom without Desc has no text", alice, noDesc, "", shown{ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"custom that asks for silence", alice, `[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"d","Sound":"push.no_sound"}}]`, "", shown{body: "Alice:d", sound: push.SoundSilent, androidSound: push.SoundSilent}},
		{"elements join without separator", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"look"}},{"MsgType":"TIMFaceElem","MsgContent":{}},{"MsgType":"TIMImageElem"}]`, "", shown{body: "Alice:look[Face][Image]"}},
		{"content is not its neighbour's", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"a"}},{"MsgType":"TIMTextElem"}]`, "", shown{body: "Alice:a"}},
		{"null content is none", alice, `[{"MsgType":"TIMTextElem","MsgContent":null},{"MsgType":"TIMFaceElem","MsgContent":null}]`, "", shown{body: "Alice:[Face]"}},
		{"content before type", alice, `[{"MsgContent":{"Text":"hello"},"MsgType":"TIMTextElem"}]`, "", shown{body: "Alice:hello"}},
		{"of several custom elements the first that says it", alice, `[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"a","Ext":""}},{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"b","Ext":"2","Sound":"s2"}},{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"c","Ext":"3","Sound":"s3"}}]`, "", shown{body: "Alice:abc", ext: "2", sound: "s2", androidSound: "s2"}},
		{"an unknown element gives no text", alice, unknown, "", shown{}},
		{"an unknown element beside a known one", alice, `[{"MsgType":"TIMFutureElem","MsgContent":7},{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`, "", shown{body: "Alice:hello"}},
		{"empty text", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":""}}]`, "", shown{}},
		{"no element", alice, `[]`, "", shown{}},
		{"escapes are read", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"\u4f60\u597d\n\"\ud83d\ude00"}}]`, "", shown{body: "Alice:你好\n\"😀"}},

		// What OfflinePushInfo says instead.
		{"Desc stands where the text stood", alice, hello, `"OfflinePushInfo":{"Desc":"new message"}`, shown{body: "Alice:new message"}},
		{"Desc for a custom element without", alice, noDesc, `"OfflinePushInfo":{"Desc":"a gift"}`, shown{body: "Alice:a gift"}},
		{"OfflinePushInfo switches off a custom element's Ext and Sound", alice, custom, `"OfflinePushInfo":{"Ext":"o"}`, shown{body: "Alice:a card", ext: "o"}},
		{"even an empty one", alice, custom, `"OfflinePushInfo":{}`, shown{body: "Alice:a card"}},
		{"null is none", alice, custom, `"OfflinePushInfo":null`, shown{body: "Alice:a card", ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"Title: no name before the text", alice, hello, `"OfflinePushInfo":{"Title":"Shop"}`, shown{title: "Shop", body: "hello"}},
		{"Title and Desc", alice, hello, `"OfflinePushInfo":{"Title":"Shop","Desc":"new"}`, shown{title: "Shop", body: "new"}},
		{"Title in a group", group(`,"GroupName":"Team","From_NameCard":"Ali"`), face, `"OfflinePushInfo":{"Title":"Shop"}`, shown{title: "Shop", body: "[Face]"}},
		{"ApnsInfo.Title overrides", alice, hello, `"OfflinePushInfo":{"Title":"Shop","ApnsInfo":{"Title":"iShop","SubTitle":"sub"}}`, shown{title: "iShop", subtitle: "sub", body: "hello"}},
		{"ApnsInfo.Title alone", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"Title":"iShop"}}`, shown{title: "iShop", body: "hello"}},
		{"empty strings are absent", alice, hello, `"OfflinePushInfo":{"Title":"","Desc":"","Ext":"","ApnsInfo":{"Title":"","Sound":"","Image":""}}`, shown{body: "Alice:hello"}},
		{"sounds by platform", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"Sound":"a.mp3"},"ApnsInfo":{"Sound":"i.caf"}}`, shown{body: "Alice:hello", sound: "i.caf", androidSound: "a.mp3"}},
		{"channel", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"GoogleChannelID":"chat","HuaWeiImportance":"LOW","VIVOClassification":1}}`, shown{body: "Alice:hello", channel: "chat"}},
		{"an image implies mutable content", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"Image":"https://x/y.png"}}`, shown{body: "Alice:hello", image: "https://x/y.png", mutable: true}},
		{"mutable content", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"MutableContent":1}}`, shown{body: "Alice:hello", mutable: true}},
		{"BadgeMode 1 does not count", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"BadgeMode":1}}`, shown{body: "Alice:hello", silentBadge: true}},
		{"BadgeMode 0 counts", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"BadgeMode":0}}`, shown{body: "Alice:hello"}},
		{"NoUnread does not count", alice, hello, `"SendMsgControl":["NoLastMsg","NoUnread"]`, shown{body: "Alice:hello", silentBadge: true}},
		{"other controls do", alice, hello, `"SendMsgControl":["WithMuteNotifications","NoSuchThing"]`, shown{body: "Alice:hello"}},

		// What is not ours to read.
		{"unknown fields are passed over", alice, hello, `"CloudCustomData":{"deep":[[1]]},"SyncOtherMachine":2,"from_nick":"x"`, shown{body: "Alice:hello"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			record := `{` + c.who + `,"MsgBody":` + c.body
			if c.more != "" {
				record += `,` + c.more
			}
			m := parse(t, record+`}`)
			if diff := cmp.Diff(c.want, show(m.Notification("en"), m.Counts()), cmp.AllowUnexported(shown{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTitleOfOtherPlatforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ info, title, body string }{
		"Title is everybody's":          {`{"Title":"Shop"}`, "Shop", "hello"},
		"ApnsInfo.Title is Apple's":     {`{"Title":"Shop","ApnsInfo":{"Title":"iShop"}}`, "Shop", "hello"},
		"and leaves the name to others": {`{"ApnsInfo":{"Title":"iShop"}}`, "", "Alice:hello"},
	} {
		m := parse(t, `{"From_Account":"alice","To_Account":"bob","From_Nick":"Alice","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"OfflinePushInfo":`+c.info+`}`)
		if n := m.NotificationFor("fcm", "en"); n.Title != c.title || n.Body != c.body {
			t.Errorf("%s: title %q, body %q", name, n.Title, n.Body)
		}
	}
}

// TestLongText: what is kept is longer than any payload, so that the platform still sees that it has to cut.
func TestLongText(t *testing.T) {
	t.Parallel()
	const largestPayload, kept = 5120, 8 << 10
	long := strings.Repeat("界", 300_000)
	for name, record := range map[string]string{
		"text":          `{"From_Account":"a","To_Account":"b","From_Nick":"Alice","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"` + long + `"}}]}`,
		"name":          `{"From_Account":"a","To_Account":"b","From_Nick":"` + long + `","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]}`,
		"Desc":          `{"From_Account":"a","To_Account":"b","MsgBody":[],"OfflinePushInfo":{"Title":"T","Desc":"` + long + `"}}`,
		"many elements": `{"From_Account":"a","To_Account":"b","MsgBody":[` + strings.Repeat(`{"MsgType":"TIMFaceElem"},`, 30_000) + `{"MsgType":"TIMFaceElem"}]}`,
		"many texts":    `{"From_Account":"a","To_Account":"b","MsgBody":[` + strings.Repeat(`{"MsgType":"TIMTextElem","MsgContent":{"Text":"0123456789"}},`, 15_000) + `{"MsgType":"TIMFaceElem"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := parse(t, record).Notification("ja").Body
			if len(body) <= largestPayload || len(body) > 2*kept+len(":") || !utf8.ValidString(body) {
				t.Errorf("%d bytes, valid UTF-8: %v", len(body), utf8.ValidString(body))
			}
		})
	}
}
