package route_test

import (
	"strings"
	"testing"
)

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// PushFlag, OnlineOnlyFlag, MsgLifeTime and BadgeMode do what they say; the lifetime reaches both providers.
func TestRow13FlagsAndLifeTime(t *testing.T) {
	t.Parallel()
	phones := with(iphone, pixel...)
	both := func(reason string) []string { return []string{none("iphone", reason), none("pixel", reason)} }
	pixelFor := func(ttl string) string { return toPixel(strings.Replace(helloPixel, "604800s", ttl, 1)) }
	run(t, map[string]example{
		"PushFlag 1":             {message: toBob(`"OfflinePushInfo":{"PushFlag":1}`), events: phones, want: both("push_flag")},
		"PushFlag 0":             {message: toBob(`"OfflinePushInfo":{"PushFlag":0}`), events: iphone, want: []string{toIPhone(helloIPhone)}},
		"OnlineOnlyFlag 1":       {message: toBob(`"OnlineOnlyFlag":1`), events: phones, want: both("online_only")},
		"MsgLifeTime 0":          {message: toBob(`"MsgLifeTime":0`), events: phones, want: both("online_only")},
		"MsgLifeTime 60":         {message: toBob(`"MsgLifeTime":60`), events: phones, want: []string{toIPhone(helloIPhone, "apns-expiration: 1790000060"), pixelFor("60s")}},
		"MsgLifeTime 60, late":   {message: toBob(`"MsgLifeTime":60`), at: 1790000050, events: phones, want: []string{toIPhone(helloIPhone, "apns-expiration: 1790000060"), pixelFor("10s")}},
		"MsgLifeTime of a month": {message: toBob(`"MsgLifeTime":2592000`), events: phones, want: []string{toIPhone(helloIPhone), toPixel(helloPixel)}},
		"MsgLifeTime negative":   {message: toBob(`"MsgLifeTime":-1`), events: phones, want: []string{`{"decision":"dead","reason":"invalid_message"}`}},
		"BadgeMode 1":            {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"BadgeMode":1}}`), events: iphone, want: []string{toIPhone(strings.Replace(helloIPhone, `"badge":5`, `"badge":4`, 1))}},
	})
}

// A counted push adds one to its device's badge, whose base the device reports. 0 is never sent for a push that does not count.
func TestRow14WhatCounts(t *testing.T) {
	t.Parallel()
	apple := func(badge string) []string {
		return []string{toIPhone(strings.Replace(helloIPhone, `"badge":5,`, badge, 1))}
	}
	none0 := changed(iphone, `"Unread":4`, `"Unread":0`)
	run(t, map[string]example{
		"a message":                   {message: toBob(), events: iphone, want: apple(`"badge":5,`)},
		"NoUnread":                    {message: toBob(`"SendMsgControl":["NoUnread"]`), events: iphone, want: apple(`"badge":4,`)},
		"NoLastMsg is another matter": {message: toBob(`"SendMsgControl":["NoLastMsg"]`), events: iphone, want: apple(`"badge":5,`)},
		"after 0":                     {message: toBob(), events: none0, want: apple(`"badge":1,`)},
		"what does not count after 0": {message: toBob(`"SendMsgControl":["NoUnread"]`), events: none0, want: apple(``)},
		"Android shows the same":      {message: toBob(`"SendMsgControl":["NoUnread"]`), events: pixel, want: []string{toPixel(strings.Replace(helloPixel, `"badge":"5"`, `"badge":"4"`, 1))}},
	})
}

// What AndroidInfo says reaches an Android phone: channel, sound, extension and time to live.
func TestRow15AndroidInfo(t *testing.T) {
	t.Parallel()
	data := func(members string) []string {
		return []string{toPixel(`{"data":{"body":"Alice:hello",` + members + `"thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`)}
	}
	run(t, map[string]example{
		"sound":                    {message: toBob(`"OfflinePushInfo":{"AndroidInfo":{"Sound":"android.mp3"}}`), events: pixel, want: data(`"sound":"android.mp3","badge":"5",`)},
		"Apple's sound is Apple's": {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"Sound":"apple.caf"}}`), events: pixel, want: data(`"badge":"5",`)},
		"channel":                  {message: toBob(`"OfflinePushInfo":{"AndroidInfo":{"GoogleChannelID":"news"}}`), events: pixel, want: data(`"channel":"news","badge":"5",`)},
		"style notification": {app: "fcm: {style: notification, channels: {ding.caf: chat}}",
			message: toBob(`"OfflinePushInfo":{"Title":"News","Ext":"e","AndroidInfo":{"Sound":"ding.caf"}}`), events: pixel,
			want: []string{toPixel(`{"notification":{"title":"News","body":"hello"},"data":{"ext":"e","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s","notification":{"tag":"ID","channel_id":"chat","sound":"ding.caf","notification_count":5}}}`)}},
		"the certificate's click action": {app: "fcm: {style: notification}", message: toBob(), events: changed(pixel, `"android"`, `"android-click"`),
			want: []string{toPixel(`{"notification":{"body":"Alice:hello"},"data":{"thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s","notification":{"tag":"ID","click_action":"com.example.im.CHAT","notification_count":5}}}`)}},
		"vendors that are not served are no error": {message: toBob(`"OfflinePushInfo":{"AndroidInfo":{"HuaWeiChannelID":"h","XiaoMiChannelID":"x","OPPOChannelID":"o","VIVOClassification":1,"HuaWeiImportance":"LOW","New":{"a":[1]}}}`), events: pixel, want: data(`"badge":"5",`)},
	})
}

// A backend's message is taken as the REST call has it, with what it has that no push needs.
func TestRow17MessagesInTheRESTShape(t *testing.T) {
	t.Parallel()
	aps := func(user, alert, thread, key string) string {
		return pushed(user, "iphone", "apns", "background", `{"aps":{"alert":"`+alert+`","badge":5,"sound":"default","thread-id":"`+thread+`"},"msg_key":"`+key+`"}`)
	}
	carol := changed(changed(iphone, `"bob"`, `"carol"`), "aaaa", "dddd")
	phones := with(iphone, carol...)
	run(t, map[string]example{
		"sendmsg": {message: `{"SyncOtherMachine":2,"From_Account":"alice","To_Account":"bob","MsgLifeTime":604800,"MsgSeq":93847636,"MsgRandom":1287657,"MsgTimeStamp":1790000000,"ForbidCallbackControl":["ForbidBeforeSendMsgCallback"],"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi, beauty"}}],"CloudCustomData":"your cloud custom data"}`,
			events: iphone, want: []string{aps("bob", "hi, beauty", "c2c:alice", "c2c:alice:93847636_1287657_1790000000")}},
		"batchsendmsg": {message: toBob(`"To_Account":["carol","alice","bob","carol"]`), events: phones,
			want: []string{aps("carol", "Alice:hello", "c2c:alice", "c2c:alice:101_900001_1790000000"), aps("bob", "Alice:hello", "c2c:alice", "c2c:alice:101_900001_1790000000")}},
		"send_group_msg": {message: `{"GroupId":"@TGS#2C5SZEAEF","Random":8912345,"From_Account":"alice","MsgPriority":"Normal","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red packet"}},{"MsgType":"TIMFaceElem","MsgContent":{"Index":6,"Data":"abc\u0000\u0001"}}],"MsgTimeStamp":1790000000}`,
			events: with(phones, changed(changed(iphone, `"bob"`, `"alice"`), "aaaa", "eeee")...),
			want:   []string{aps("bob", "red packet[Face]", "group:@TGS#2C5SZEAEF", "group:@TGS#2C5SZEAEF:8912345_1790000000"), aps("carol", "red packet[Face]", "group:@TGS#2C5SZEAEF", "group:@TGS#2C5SZEAEF:8912345_1790000000")}},
		"send_group_msg to some of the members": {message: toTeam(`"To_Account":["carol"]`), events: phones,
			want: []string{aps("carol", "Alice(Team):hello", "group:team", "group:team:424242_1790000000")}},
		"without a random, a message is its place in the log": {message: `{"From_Account":"alice","To_Account":"bob",` + hello + `}`, events: iphone,
			want: []string{aps("bob", "hello", "c2c:alice", "at:im.messages/0/0")}},
		"501 recipients":   {message: toBob(`"To_Account":["bob"` + repeat(`,"bob"`, 500) + `]`), events: iphone, want: []string{`{"decision":"dead","reason":"too_many_recipients"}`}},
		"no recipient":     {message: toBob(`"To_Account":""`), events: iphone, want: []string{`{"decision":"dead","reason":"invalid_message"}`}},
		"to oneself":       {message: toBob(`"To_Account":"alice"`), events: iphone, want: nil},
		"an app of nobody": {message: toBob(`"App":"other"`), events: iphone, want: []string{`{"msg_key":"c2c:alice:101_900001_1790000000","decision":"dead","reason":"unknown_app"}`}},
		"no JSON":          {message: `{"App":"im",`, events: iphone, want: []string{`{"decision":"dead","reason":"invalid_message"}`}},
	})
}

// A message past its lifetime is not pushed.
func TestRow21WhatIsTooLateIsDropped(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"a second before its end":     {message: toBob(`"MsgLifeTime":60`), at: 1790000059, events: iphone, want: []string{toIPhone(helloIPhone, "apns-expiration: 1790000060")}},
		"at its end":                  {message: toBob(`"MsgLifeTime":60`), at: 1790000060, events: iphone, want: []string{none("iphone", "expired")}},
		"without MsgLifeTime: 7 days": {message: toBob(), at: 1790604800, events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"background","EventTime":1790500000000}`), want: []string{none("iphone", "expired")}},
		"a call rings for 30 s":       {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}}`), at: 1790000030, events: iphone, want: []string{none("iphone", "expired")}},
	})
}

// Every device has one reason for its push or for none: the sender's wish comes first, then the device, then
// the user.
func TestRow23OneReasonForEachDevice(t *testing.T) {
	t.Parallel()
	muted := settings(`"ReceiveOptions":{"group:team":2}`)
	run(t, map[string]example{
		"of the message for every device": {message: toTeam(`"OfflinePushInfo":{"PushFlag":1}`), events: with(with(iphone, pixel...), muted),
			want: []string{noneInTeam("iphone", "push_flag"), noneInTeam("pixel", "push_flag")}},
		"of each device before its user's": {message: toTeam(), events: with(with(iphone, pixel...), muted, `{"App":"im","User":"bob","Device":"pixel","Event":"logout","EventTime":1789999998000}`),
			want: []string{noneInTeam("iphone", "muted"), noneInTeam("pixel", "logged_out")}},
		"of the push": {message: toBob(), events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"killed","EventTime":1789999998000}`),
			want: []string{pushed("bob", "iphone", "apns", "killed", helloIPhone)}},
	})
}

