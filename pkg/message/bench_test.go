package message_test

import (
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
)

const oneToOne = `{"App":"demo","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":900001,"MsgTimeStamp":1790000000,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"OfflinePushInfo":{"Ext":"{\"page\":\"chat\"}","ApnsInfo":{"Sound":"ding.caf"}}}`

const inGroup = `{"App":"demo","GroupId":"team","GroupName":"Team","From_Account":"alice","From_Nick":"Alice","From_NameCard":"Ali","To_Account":["bob","carol"],"MsgSeq":7,"Random":424242,"MsgTimeStamp":1790000001,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"look "}},{"MsgType":"TIMFaceElem","MsgContent":{"Index":1,"Data":""}}]}`

// BenchmarkParseRender reads one record and renders it for one device. The goal is 8 µs and 20 allocations.
func BenchmarkParseRender(b *testing.B) {
	for name, record := range map[string]string{"text": oneToOne, "group": inGroup} {
		b.Run(name, func(b *testing.B) {
			value := []byte(record)
			env := message.Envelope{DefaultApp: "demo", Topic: "im.messages", Time: time.Unix(1790000000, 0)}
			b.ReportAllocs()
			for b.Loop() {
				m, err := message.Parse(value, env)
				if err != nil {
					b.Fatal(err)
				}
				if n := m.Notification("en"); n.Body == "" {
					b.Fatal("no text")
				}
			}
		})
	}
}

// BenchmarkNotification renders a message for a further device of a language that was asked for before.
func BenchmarkNotification(b *testing.B) {
	m, err := message.Parse([]byte(inGroup), message.Envelope{Time: time.Unix(1790000000, 0)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := m.Notification("zh-Hans-CN"); n.Body == "" {
			b.Fatal("no text")
		}
	}
}

func BenchmarkNotificationID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if message.NotificationID("demo", "c2c:alice:101_900001_1790000000", "bob", "bob-iphone", "") == "" {
			b.Fatal("no id")
		}
	}
}
