package message_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// shown is what a message decides about how a push looks and sounds; its order is that of the fields of the contract.
type shown struct {
	title, subtitle, body, ext, image, sound, androidSound, channel, vendor string
	mutable, silentBadge                                                    bool
}

func show(n push.Notification, counts bool) shown {
	return shown{
		title: n.Title, subtitle: n.Subtitle, body: n.Body, ext: n.Ext, image: n.Image, sound: n.Sound,
		androidSound: n.AndroidSound, channel: n.Channel, vendor: n.Vendor, mutable: n.Mutable, silentBadge: !counts,
	}
}

// Who writes, and what is in MsgBody.
const (
	alice  = `"From_Account":"alice","To_Account":"bob","From_Nick":"Alice"`
	nobody = `"From_Account":"alice","To_Account":"bob"`
	team   = `"From_Account":"alice","GroupId":"team"`

	hello  = `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`
	face   = `[{"MsgType":"TIMFaceElem","MsgContent":{"Index":1}}]`
	custom = `[{"MsgType":"TIMCustomElem","MsgContent":{"Data":"secret","Desc":"a card","Ext":"go://1","Sound":"c.caf"}}]`
	noDesc = `[{"MsgType":"TIMCustomElem","MsgContent":{"Data":"secret","Ext":"go://1","Sound":"c.caf"}}]`
)

// row is who writes, what is in MsgBody, what stands beside it, and what an iPhone shows.
type row struct {
	name, who, body, more string
	want                  shown
}

func (r row) record() string {
	record := `{` + r.who + `,"MsgBody":` + r.body
	if r.more != "" {
		record += `,` + r.more
	}
	return record + `}`
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, r.record())
			got := show(m.Render(iphone("en")), m.Counts())
			if diff := cmp.Diff(r.want, got, cmp.AllowUnexported(shown{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Build one-to-one and group text from nickname, group card and group name.
func TestRow7NamesBeforeTheText(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"one-to-one with a nickname", alice, hello, "", shown{body: "Alice:hello"}},
		{"one-to-one without", nobody, hello, "", shown{body: "hello"}},
		{"an empty nickname is none", nobody + `,"From_Nick":""`, hello, "", shown{body: "hello"}},
		{"the card is the group's alone", alice + `,"From_NameCard":"Ali","GroupName":"Team"`, hello, "", shown{body: "Alice:hello"}},
		{"group with a card", team + `,"GroupName":"Team","From_Nick":"Alice","From_NameCard":"Ali"`, hello, "", shown{body: "Ali(Team):hello"}},
		{"group with a nickname", team + `,"GroupName":"Team","From_Nick":"Alice","From_NameCard":""`, hello, "", shown{body: "Alice(Team):hello"}},
		{"group with no name", team + `,"GroupName":"Team"`, hello, "", shown{body: "(Team):hello"}},
		{"group without a group name", team + `,"From_Nick":"Alice"`, hello, "", shown{body: "Alice:hello"}},
		{"group with neither", team, hello, "", shown{body: "hello"}},
	})
}