// A notification that is shown can be replaced or withdrawn: every push carries the name under which it can be
// replaced, its id.
func TestRow24EveryPushCanBeReplaced(t *testing.T) {
	t.Parallel()
	id := idOf("c2c:alice:101_900001_1790000000", "iphone")
	run(t, map[string]example{
		"Apple": {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone, "apns-collapse-id: "+id)}},
		"Android, drawn by the system": {app: "fcm: {style: notification}", message: toBob(), events: pixel,
			want: []string{toPixel(`{"notification":{"body":"Alice:hello"},"data":{"thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s","notification":{"tag":"ID","notification_count":5}}}`)}},
		"Android, drawn by the app: by msg_key": {message: toBob(), events: pixel, want: []string{toPixel(helloPixel)}},
	})
}

// Calls and silent updates: ApnsInfo.PushType.
func TestPushTypes(t *testing.T) {
	t.Parallel()
	call := toBob(`"OfflinePushInfo":{"Ext":"room 7","ApnsInfo":{"PushType":"voip"}}`)
	background := toBob(`"OfflinePushInfo":{"Ext":"sync","ApnsInfo":{"PushType":"background"}}`)
	rings := changed(iphone, `"Credential"`, `"VoIPToken":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","Credential"`)
	run(t, map[string]example{
		"a call rings where there is a token for calls": {message: call, events: rings,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:hello","badge":5,"thread-id":"c2c:alice"},"ext":"room 7","msg_key":"c2c:alice:101_900001_1790000000"}`,
				"apns-push-type: voip", "apns-topic: com.example.im.voip", "apns-expiration: 1790000030", "apns-collapse-id: ")}},
		"elsewhere it breaks through, with 30 s to live": {message: call, events: with(iphone, pixel...),
			want: []string{toIPhone(`{"aps":{"alert":"Alice:hello","badge":5,"sound":"default","thread-id":"c2c:alice","interruption-level":"time-sensitive"},"ext":"room 7","msg_key":"c2c:alice:101_900001_1790000000"}`, "apns-expiration: 1790000030"),
				toPixel(`{"data":{"body":"Alice:hello","badge":"5","ext":"room 7","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"30s"}}`)}},
		"with a token for calls alone, nothing else arrives": {message: toBob(), events: changed(rings, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
			want: []string{none("iphone", "no_token")}},
		"but calls do": {message: call, events: changed(rings, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
			want: []string{toIPhone(`{"aps":{"alert":"Alice:hello","badge":5,"thread-id":"c2c:alice"},"ext":"room 7","msg_key":"c2c:alice:101_900001_1790000000"}`,
				"apns-push-type: voip", "apns-topic: com.example.im.voip", "apns-expiration: 1790000030", "apns-collapse-id: ")}},
		"what wakes the app shows nothing and does not count": {message: background, events: with(iphone, pixel...),
			want: []string{toIPhone(`{"aps":{"content-available":1,"badge":4},"ext":"sync","msg_key":"c2c:alice:101_900001_1790000000"}`, "apns-push-type: background", "apns-priority: 5", "apns-collapse-id: "),
				toPixel(`{"data":{"badge":"4","ext":"sync","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"normal","ttl":"604800s"}}`)}},
		"it may set the number to 0": {message: background, events: changed(iphone, `"Unread":4`, `"Unread":0`),
			want: []string{toIPhone(`{"aps":{"content-available":1,"badge":0},"ext":"sync","msg_key":"c2c:alice:101_900001_1790000000"}`, "apns-push-type: background", "apns-priority: 5", "apns-collapse-id: ")}},
	})
}

// Privacy, as the app wishes: that there is a message, and nothing of it.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	const private = "privacy: true"
	secret := toTeam(`"OfflinePushInfo":{"Title":"Secret","Ext":"e","ApnsInfo":{"SubTitle":"more","Image":"https://example.com/a.png","Sound":"ding.caf"}}`)
	run(t, map[string]example{
		"Apple": {app: private, message: secret, events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"New message","badge":5,"sound":"ding.caf","thread-id":"group:team"},"ext":"e","msg_key":"group:team:424242_1790000000"}`)}},
		"in the device's language": {app: private, message: toBob(), events: changed(iphone, `"en"`, `"zh-Hans"`), want: iphoneText("新消息")},
		"Android":                  {app: private, message: toBob(), events: pixel, want: []string{toPixel(strings.Replace(helloPixel, "Alice:hello", "New message", 1))}},
	})
}
