package devices

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// decode reads one record of schemas/testdata/<kind>, as the role does.
func decode(kind string, value []byte) error {
	cfg := config()
	cfg.CheckToken = func(push.Platform, string) error { return nil }
	rec := &stream.Record{Key: []byte("demo|team|bob"), Value: value, Time: clock}
	var err error
	switch kind {
	case "devices":
		_, err = Read(value, cfg)
	case "groups":
		_, err = ReadMembership(rec, cfg)
	case "receipts":
		_, err = ReadReceipt(rec, cfg)
	}
	return err
}

// samples are the records of schemas/testdata/<kind>/<folder>, by file.
func samples(t testing.TB, kind, folder string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "schemas", "testdata", kind, folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s samples of %s: %v", folder, kind, err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestTheSchemasSayWhatIsRead: every sample that fits its schema is taken, and none that does not.
func TestTheSchemasSayWhatIsRead(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"devices", "groups", "receipts"} {
		for file, value := range samples(t, kind, "valid") {
			if err := decode(kind, value); err != nil {
				t.Errorf("%s/valid/%s: %v", kind, file, err)
			}
		}
		for file, value := range samples(t, kind, "invalid") {
			if decode(kind, value) == nil {
				t.Errorf("%s/invalid/%s is taken", kind, file)
			}
		}
	}
}

func fuzz(f *testing.F, kind string) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, value := range samples(f, kind, folder) {
			f.Add(value)
		}
	}
	f.Fuzz(func(_ *testing.T, value []byte) { _ = decode(kind, value) })
}

func FuzzDeviceEvent(f *testing.F) { fuzz(f, "devices") }

func FuzzReceipt(f *testing.F) { fuzz(f, "receipts") }

func FuzzMembership(f *testing.F) {
	for _, value := range samples(f, "groups", "valid") {
		f.Add([]byte("demo|team|bob"), value)
	}
	f.Add([]byte("demo|te%7Cam|bob%25"), []byte(nil))
	f.Add([]byte("|%|"), []byte("null"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		m, err := ReadMembership(&stream.Record{Key: key, Value: value, Time: clock}, config())
		if err != nil {
			return
		}
		if again, err := ReadMembership(&stream.Record{Key: stream.MemberKey(m.App, m.Group, m.User), Value: value, Time: clock}, config()); err != nil || again != m {
			t.Errorf("%+v is another under its own key: %+v, %v", m, again, err)
		}
	})
}

// FuzzState: whatever stands in the compacted topic, a rebuild goes on.
func FuzzState(f *testing.F) {
	k := many(f)
	f.Add(k.topics["push.registry"][0].Key, k.topics["push.registry"][0].Value)
	f.Add([]byte("demo|bob"), []byte("\x0a\x04demo\x12\x03bob"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := restoration{cfg: config(), batch: testBatch, logger: zap.NewNop()}
		if err := r.take(t.Context(), &stream.Record{Topic: "push.registry", Key: key, Value: value}); err != nil {
			t.Error(err)
		}
	})
}