// Make text for each element type, joined without separators.
func TestRow8TextOfEachElement(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"text", alice, hello, "", shown{body: "Alice:hello"}},
		{"location", alice, `[{"MsgType":"TIMLocationElem","MsgContent":{"Desc":"x","Latitude":1.5,"Longitude":2}}]`, "", shown{body: "Alice:[Location]"}},
		{"face", alice, face, "", shown{body: "Alice:[Face]"}},
		{"sound", alice, `[{"MsgType":"TIMSoundElem","MsgContent":{"Url":"x","Second":3}}]`, "", shown{body: "Alice:[Voice]"}},
		{"image", alice, `[{"MsgType":"TIMImageElem","MsgContent":{"UUID":"x","ImageInfoArray":[]}}]`, "", shown{body: "Alice:[Image]"}},
		{"file", alice, `[{"MsgType":"TIMFileElem","MsgContent":{"FileName":"x"}}]`, "", shown{body: "Alice:[File]"}},
		{"video", alice, `[{"MsgType":"TIMVideoFileElem","MsgContent":{"VideoUrl":"x"}}]`, "", shown{body: "Alice:[Video]"}},
		{"relay shows its title", alice, `[{"MsgType":"TIMRelayElem","MsgContent":{"Title":"Chat history","MsgNum":2,"AbstractList":["a"]}}]`, "", shown{body: "Alice:Chat history"}},
		{"elements join without separator", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"look"}},{"MsgType":"TIMFaceElem","MsgContent":{}},{"MsgType":"TIMImageElem"}]`, "", shown{body: "Alice:look[Face][Image]"}},
		{"content is not its neighbour's", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"a"}},{"MsgType":"TIMTextElem"}]`, "", shown{body: "Alice:a"}},
		{"null content is none", alice, `[{"MsgType":"TIMTextElem","MsgContent":null},{"MsgType":"TIMFaceElem","MsgContent":null}]`, "", shown{body: "Alice:[Face]"}},
		{"content before type", alice, `[{"MsgContent":{"Text":"hello"},"MsgType":"TIMTextElem"}]`, "", shown{body: "Alice:hello"}},
		{"an unknown element gives no text", alice, `[{"MsgType":"TIMFutureElem","MsgContent":{"Text":"??"}}]`, "", shown{}},
		{"an unknown element beside a known one", alice, `[{"MsgType":"TIMFutureElem","MsgContent":7},{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`, "", shown{body: "Alice:hello"}},
		{"empty text", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":""}}]`, "", shown{}},
		{"no element", alice, `[]`, "", shown{}},
		{"escapes are read", alice, `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"\u4f60\u597d\n\"\ud83d\ude00"}}]`, "", shown{body: "Alice:你好\n\"😀"}},
		{"unknown fields are passed over", alice, hello, `"CloudCustomData":{"deep":[[1]]},"SyncOtherMachine":2,"from_nick":"x"`, shown{body: "Alice:hello"}},
	})
}

// Not push a custom element that has no Desc at all.
func TestRow9CustomElementWithoutDesc(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, more string
		want       push.Reason
	}{
		"alone":                               {noDesc, "", push.ReasonNoText},
		"with an empty Desc":                  {`[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"","Ext":"e"}}]`, "", push.ReasonNoText},
		"a title says nothing of it":          {noDesc, `"OfflinePushInfo":{"Title":"Shop"}`, push.ReasonNoText},
		"with a Desc of its own":              {custom, "", ""},
		"with the Desc of OfflinePushInfo":    {noDesc, `"OfflinePushInfo":{"Desc":"a gift"}`, ""},
		"beside an element that has text":     {noDesc[:len(noDesc)-1] + `,{"MsgType":"TIMFaceElem"}]`, "", ""},
		"beside a custom element with a Desc": {noDesc[:len(noDesc)-1] + `,` + custom[1:], "", ""},
	} {
		m := parse(t, row{who: alice, body: c.body, more: c.more}.record())
		if got := m.Filter(recordTime, 0); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Put TIMCustomElem.Ext into the ext, byte for byte, and its Sound into the sound; its Data goes nowhere.
func TestRows10And11CustomElements(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"custom", alice, custom, "", shown{body: "Alice:a card", ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"without Desc", alice, noDesc, "", shown{ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"Ext that looks like JSON stays text", alice, `[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"d","Ext":"{ \"a\" : 1,\t\"b\":\"<&\u2028\/\" }"}}]`, "", shown{body: "Alice:d", ext: "{ \"a\" : 1,\t\"b\":\"<&\u2028/\" }"}},
		{"one that asks for silence", alice, `[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"d","Sound":"push.no_sound"}}]`, "", shown{body: "Alice:d", sound: push.SoundSilent, androidSound: push.SoundSilent}},
		{"of several the first that says it", alice, `[{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"a","Ext":""}},{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"b","Ext":"2","Sound":"s2"}},{"MsgType":"TIMCustomElem","MsgContent":{"Desc":"c","Ext":"3","Sound":"s3"}}]`, "", shown{body: "Alice:abc", ext: "2", sound: "s2", androidSound: "s2"}},
	})
}

