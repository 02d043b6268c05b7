package message_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
)

// BenchmarkParseRender reads one record and renders it for one device. The goal is 8 µs and 20 allocations. Every record
// has its own accounts and text, so that no cache of the decoder flatters the figure.
func BenchmarkParseRender(b *testing.B) {
	for name, record := range map[string]string{"text": oneToOne, "group": inGroup} {
		b.Run(name, func(b *testing.B) {
			var values [1024][]byte
			for i := range values {
				tag := strconv.Itoa(i)
				values[i] = []byte(strings.NewReplacer("alice", "alice"+tag, "bob", "bob"+tag, "hello", "hello"+tag,
					"chat", "chat"+tag, "Alice", "Alice"+tag, "team", "team"+tag, "look ", "look "+tag).Replace(record))
			}
			env := message.Envelope{DefaultApp: "demo", Topic: "im.messages", Time: time.Unix(1790000000, 0)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m, err := message.Parse(values[i%len(values)], env)
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
