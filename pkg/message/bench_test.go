package message_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
)

// What reading one text message and rendering it for one device may cost.
const (
	limitTime   = 8 * time.Microsecond
	limitAllocs = 20
)

// variants are records alike, each with its own accounts and texts, so that no cache of the decoder flatters a figure.
func variants(record string) [][]byte {
	values := make([][]byte, 1024)
	for i := range values {
		tag := strconv.Itoa(i)
		values[i] = []byte(strings.NewReplacer("alice", "alice"+tag, "bob", "bob"+tag, "hello", "hello"+tag, "chat", "chat"+tag,
			"Alice", "Alice"+tag, "team", "team"+tag, "look ", "look "+tag, "ding", "ding"+tag, "sub", "sub"+tag).Replace(record))
	}
	return values
}

// parseAndRender is what is measured.
func parseAndRender(t testing.TB, value []byte) {
	m, err := message.Parse(value, message.Envelope{DefaultApp: "demo", Topic: "im.messages", Time: recordTime})
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Render(iphone("en")); n.Body == "" {
		t.Fatal("no text")
	}
}

// BenchmarkParseRender reads one record and renders it for one device. The limit is for text, the contract's first example.
func BenchmarkParseRender(b *testing.B) {
	for _, c := range []struct{ name, record string }{{"text", oneToOne}, {"group", inGroup}, {"full", full}} {
		b.Run(c.name, func(b *testing.B) {
			values := variants(c.record)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				parseAndRender(b, values[i%len(values)])
			}
			if c.name == "text" {
				b.ReportMetric(float64(limitTime.Nanoseconds()), "limit-ns/op")
				b.ReportMetric(limitAllocs, "limit-allocs/op")
			}
		})
	}
}

// BenchmarkRender renders a message for a further device of a language that was asked for before.
func BenchmarkRender(b *testing.B) {
	m, err := message.Parse([]byte(inGroup), message.Envelope{Time: recordTime})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		view message.View
	}{
		{"shown", message.View{Language: "zh-Hans-CN"}},
		{"private", message.View{Language: "zh-Hans-CN", Private: true}},
		{"recalled", message.View{Language: "zh-Hans-CN", Recalled: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := m.Render(c.view); n.Body == "" {
					b.Fatal("no text")
				}
			}
		})
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