// Sound: of the message > the user's default for the conversation type > the platform's default, with a silent value. On
// Android AndroidInfo.Sound takes ApnsInfo.Sound's place.
func TestRow11WhichSoundCounts(t *testing.T) {
	t.Parallel()
	const none = ""
	for name, c := range map[string]struct{ body, more, users, apple, android string }{
		"nobody names one":                     {hello, ``, none, none, none},
		"the user's default":                   {hello, ``, "u.caf", "u.caf", "u.caf"},
		"the user wants silence":               {hello, ``, push.SoundSilent, push.SoundSilent, push.SoundSilent},
		"the custom element's before it":       {custom, ``, "u.caf", "c.caf", "c.caf"},
		"the message's before it":              {hello, `{"ApnsInfo":{"Sound":"m.caf"},"AndroidInfo":{"Sound":"m.mp3"}}`, "u.caf", "m.caf", "m.mp3"},
		"the message wants silence":            {hello, `{"ApnsInfo":{"Sound":"push.no_sound"},"AndroidInfo":{"Sound":"push.no_sound"}}`, "u.caf", push.SoundSilent, push.SoundSilent},
		"the message says it for Apple alone":  {hello, `{"ApnsInfo":{"Sound":"m.caf"}}`, none, "m.caf", none},
		"and the user for the other":           {hello, `{"ApnsInfo":{"Sound":"m.caf"}}`, "u.caf", "m.caf", "u.caf"},
		"for Android alone":                    {hello, `{"AndroidInfo":{"Sound":"m.mp3"}}`, none, none, "m.mp3"},
		"OfflinePushInfo hides the element's":  {custom, `{}`, none, none, none},
		"and uncovers the user's":              {custom, `{}`, "u.caf", "u.caf", "u.caf"},
		"a path with a suffix":                 {hello, `{"AndroidInfo":{"Sound":"sounds/android.mp3"}}`, none, none, "sounds/android.mp3"},
		"a name without one is another string": {hello, `{"AndroidInfo":{"Sound":"android"}}`, none, none, "android"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := row{who: alice, body: c.body}
			if c.more != "" {
				r.more = `"OfflinePushInfo":` + c.more
			}
			n := parse(t, r.record()).Render(message.View{Platform: "fcm", Sound: c.users})
			if n.Sound != c.apple || n.AndroidSound != c.android {
				t.Errorf("Apple %q, Android %q, want %q, %q", n.Sound, n.AndroidSound, c.apple, c.android)
			}
		})
	}
}

// Let OfflinePushInfo override text, title, ext, sound and all custom-element push settings.
func TestRow12OfflinePushInfoOverrides(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"Desc stands where the text stood", alice, hello, `"OfflinePushInfo":{"Desc":"new message"}`, shown{body: "Alice:new message"}},
		{"in a group too", team + `,"GroupName":"Team"`, hello, `"OfflinePushInfo":{"Desc":"new message"}`, shown{body: "(Team):new message"}},
		{"Desc for a custom element without", alice, noDesc, `"OfflinePushInfo":{"Desc":"a gift"}`, shown{body: "Alice:a gift"}},
		{"Desc before a custom element's", alice, custom, `"OfflinePushInfo":{"Desc":"a gift"}`, shown{body: "Alice:a gift"}},
		{"Ext for a custom element's", alice, custom, `"OfflinePushInfo":{"Ext":"o"}`, shown{body: "Alice:a card", ext: "o"}},
		{"an empty one switches off Ext and Sound", alice, custom, `"OfflinePushInfo":{}`, shown{body: "Alice:a card"}},
		{"null is none", alice, custom, `"OfflinePushInfo":null`, shown{body: "Alice:a card", ext: "go://1", sound: "c.caf", androidSound: "c.caf"}},
		{"Title: no name before the text", alice, hello, `"OfflinePushInfo":{"Title":"Shop"}`, shown{title: "Shop", body: "hello"}},
		{"Title and Desc", alice, hello, `"OfflinePushInfo":{"Title":"Shop","Desc":"new"}`, shown{title: "Shop", body: "new"}},
		{"Title in a group", team + `,"GroupName":"Team","From_NameCard":"Ali"`, face, `"OfflinePushInfo":{"Title":"Shop"}`, shown{title: "Shop", body: "[Face]"}},
		{"ApnsInfo.Title overrides", alice, hello, `"OfflinePushInfo":{"Title":"Shop","ApnsInfo":{"Title":"iShop","SubTitle":"sub"}}`, shown{title: "iShop", subtitle: "sub", body: "hello"}},
		{"ApnsInfo.Title alone", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"Title":"iShop"}}`, shown{title: "iShop", body: "hello"}},
		{"SubTitle alone leaves the name", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"SubTitle":"sub"}}`, shown{subtitle: "sub", body: "Alice:hello"}},
		{"empty strings are absent", alice, hello, `"OfflinePushInfo":{"Title":"","Desc":"","Ext":"","ApnsInfo":{"Title":"","Sound":"","Image":"","PushType":"","InterruptionLevel":""}}`, shown{body: "Alice:hello"}},
		{"sounds by platform", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"Sound":"a.mp3"},"ApnsInfo":{"Sound":"i.caf"}}`, shown{body: "Alice:hello", sound: "i.caf", androidSound: "a.mp3"}},
		{"an image implies mutable content", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"Image":"https://x/y.png"}}`, shown{body: "Alice:hello", image: "https://x/y.png", mutable: true}},
		{"mutable content", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"MutableContent":1}}`, shown{body: "Alice:hello", mutable: true}},
	})
}

// Honor BadgeMode; SendMsgControl NoUnread is its counterpart in the message.
func TestRow13WhatCounts(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"BadgeMode 1 does not count", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"BadgeMode":1}}`, shown{body: "Alice:hello", silentBadge: true}},
		{"BadgeMode 0 counts", alice, hello, `"OfflinePushInfo":{"ApnsInfo":{"BadgeMode":0}}`, shown{body: "Alice:hello"}},
		{"NoUnread does not count", alice, hello, `"SendMsgControl":["NoLastMsg","NoUnread","WithMuteNotifications"]`, shown{body: "Alice:hello", silentBadge: true}},
		{"other controls do", alice, hello, `"SendMsgControl":["WithMuteNotifications","NoSuchThing"]`, shown{body: "Alice:hello"}},
	})
}

