package message_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

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

// FuzzParse: whatever the bytes, the answer is a sound message or an *Invalid of a known reason. The files
// under testdata/fuzz are shapes that a sender may get wrong, one each; every run of the tests reads them.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, file := range sampleFiles(f, folder) {
			f.Add(readSample(f, file), "zh-Hant")
		}
	}
	for _, record := range []string{everyWord, full, inGroup} {
		f.Add([]byte(record), "ja_JP")
	}
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
		if again, err := message.Parse(value, envelope()); err != nil || again.Key != m.Key ||
			again.KeyWithContent() != m.KeyWithContent() {
			t.Fatalf("another key the second time: %v", err)
		}
		if key, content := message.SplitKey(m.Key); key != m.Key || content != "" {
			t.Fatalf("key %q holds a checksum", m.Key)
		}
		if sum := m.BodySum(); sum != "" {
			if key, content := message.SplitKey(m.KeyWithContent()); key != m.Key || content != sum {
				t.Fatalf("key %q is split into %q and %q", m.KeyWithContent(), key, content)
			}
		}
		if m.Mentions("") && !m.Mentions("nobody in particular") {
			t.Fatal("the empty account is mentioned")
		}
		for bits := range 16 {
			v := message.View{Platform: "fcm", Language: lang, Private: bits&1 > 0, Recalled: bits&2 > 0, Rings: bits&4 > 0}
			if bits&8 > 0 {
				v.Platform = "apns"
			}
			checkRendered(t, m, m.Render(v), v)
		}
	})
}

// checkRendered says what is unsound about a rendering.
func checkRendered(t *testing.T, m *message.Message, n push.Notification, v message.View) {
	for _, text := range []string{n.Title, n.Subtitle, n.Body, n.Ext, n.Image, n.Thread, n.Sound, n.AndroidSound, n.Channel, n.Vendor, n.MsgKey} {
		if !utf8.ValidString(text) {
			t.Fatalf("%+v: not UTF-8: %q", v, text)
		}
	}
	if n.Vendor != "" && (n.Vendor[0] != '{' || !jsontext.Value(n.Vendor).IsValid()) {
		t.Fatalf("%+v: Vendor is no JSON object: %q", v, n.Vendor)
	}
	if n.Type == push.TypeBackground && n.Title+n.Subtitle+n.Body+n.Image+n.Sound+n.AndroidSound != "" {
		t.Fatalf("%+v: a background push shows %+v", v, n)
	}
	if n.Type != push.TypeBackground && n.Body == "" && m.Filter(m.Time, 0) == "" {
		t.Fatalf("%+v: a push without text is not filtered", v)
	}
	if v.Private && n.Title+n.Subtitle+n.Image != "" {
		t.Fatalf("%+v: a private push shows %+v", v, n)
	}
}

// FuzzSplitKey: whatever the key, its parts are the key, and the part before the checksum holds no other.
func FuzzSplitKey(f *testing.F) {
	for _, msgKey := range []string{"", "c2c:alice:101_900001_1790000000", "c2c:alice:101_900001_1790000000_afe7bf93",
		"group:team:424242_1790000001", "at:im.messages/3/42", "c2c:a:1_2_3_deadbeef:4_5_6_00000000"} {
		f.Add(msgKey)
	}
	f.Fuzz(func(t *testing.T, msgKey string) {
		key, content := message.SplitKey(msgKey)
		switch {
		case content == "":
			if key != msgKey {
				t.Fatalf("%q is split into %q", msgKey, key)
			}
		case len(content) != 8 || key+"_"+content != msgKey:
			t.Fatalf("%q is split into %q and %q", msgKey, key, content)
		}
		if again, more := message.SplitKey(key); again != key || more != "" {
			t.Fatalf("%q is split once more, into %q and %q", key, again, more)
		}
	})
}
