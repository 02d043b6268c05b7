package control

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// FuzzParseKey: a key that is understood says the same when it is written again.
func FuzzParseKey(f *testing.F) {
	for _, key := range []string{"pause-platform|apns", "pause-app|demo", "pause-credential|demo|ios", "ready-fcm|demo|android", "ready-line|demo", "audit|7", "ready-|%7C"} {
		f.Add([]byte(key))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		target, ready, err := parseKey(key)
		if err != nil {
			return
		}
		again := readyKey(target)
		if !ready {
			if again, err = pauseKey(target); err != nil {
				t.Fatalf("%+v of %q cannot be paused: %v", target, key, err)
			}
		}
		same, alsoReady, err := parseKey(again)
		if err != nil || same != target || alsoReady != ready {
			t.Errorf("%q is %+v, ready %t; written again %+v, ready %t, %v", key, target, ready, same, alsoReady, err)
		}
	})
}

// FuzzApply: a record changes what its key names, and nothing else.
func FuzzApply(f *testing.F) {
	f.Add([]byte("pause-app|demo"), []byte(`{"Time":1790000000000,"By":"ann@ops","Note":"too loud"}`), true)
	f.Add([]byte("pause-app|demo"), []byte(nil), false)
	f.Add([]byte("ready-fcm|demo|android"), []byte(`{"Time":1}`), true)
	f.Add([]byte("pause-platform|apns"), []byte(`{"Time":"noon"}`), true)
	f.Fuzz(func(t *testing.T, key, value []byte, set bool) {
		if !set {
			value = nil
		} else if value == nil {
			value = []byte{}
		}
		before := map[Target]Pause{{App: "demo"}: {Target: Target{App: "demo"}, Note: "there before"}, {Platform: "apns"}: {Target: Target{Platform: "apns"}}}
		after := maps.Clone(before)
		change, err := apply(after, &stream.Record{Key: key, Value: value, Time: time.Unix(1790000000, 0)})
		now, paused := after[change.Target]
		switch {
		case err != nil:
		case change.Kind == Paused && (!paused || now.Target != change.Target || value == nil):
			t.Errorf("%+v was paused, and the board says %+v", change, now)
		case change.Kind == Resumed && (paused || value != nil):
			t.Errorf("%+v was resumed, and the board says %+v", change, now)
		}
		if err == nil && change.Kind != Ready {
			delete(before, change.Target)
			delete(after, change.Target)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%+v, %v changed more (-before +after):\n%s", change, err, diff)
		}
	})
}

// FuzzAudits: what is read of an operator's record says the same when it is written again.
func FuzzAudits(f *testing.F) {
	f.Add("7", []byte(`{"Time":1790000000000,"End":1790000001000,"By":"ann@ops","Command":"redrive","Letters":3,"Problem":"none"}`))
	f.Add("|", []byte(`{"Time":-1}`))
	f.Add("", []byte(`[]`))
	f.Fuzz(func(t *testing.T, id string, value []byte) {
		read := func(rec *stream.Record) []Audit {
			all, err := Audits(t.Context(), &topic{records: []*stream.Record{rec}}, stream.Topics{})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		all := read(&stream.Record{Key: stream.UserKey(keyAudit, id), Value: value})
		for _, a := range all {
			if a.ID != id || !json.Valid(value) {
				t.Errorf("the record of %q with %q is %+v", id, value, a)
			}
			m := AuditMessage(stream.Topics{}, a)
			if diff := cmp.Diff(all, read(&stream.Record{Key: m.Key, Value: m.Value})); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
		}
	})
}
