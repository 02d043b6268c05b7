package message_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/message"
)

const everyWord = `{"From_Account":"alice","To_Account":"bob","From_Nick":"Alice","MsgBody":[
	{"MsgType":"TIMLocationElem"},{"MsgType":"TIMFaceElem"},{"MsgType":"TIMSoundElem"},
	{"MsgType":"TIMFileElem"},{"MsgType":"TIMImageElem"},{"MsgType":"TIMVideoFileElem"}]}`

// Make text for each element type in the device's language.
func TestRow8Languages(t *testing.T) {
	t.Parallel()
	const (
		english     = "Alice:[Location][Face][Voice][File][Image][Video]"
		simplified  = "Alice:[位置][表情][语音][文件][图片][视频]"
		traditional = "Alice:[位置][表情][語音][檔案][圖片][影片]"
		japanese    = "Alice:[位置情報][スタンプ][音声][ファイル][画像][動画]"
	)
	privately := map[string]string{english: "New message", simplified: "新消息", traditional: "新訊息", japanese: "新着メッセージ"}
	recalled := map[string]string{english: "[Message recalled]", simplified: "[消息已撤回]", traditional: "[訊息已收回]",
		japanese: "[メッセージの送信が取り消されました]"}
	for text, tags := range map[string][]string{
		english: {"en", "en-GB", "EN_us", "de", "ko", "fr-CA", "yue", "ug", "bo", "zh-Latn", "und", "", "x", "not a tag",
			strings.Repeat("zh-", 100)},
		simplified:  {"zh", "zh-Hans", "zh-CN", "zh_CN", "zh-SG", "zh-Hans-CN", "zh-Hans-HK", "ZH-HANS", "cmn", "zh_CN.UTF-8"},
		traditional: {"zh-Hant", "zh-TW", "zh_TW", "zh-HK", "zh-MO", "zh-Hant-HK", "zh-Hant-TW-u-hc-h24"},
		japanese:    {"ja", "ja-JP", "JA_jp"},
	} {
		for _, tag := range tags {
			if got := parse(t, everyWord).Render(iphone(tag)).Body; got != text {
				t.Errorf("%q: %s, want %s", tag, got, text)
			}
			for _, record := range []string{everyWord, oneToOne} { // with words of its own and without
				m := parse(t, record)
				if got := m.Render(message.View{Language: tag, Private: true}).Body; got != privately[text] {
					t.Errorf("%q, private: %s, want %s", tag, got, privately[text])
				}
				if got := m.Render(message.View{Language: tag, Recalled: true}).Body; got != "Alice:"+recalled[text] {
					t.Errorf("%q, recalled: %s, want Alice:%s", tag, got, recalled[text])
				}
			}
		}
	}
}

// TestLanguagesOfOneMessage: recipients speak more languages than a message remembers, several at a time.
func TestLanguagesOfOneMessage(t *testing.T) {
	t.Parallel()
	m := parse(t, everyWord)
	tags := []string{"ja", "zh-CN", "zh-TW", "en"}
	for region := 'A'; region <= 'Z'; region++ {
		tags = append(tags, "de-A"+string(region))
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, tag := range tags {
				if got, want := m.Render(iphone(tag)).Body, parse(t, everyWord).Render(iphone(tag)).Body; got != want {
					t.Errorf("%q: %s, want %s", tag, got, want)
				}
			}
		})
	}
	all.Wait()
}

func TestTextIsRenderedOncePerLanguage(t *testing.T) {
	m := parse(t, everyWord)
	m.Render(iphone("zh-Hans-CN"))
	if n := testing.AllocsPerRun(100, func() { m.Render(iphone("zh-Hans-CN")) }); n != 0 {
		t.Errorf("%v allocations for a further device of a known language", n)
	}
}
