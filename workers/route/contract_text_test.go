package route_test

import "testing"

// iphoneText is what Apple gets of a one-to-one message with this text.
func iphoneText(text string) []string {
	return []string{toIPhone(`{"aps":{"alert":"` + text + `","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)}
}

// iphoneTeam is the same of a group message.
func iphoneTeam(text string) []string {
	return []string{toIPhone(`{"aps":{"alert":"` + text + `","badge":5,"sound":"default","thread-id":"group:team"},"msg_key":"group:team:424242_1790000000"}`)}
}

// The name before a text is the nickname, in a group the card or else the nickname, with the group's name.
func TestRow07TextFromNicknameCardAndGroup(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"one-to-one":                    {message: toBob(), events: iphone, want: iphoneText("Alice:hello")},
		"one-to-one without a nickname": {message: toBob(`"From_Nick":""`), events: iphone, want: iphoneText("hello")},
		"group":                         {message: toTeam(), events: iphone, want: iphoneTeam("Alice(Team):hello")},
		"group card before nickname":    {message: toTeam(`"From_NameCard":"Ali"`), events: iphone, want: iphoneTeam("Ali(Team):hello")},
		"group without either":          {message: toTeam(`"From_Nick":""`), events: iphone, want: iphoneTeam("(Team):hello")},
		"group without its name":        {message: toTeam(`"GroupName":""`), events: iphone, want: iphoneTeam("Alice:hello")},
		"no card one-to-one":            {message: toBob(`"From_NameCard":"Ali"`), events: iphone, want: iphoneText("Alice:hello")},
		"only what JSON must escape is": {message: toBob(elements(`TIMTextElem {"Text":"<b>\"A\\B\"</b> & 你好 é \ud83d\udc4d\n\u2028"}`)), events: iphone,
			want: iphoneText(`Alice:<b>\"A\\B\"</b> & 你好 é 👍\n` + "\u2028")},
	})
}

// Every kind of element has its words in the device's language; nothing separates them.
func TestRow08ElementsInTheDevicesLanguage(t *testing.T) {
	t.Parallel()
	all := toBob(elements(`TIMTextElem {"Text":"see "}`, `TIMLocationElem {"Desc":"d","Latitude":1.5,"Longitude":2.5}`, `TIMFaceElem {"Index":1,"Data":"x"}`,
		`TIMSoundElem {"UUID":"u","Second":3}`, `TIMFileElem {"FileName":"f"}`, `TIMImageElem {"UUID":"u","ImageFormat":1,"ImageInfoArray":[]}`,
		`TIMVideoFileElem {"VideoSecond":9}`, `TIMRelayElem {"Title":" Chat history","MsgNum":2}`, `TIMCustomElem {"Data":"never shown","Desc":" and a card"}`, `TIMFutureElem {"X":1}`))
	in := func(language string) []string { return changed(iphone, `"en"`, `"`+language+`"`) }
	const rest = " Chat history and a card"
	english := iphoneText("Alice:see [Location][Face][Voice][File][Image][Video]" + rest)
	simplified := iphoneText("Alice:see [位置][表情][语音][文件][图片][视频]" + rest)
	traditional := iphoneText("Alice:see [位置][表情][語音][檔案][圖片][影片]" + rest)
	run(t, map[string]example{
		"English":                {message: all, events: in("en-GB"), want: english},
		"none":                   {message: all, events: changed(iphone, `,"Language":"en"`, ``), want: english},
		"one that has no file":   {message: all, events: in("de-AT"), want: english},
		"Simplified Chinese":     {message: all, events: in("zh-Hans-CN"), want: simplified},
		"Chinese of Singapore":   {message: all, events: in("zh-SG"), want: simplified},
		"Traditional Chinese":    {message: all, events: in("zh-Hant"), want: traditional},
		"Chinese of Taiwan":      {message: all, events: in("zh-TW"), want: traditional},
		"Japanese":               {message: all, events: in("ja-JP"), want: iphoneText("Alice:see [位置情報][スタンプ][音声][ファイル][画像][動画]" + rest)},
		"each device in its own": {message: toBob(elements(`TIMFaceElem {}`)), events: with(in("ja"), pixel...), want: append(iphoneText("Alice:[スタンプ]"), toPixel(`{"data":{"body":"Alice:[Face]","badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`))},
	})
}

// A message of custom elements without any Desc has no text, and is not pushed.
func TestRow09ACustomElementWithoutDescIsNotPushed(t *testing.T) {
	t.Parallel()
	run(t, map[string]example{
		"with Desc":                  {message: toBob(elements(`TIMCustomElem {"Data":"d","Desc":"a gift"}`)), events: iphone, want: iphoneText("Alice:a gift")},
		"without":                    {message: toBob(elements(`TIMCustomElem {"Data":"d"}`)), events: iphone, want: []string{none("iphone", "no_text")}},
		"an empty one":               {message: toBob(elements(`TIMCustomElem {"Data":"d","Desc":""}`)), events: iphone, want: []string{none("iphone", "no_text")}},
		"beside a text":              {message: toBob(elements(`TIMCustomElem {"Data":"d"}`, `TIMTextElem {"Text":"hello"}`)), events: iphone, want: iphoneText("Alice:hello")},
		"Desc of OfflinePushInfo":    {message: toBob(elements(`TIMCustomElem {"Data":"d"}`), `"OfflinePushInfo":{"Desc":"a gift"}`), events: iphone, want: iphoneText("Alice:a gift")},
		"only a title says not what": {message: toBob(elements(`TIMCustomElem {"Data":"d"}`), `"OfflinePushInfo":{"Title":"t"}`), events: iphone, want: []string{none("iphone", "no_text")}},
		"nor to a device on FCM":     {message: toBob(elements(`TIMCustomElem {"Data":"d"}`)), events: pixel, want: []string{none("pixel", "no_text")}},
	})
}

