package route_test

import "testing"

// The text and the payload that most examples end with.
const (
	helloIPhone = `{"aps":{"alert":"Alice:hello","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`
	helloPixel  = `{"data":{"body":"Alice:hello","badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`
)

// A binding names platform, token, credential and language; a later one replaces it, and an empty token ends it.
func TestRow01BindingsAreStoredReplacedAndCleared(t *testing.T) {
	t.Parallel()
	const again = `{"App":"im","User":"bob","Device":"iphone","Event":"token","EventTime":1789999996000,`
	run(t, map[string]example{
		"stored":                {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone)}},
		"stored, two devices":   {message: toBob(), events: with(pixel, iphone...), want: []string{toIPhone(helloIPhone), toPixel(helloPixel)}},
		"never stored":          {message: toBob(), want: nil},
		"another token":         {message: toBob(), events: with(iphone, again+`"Token":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}`), want: []string{toIPhone(helloIPhone)}},
		"another language":      {message: toBob(elements(`TIMFaceElem {}`)), events: with(iphone, again+`"Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Language":"ja"}`), want: []string{toIPhone(`{"aps":{"alert":"Alice:[スタンプ]","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)}},
		"another certificate":   {message: toBob(), events: with(iphone, again+`"Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Credential":"ios-beta"}`), want: []string{toIPhone(helloIPhone, "apns-topic: com.example.im.beta")}},
		"cleared":               {message: toBob(), events: with(iphone, again+`"Token":""}`), want: []string{none("iphone", "no_token")}},
		"cleared before, late":  {message: toBob(), events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"token","EventTime":1789999980000,"Token":""}`), want: []string{toIPhone(helloIPhone)}},
		"logged in without one": {message: toBob(), events: changed(iphone, `"Token":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",`, ``), want: []string{none("iphone", "no_token")}},
		"taken by another user": {
			message: toBob(`"To_Account":["bob","carol"]`),
			events: with(changed(iphone, "aaaa", "cccc"), `{"App":"im","User":"carol","Device":"iphone","Event":"login","EventTime":1789999997000,"Platform":"apns","Token":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","Credential":"ios"}`,
				`{"App":"im","User":"carol","Device":"iphone","Event":"background","EventTime":1789999999999}`),
			want: []string{none("iphone", "no_token"),
				pushed("carol", "iphone", "apns", "background", `{"aps":{"alert":"Alice:hello","badge":1,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)},
		},
	})
}

// A device that goes to the background says how many messages are unread: its badge counts on from there.
func TestRow02BackgroundReportsTheUnreadCount(t *testing.T) {
	t.Parallel()
	badge := func(number string) []string {
		return []string{toIPhone(`{"aps":{"alert":"Alice:hello",` + number + `"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)}
	}
	background := func(time, unread string) string {
		return `{"App":"im","User":"bob","Device":"iphone","Event":"background","EventTime":` + time + unread + `}`
	}
	run(t, map[string]example{
		"4 unread":              {message: toBob(), events: iphone, want: badge(`"badge":5,`)},
		"0 unread":              {message: toBob(), events: with(iphone, background("1789999997000", `,"Unread":0`)), want: badge(`"badge":1,`)},
		"no count: as it was":   {message: toBob(), events: with(iphone, background("1789999997000", ``)), want: badge(`"badge":5,`)},
		"never a count":         {message: toBob(), events: []string{iphoneLogin, background("1789999997000", ``)}, want: badge(`"badge":1,`)},
		"an older report, late": {message: toBob(), events: with(iphone, background("1789999993000", `,"Unread":40`)), want: badge(`"badge":5,`)},
		"each device its own": {message: toBob(), events: with(iphone, changed(pixel, `"Unread":4`, `"Unread":9`)...),
			want: append(badge(`"badge":5,`), toPixel(`{"data":{"body":"Alice:hello","badge":"10","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`))},
	})
}

// While a device's app is in the foreground nothing is pushed to it.
func TestRow03ForegroundStopsPushing(t *testing.T) {
	t.Parallel()
	const (
		foreground = `{"App":"im","User":"bob","Device":"iphone","Event":"foreground","EventTime":1789999998000}`
		back       = `{"App":"im","User":"bob","Device":"iphone","Event":"background","EventTime":1789999999999,"Unread":0}`
	)
	run(t, map[string]example{
		"in the foreground":                     {message: toBob(), events: with(iphone, foreground), want: []string{none("iphone", "foreground")}},
		"and to the background again":           {message: toBob(), events: with(changed(iphone, "9995000", "9992000"), changed([]string{foreground}, "9998000", "9994000")[0], back), want: []string{toIPhone(`{"aps":{"alert":"Alice:hello","badge":1,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)}},
		"another device is pushed all the same": {message: toBob(), events: with(with(iphone, foreground), pixel...), want: []string{none("iphone", "foreground"), toPixel(helloPixel)}},
		"unless the app wants it otherwise": {
			app:     "foreground_silences: user",
			message: toBob(), events: with(with(iphone, foreground), pixel...), want: []string{none("iphone", "foreground"), none("pixel", "foreground")}},
	})
}

// Foreground, background, killed, logged out and kicked are five states, each with its own answer.
func TestRow04EveryStateOfADevice(t *testing.T) {
	t.Parallel()
	event := func(kind, more string) string {
		return `{"App":"im","User":"bob","Device":"iphone","Event":"` + kind + `","EventTime":1789999998000` + more + `}`
	}
	killed := pushed("bob", "iphone", "apns", "killed", helloIPhone)
	run(t, map[string]example{
		"connected, in the foreground since the login": {message: toBob(), events: []string{iphoneLogin}, want: []string{none("iphone", "foreground")}},
		"connected, in the background":                 {message: toBob(), events: with(iphone, event("heartbeat", `,"State":"background"`)), want: []string{toIPhone(helloIPhone)}},
		"a heartbeat heals a lost report":              {message: toBob(), events: with(iphone, event("heartbeat", `,"State":"foreground"`)), want: []string{none("iphone", "foreground")}},
		"killed":                                       {message: toBob(), events: with(iphone, event("killed", ``)), want: []string{killed}},
		"no heartbeat for 400 s": {message: toBob(), at: 1790000400, events: []string{iphoneLogin, `{"App":"im","User":"bob","Device":"iphone","Event":"foreground","EventTime":1789999995000,"Unread":4}`},
			want: []string{killed}},
		"logged out": {message: toBob(), events: with(iphone, event("logout", ``)), want: []string{none("iphone", "logged_out")}},
		"kicked":     {message: toBob(), events: with(iphone, event("kicked", ``)), want: []string{none("iphone", "logged_out")}},
	})
}

// A killed app is pushed to until its user logs out or is kicked, or until it was unused for too long.
func TestRow05KilledAppsAreKeptPushing(t *testing.T) {
	t.Parallel()
	late := toBob(`"MsgTimeStamp":1790604000`)
	key := "c2c:alice:101_900001_1790604000"
	run(t, map[string]example{
		"6 days later": {message: toBob(`"MsgTimeStamp":1790518400`), at: 1790518400, events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"killed","EventTime":1789999998000}`),
			want: []string{pushed("bob", "iphone", "apns", "killed", `{"aps":{"alert":"Alice:hello","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790518400"}`, "apns-expiration: 1791123200")}},
		"7 days later, without any event": {message: late, at: 1790605000, events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"killed","EventTime":1789999998000}`),
			want: []string{noneIn(key, "iphone", "inactive")}},
		"7 days later, logged in since": {message: late, at: 1790605000, events: with(iphone, `{"App":"im","User":"bob","Device":"iphone","Event":"login","EventTime":1790500000000}`, `{"App":"im","User":"bob","Device":"iphone","Event":"killed","EventTime":1790500001000}`),
			want: []string{pushed("bob", "iphone", "apns", "killed", `{"aps":{"alert":"Alice:hello","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790604000"}`, "apns-expiration: 1791208800")}},
	})
}

// A token is sent with the credential that its device named, in that credential's environment.
func TestRow20EachTokenWithItsOwnCredential(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"of the app":           {message: toBob(), events: iphone, want: []string{toIPhone(helloIPhone)}},
		"of its beta":          {message: toBob(), events: changed(iphone, `"ios"`, `"ios-beta"`), want: []string{toIPhone(helloIPhone, "apns-topic: com.example.im.beta")}},
		"that nobody uploaded": {message: toBob(), events: changed(iphone, `"ios"`, `"ios-lost"`), want: []string{`{"id":"` + idOf("c2c:alice:101_900001_1790000000", "iphone") + `","msg_key":"c2c:alice:101_900001_1790000000","user":"bob","device":"iphone","platform":"apns","decision":"dead","reason":"unknown_credential"}`}},
	})
}