// Map AndroidInfo; fields of vendors that are not served are kept and passed on, never an error.
func TestRow15AndroidInfo(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{"channel", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"GoogleChannelID":"chat"}}`, shown{body: "Alice:hello", channel: "chat"}},
		{"the members of other vendors", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"HuaWeiImportance":"LOW","Sound":"a.mp3","VIVOClassification":1,"GoogleChannelID":"chat","OPPOChannelID":"o"}}`,
			shown{body: "Alice:hello", androidSound: "a.mp3", channel: "chat", vendor: `{"HuaWeiImportance":"LOW","VIVOClassification":1,"OPPOChannelID":"o"}`}},
		{"byte for byte", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{ "N\u0065w" : 1.50E+2 , "x":{ "b" : [ 1,null ,"\u4f60" ] }}}`,
			shown{body: "Alice:hello", vendor: `{"N\u0065w":1.50E+2,"x":{ "b" : [ 1,null ,"\u4f60" ] }}`}},
		{"of any type", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"HuaWeiImportance":7,"XiaoMiChannelID":null,"HonorImportance":false}}`,
			shown{body: "Alice:hello", vendor: `{"HuaWeiImportance":7,"XiaoMiChannelID":null,"HonorImportance":false}`}},
		{"names differ by case", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{"sound":"x"}}`, shown{body: "Alice:hello", vendor: `{"sound":"x"}`}},
		{"none", alice, hello, `"OfflinePushInfo":{"AndroidInfo":{}}`, shown{body: "Alice:hello"}},
		{"null", alice, hello, `"OfflinePushInfo":{"AndroidInfo":null}`, shown{body: "Alice:hello"}},
		{"unknown members elsewhere go nowhere", alice, hello, `"OfflinePushInfo":{"HarmonyInfo":{"x":1},"ApnsInfo":{"x":1}}`, shown{body: "Alice:hello"}},
	})
}

func TestTitleOfOtherPlatforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ info, title, body string }{
		"Title is everybody's":          {`{"Title":"Shop"}`, "Shop", "hello"},
		"ApnsInfo.Title is Apple's":     {`{"Title":"Shop","ApnsInfo":{"Title":"iShop"}}`, "Shop", "hello"},
		"and leaves the name to others": {`{"ApnsInfo":{"Title":"iShop"}}`, "", "Alice:hello"},
	} {
		m := parse(t, row{who: alice, body: hello, more: `"OfflinePushInfo":` + c.info}.record())
		if n := m.Render(message.View{Platform: "fcm"}); n.Title != c.title || n.Body != c.body {
			t.Errorf("%s: title %q, body %q", name, n.Title, n.Body)
		}
	}
}

// Keep within 4 KB by cutting the body: what is kept here is longer than any payload, so that the platform still sees that
// it has to cut, and the ext is whole.
func TestRow16LongText(t *testing.T) {
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
			body := parse(t, record).Render(message.View{Language: "ja"}).Body
			if len(body) <= largestPayload || len(body) > 2*kept+len(":") || !utf8.ValidString(body) {
				t.Errorf("%d bytes, valid UTF-8: %v", len(body), utf8.ValidString(body))
			}
		})
	}
	if n := parse(t, row{who: alice, body: hello, more: `"OfflinePushInfo":{"Ext":"` + long + `"}`}.record()).Render(message.View{}); n.Ext != long {
		t.Errorf("%d bytes of ext, want %d", len(n.Ext), len(long))
	}
}