// A custom element's Ext arrives unchanged, at the top level.
func TestRow10ExtGoesIntoExtByteForByte(t *testing.T) {
	t.Parallel()
	const ext = `{\"page\":\"chat\",\"id\":[1,2.50,\"é\"], \"x\":null}`
	run(t, map[string]example{
		"Apple": {message: toBob(elements(`TIMCustomElem {"Desc":"a gift","Ext":"` + ext + `"}`)), events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:a gift","badge":5,"sound":"default","thread-id":"c2c:alice"},"ext":"` + ext + `","msg_key":"c2c:alice:101_900001_1790000000"}`)}},
		"Android: a string in data": {message: toBob(elements(`TIMCustomElem {"Desc":"a gift","Ext":"` + ext + `"}`)), events: pixel,
			want: []string{toPixel(`{"data":{"body":"Alice:a gift","badge":"5","ext":"` + ext + `","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`)}},
		"the first of several that is not empty": {message: toBob(elements(`TIMCustomElem {"Desc":"a","Ext":""}`, `TIMCustomElem {"Desc":"b","Ext":"not JSON"}`, `TIMCustomElem {"Desc":"c","Ext":"later"}`)), events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:abc","badge":5,"sound":"default","thread-id":"c2c:alice"},"ext":"not JSON","msg_key":"c2c:alice:101_900001_1790000000"}`)}},
		"none": {message: toBob(), events: iphone, want: iphoneText("Alice:hello")},
	})
}

// A custom element's Sound is the sound; the user's default, the platform's and silence come after it.
func TestRow11SoundOfTheElementTheUserAndThePlatform(t *testing.T) {
	t.Parallel()
	gift := func(sound string) string {
		return toBob(elements(`TIMCustomElem {"Desc":"a gift","Sound":"` + sound + `"}`))
	}
	apple := func(sound string) string {
		return toIPhone(`{"aps":{"alert":"Alice:a gift","badge":5,` + sound + `"thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)
	}
	google := func(sound string) string {
		return toPixel(`{"data":{"body":"Alice:a gift",` + sound + `"badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`)
	}
	group := func(sound string) string {
		return toIPhone(`{"aps":{"alert":"Alice(Team):hello","badge":5,` + sound + `"thread-id":"group:team"},"msg_key":"group:team:424242_1790000000"}`)
	}
	phones := with(iphone, pixel...)
	defaults := with(phones, settings(`"Sounds":{"C2C":"user.caf","Group":"push.no_sound"}`))
	run(t, map[string]example{
		"of the element":                            {message: gift("gift.caf"), events: phones, want: []string{apple(`"sound":"gift.caf",`), google(`"sound":"gift.caf",`)}},
		"with a channel of its own":                 {message: gift("ding.caf"), events: pixel, want: []string{google(`"sound":"ding.caf","channel":"chat",`)}},
		"silent":                                    {message: gift("push.no_sound"), events: phones, want: []string{apple(``), google(``)}},
		"none: the platform's":                      {message: gift(""), events: phones, want: []string{apple(`"sound":"default",`), google(``)}},
		"none: the user's for one-to-one":           {message: gift(""), events: defaults, want: []string{apple(`"sound":"user.caf",`), google(`"sound":"user.caf",`)}},
		"none: the user's for groups":               {message: toTeam(), events: with(iphone, settings(`"Sounds":{"C2C":"user.caf","Group":"push.no_sound"}`)), want: []string{group(``)}},
		"the message's is stronger than the user's": {message: gift("gift.caf"), events: defaults, want: []string{apple(`"sound":"gift.caf",`), google(`"sound":"gift.caf",`)}},
		"the user's, taken back":                    {message: gift(""), events: with(defaults, `{"App":"im","User":"bob","Event":"settings","EventTime":1789999100000,"Sounds":{"C2C":""}}`), want: []string{apple(`"sound":"default",`), google(``)}},
	})
}

// OfflinePushInfo decides over text, title, extension and sound, and switches off what custom elements ask for.
func TestRow12OfflinePushInfoOverrides(t *testing.T) {
	t.Parallel()
	gift := elements(`TIMCustomElem {"Desc":"a gift","Ext":"of the element","Sound":"element.caf"}`)
	aps := func(aps, more string) []string {
		return []string{toIPhone(`{"aps":{"alert":` + aps + `,"thread-id":"c2c:alice"` + more + `"msg_key":"c2c:alice:101_900001_1790000000"}`)}
	}
	run(t, map[string]example{
		"empty: the element's settings go, its text stays": {message: toBob(gift, `"OfflinePushInfo":{}`), events: iphone, want: iphoneText("Alice:a gift")},
		"Desc stands where the text stood":                 {message: toBob(`"OfflinePushInfo":{"Desc":"two new pictures"}`), events: iphone, want: iphoneText("Alice:two new pictures")},
		"Desc in a group":                                  {message: toTeam(`"OfflinePushInfo":{"Desc":"two new pictures"}`), events: iphone, want: iphoneTeam("Alice(Team):two new pictures")},
		"a title takes the name away":                      {message: toBob(`"OfflinePushInfo":{"Title":"News"}`), events: iphone, want: aps(`{"title":"News","body":"hello"},"badge":5,"sound":"default"`, `},`)},
		"ApnsInfo.Title is stronger on Apple's devices": {message: toBob(`"OfflinePushInfo":{"Title":"News","ApnsInfo":{"Title":"Apple news","SubTitle":"today"}}`), events: with(iphone, pixel...),
			want: append(aps(`{"title":"Apple news","subtitle":"today","body":"hello"},"badge":5,"sound":"default"`, `},`),
				toPixel(`{"data":{"title":"News","subtitle":"today","body":"hello","badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`))},
		"Ext and Sound":      {message: toBob(gift, `"OfflinePushInfo":{"Ext":"of the push","ApnsInfo":{"Sound":"push.caf"}}`), events: iphone, want: aps(`"Alice:a gift","badge":5,"sound":"push.caf"`, `},"ext":"of the push",`)},
		"an image":           {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"Image":"https://example.com/a.png"}}`), events: iphone, want: aps(`"Alice:hello","badge":5,"sound":"default"`, `,"mutable-content":1},"image":"https://example.com/a.png",`)},
		"MutableContent":     {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"MutableContent":1}}`), events: iphone, want: aps(`"Alice:hello","badge":5,"sound":"default"`, `,"mutable-content":1},`)},
		"interruption level": {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"InterruptionLevel":"passive"}}`), events: iphone, want: aps(`"Alice:hello","badge":5,"sound":"default"`, `,"interruption-level":"passive"},`)},
		"a level that does not exist": {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"InterruptionLevel":"loud"}}`), events: iphone,
			want: []string{`{"decision":"dead","reason":"invalid_message"}`}},
	})
}

