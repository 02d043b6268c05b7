package route_test

import "testing"

// What the IM promises to its developers, a sentence a test.

// Users learn of new messages while the app is in the background, and after its process is gone.
func TestUsersReceiveMessagesInTheBackgroundOrKilled(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"in the background": {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone)}},
		"killed": {message: toBob(), events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"killed","EventTime":1789999998000}`),
			want: []string{pushed("bob", "iphone", "apns", "killed", helloIPhone)}},
	})
}

// Apple's devices are reached through APNs, Android's through the callback for offline messages.
func TestAppleUsesAPNsAndAndroidAnOfflineMessageCallback(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"iOS": {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone)}},
		"Android, by its callback": {message: toBob(), events: tablet,
			want: []string{toTablet(`{"App":"im","User":"bob","Device":"tablet","MsgKey":"c2c:alice:101_900001_1790000000","PushID":"ID","Body":"Alice:hello","Badge":5,"Thread":"c2c:alice","Expires":1790604800000}`)}},
		"Android, by Google's service": {message: toBob(), events: pixel, want: []string{toPixel(helloPixel)}},
	})
}

// What one-to-one and group messages look like on the phone.
func TestPushFormatOfOneToOneAndGroupMessages(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"one-to-one": {message: toBob(elements(`TIMTextElem {"Text":"helloworld"}`), `"From_Nick":"Nickname"`), events: iphone, want: iphoneText("Nickname:helloworld")},
		"group":      {message: toTeam(elements(`TIMTextElem {"Text":"helloworld"}`), `"From_NameCard":"Name"`), events: iphone, want: iphoneTeam("Name(Team):helloworld")},
	})
}

// The app gives its token.
func TestSetTheToken(t *testing.T) {
	t.Parallel()
	login := changed([]string{iphoneLogin}, `,"Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Credential":"ios"`, ``)
	const set = `{"App":"im","User":"bob","Device":"iphone","Event":"token","EventTime":1789999991000,"Platform":"apns","Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Credential":"ios"}`
	run(t, map[string]example{
		"before": {message: toBob(), events: with(login, iphoneBackground), want: []string{none("iphone", "no_token")}},
		"after":  {message: toBob(), events: with(login, set, iphoneBackground), want: []string{toIPhone(helloIPhone)}},
	})
}

// The app goes to the background and says how much is unread.
func TestSwitchToTheBackgroundAndReportUnreadMessages(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"logged in, not switched": {message: toBob(), events: []string{iphoneLogin}, want: []string{none("iphone", "foreground")}},
		"switched, 4 unread":      {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone)}},
	})
}

// The app comes to the foreground: from then on it shows its messages itself.
func TestSwitchToTheForeground(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"switched": {message: toBob(), events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"foreground","EventTime":1789999998000}`), want: []string{none("iphone", "foreground")}},
	})
}

// The Ext of a custom element arrives as ext.
func TestExtOfTheCustomElementArrivesAsExt(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"redirect on a click": {message: toBob(elements(`TIMCustomElem {"Data":"d","Desc":"an order","Ext":"{\"open\":\"order/7\"}"}`)), events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:an order","badge":5,"sound":"default","thread-id":"c2c:alice"},"ext":"{\"open\":\"order/7\"}","msg_key":"c2c:alice:101_900001_1790000000"}`)}},
	})
}

// The Sound of a custom element arrives as the sound: aps.sound of the format.
func TestSoundOfTheCustomElementIsTheSound(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"of a single message": {message: toBob(elements(`TIMCustomElem {"Data":"d","Desc":"an order","Sound":"dingdong.aiff"}`)), events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:an order","badge":5,"sound":"dingdong.aiff","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)}},
	})
}

// The service of an Android app lives on without the app, and takes the messages.
func TestTheServiceSurvivesTheApp(t *testing.T) {
	t.Parallel()
	const body = `{"App":"im","User":"bob","Device":"tablet","MsgKey":"c2c:alice:101_900001_1790000000","PushID":"ID","Body":"Alice:hello","Badge":5,"Thread":"c2c:alice","Expires":1790604800000}`
	const killed = `{"App":"im","User":"bob","Device":"tablet","Event":"killed","EventTime":1789999998000}`
	withFCM := changed(tablet, `"Platform":"service","Token":"tablet-7"`, `"Platform":"fcm","Token":"tablet-token","Credential":"android","Service":true`)
	run(t, map[string]example{
		"the app is killed":                          {message: toBob(), events: with(tablet, killed), want: []string{pushed("bob", "tablet", "service", "killed", body)}},
		"Google's service stands by as the fallback": {message: toBob(), events: with(withFCM, killed), want: []string{pushed("bob", "tablet", "service", "killed", body)}},
		"everything that the service may need": {
			message: toBob(`"OfflinePushInfo":{"Title":"News","Ext":"e","ApnsInfo":{"SubTitle":"today","Image":"https://example.com/a.png"},"AndroidInfo":{"Sound":"ding.caf","GoogleChannelID":"news","HuaWeiCategory":"IM","VIVOClassification":1}}`),
			events:  tablet,
			want:    []string{toTablet(`{"App":"im","User":"bob","Device":"tablet","MsgKey":"c2c:alice:101_900001_1790000000","PushID":"ID","Title":"News","SubTitle":"today","Body":"hello","Image":"https://example.com/a.png","Sound":"ding.caf","Channel":"news","Ext":"e","Badge":5,"Thread":"c2c:alice","Expires":1790604800000,"AndroidInfo":{"HuaWeiCategory":"IM","VIVOClassification":1}}`)}},
		"logged out, nothing goes there": {message: toBob(), events: with(tablet, `{"App":"im","User":"bob","Device":"tablet","Event":"logout","EventTime":1789999998000}`), want: []string{none("tablet", "logged_out")}},
	})
}

// A backend's message chooses how it is shown: on Apple's devices by the push format, on Android by OfflinePushInfo.
func TestABackendSetsTheDisplayFormat(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"of both": {
			message: toBob(`"OfflinePushInfo":{"Title":"News","Desc":"two pictures","Ext":"e","ApnsInfo":{"Sound":"apns.caf","Title":"Apple news"},"AndroidInfo":{"Sound":"android.mp3","GoogleChannelID":"news"}}`),
			events:  with(iphone, pixel...),
			want: []string{
				toIPhone(`{"aps":{"alert":{"title":"Apple news","body":"two pictures"},"badge":5,"sound":"apns.caf","thread-id":"c2c:alice"},"ext":"e","msg_key":"c2c:alice:101_900001_1790000000"}`),
				toPixel(`{"data":{"title":"News","body":"two pictures","sound":"android.mp3","channel":"news","badge":"5","ext":"e","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`),
			}},
	})
}
