package message_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// samples are the records that the schemas of im.messages are checked against.
const samples = "../../schemas/testdata/messages"

func sampleFiles(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples in %s: %v", folder, err)
	}
	return files
}

func readSample(t testing.TB, file string) []byte {
	t.Helper()
	value, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestValidSamples(t *testing.T) {
	t.Parallel()
	for _, file := range sampleFiles(t, "valid") {
		m, err := message.Parse(readSample(t, file), envelope())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if reason := m.Filter(recordTime, 0); reason != "" {
			t.Errorf("%s: filtered: %s", file, reason)
		}
	}
}

func TestInvalidSamples(t *testing.T) {
	t.Parallel()
	for _, file := range sampleFiles(t, "invalid") {
		if _, err := message.Parse(readSample(t, file), envelope()); err == nil {
			t.Errorf("%s: no error", file)
		}
	}
}

// FuzzParse: whatever the bytes, the answer is a sound message or an *Invalid of a known reason.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, file := range sampleFiles(f, folder) {
			f.Add(readSample(f, file), "zh-Hant")
		}
	}
	f.Add([]byte(everyWord), "ja_JP")
	f.Fuzz(func(t *testing.T, value []byte, lang string) {
		m, err := message.Parse(value, envelope())
		if err != nil {
			invalid, ok := errors.AsType[*message.Invalid](err)
			if !ok || invalid.Problem == "" ||
				invalid.Reason != push.ReasonInvalidMessage && invalid.Reason != push.ReasonTooManyRecipients {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if m.App == "" || m.From == "" && m.Group == "" || m.Key == "" || slices.Contains(m.Recipients, m.From) {
			t.Fatalf("App %q, From %q, Group %q, Key %q, Recipients %q", m.App, m.From, m.Group, m.Key, m.Recipients)
		}
		if again, err := message.Parse(value, envelope()); err != nil || again.Key != m.Key || again.KeyWithContent() != m.KeyWithContent() {
			t.Fatalf("another key the second time: %v", err)
		}
		for _, platform := range []push.Platform{"apns", "fcm"} {
			n := m.NotificationFor(platform, lang)
			for _, text := range []string{n.Title, n.Subtitle, n.Body, n.Ext, n.Image, n.Thread, n.Sound, n.MsgKey} {
				if !utf8.ValidString(text) {
					t.Fatalf("not UTF-8: %q", text)
				}
			}
			if n.Body == "" && m.Filter(m.Time, 0) == "" {
				t.Fatal("a push without text is not filtered")
			}
		}
	})
}