// A payload keeps within 4 KB: the body is cut after a whole grapheme cluster, the extension never.
func TestRow16PayloadsStayWithin4KB(t *testing.T) {
	t.Parallel()
	const family = "👨‍👩‍👧‍👦" // one character on the screen, 25 bytes
	long := func(of string, n int, more ...string) string {
		return toBob(append(more, elements(`TIMTextElem {"Text":"`+repeat(of, n)+`"}`))...)
	}
	// 4096 bytes less everything around the text, its name and the … of 3 bytes.
	around := len(`{"aps":{"alert":"Alice:","badge":5,"sound":"default","thread-id":"c2c:alice"},"msg_key":"c2c:alice:101_900001_1790000000"}`)
	fits := 4096 - around
	aroundPixel := len(`{"data":{"body":"Alice:","badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`)
	ext := repeat("e", 3900)
	run(t, map[string]example{
		"just fits":          {message: long("x", fits), events: iphone, want: iphoneText("Alice:" + repeat("x", fits))},
		"one byte too many":  {message: long("x", fits+1), events: iphone, want: iphoneText("Alice:" + repeat("x", fits-3) + "…")},
		"a megabyte":         {message: long("x", 1_000_000), events: iphone, want: iphoneText("Alice:" + repeat("x", fits-3) + "…")},
		"between characters": {message: long(family, 400), events: iphone, want: iphoneText("Alice:" + repeat(family, (fits-3)/25) + "…")},
		"Android": {message: long("x", 5000), events: pixel,
			want: []string{toPixel(`{"data":{"body":"Alice:` + repeat("x", 4096-aroundPixel-3) + `…","badge":"5","thread":"c2c:alice","msg_key":"c2c:alice:101_900001_1790000000"},"android":{"priority":"high","ttl":"604800s"}}`)}},
		"ext stays whole": {message: long("x", 5000, `"OfflinePushInfo":{"Ext":"`+ext+`"}`), events: iphone,
			want: []string{toIPhone(`{"aps":{"alert":"Alice:` + repeat("x", fits-len(`"ext":"",`)-3900-3) + `…","badge":5,"sound":"default","thread-id":"c2c:alice"},"ext":"` + ext + `","msg_key":"c2c:alice:101_900001_1790000000"}`)}},
		"ext too large": {message: toBob(`"OfflinePushInfo":{"Ext":"` + repeat("e", 4096) + `"}`), events: iphone,
			want: []string{`{"id":"` + idOf("c2c:alice:101_900001_1790000000", "iphone") + `","msg_key":"c2c:alice:101_900001_1790000000","user":"bob","device":"iphone","platform":"apns","decision":"dead","reason":"too_large"}`}},
	})
}
