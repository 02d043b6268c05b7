package registry

import (
	"strings"
	"testing"
)

// A user whose key holds what the registry did not write is told from a Redis that is away: waiting would not help.
func testDamagedUser(t *testing.T, f *fixture) {
	login := f.event(EventLogin, 0, token("aa"))
	f.apply(login, f.event(EventBackground, 5))
	f.now = at(10)
	key := userKey(userTag(f.app, "bob"))
	whole, err := f.client.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, packed string }{
		{"no version", strings.Replace(whole, unit+"1"+unit+"apns", unit+unit+"apns", 1)},
		{"version out of range", strings.Replace(whole, unit+"1"+unit+"apns", unit+strings.Repeat("9", 30)+unit+"apns", 1)},
		{"cut short", strings.TrimSuffix(whole, unit+unit+unit+"aa")},
		{"no record of a device", record + "phone" + unit + "damaged"},
	} {
		if row.packed == whole {
			t.Fatalf("%s: not damaged", row.name)
		}
		if err := f.client.Set(t.Context(), key, row.packed, 0).Err(); err != nil {
			t.Fatal(err)
		}
		for call, do := range map[string]func() error{
			"Decide": func() error { _, err := f.Decide(t.Context(), []DecideRequest{f.message()}); return err },
			"Admit": func() error {
				_, err := f.Admit(t.Context(), []AdmitRequest{f.request("damaged "+row.name, func(q *AdmitRequest) { q.Version = 7 })})
				return err
			},
			"Apply":   func() error { _, err := f.Apply(t.Context(), []DeviceEvent{login}); return err },
			"Devices": func() error { _, err := f.Devices(t.Context(), f.app, "bob"); return err },
		} {
			if err := do(); !Lasting(err) {
				t.Errorf("%s: %s: %v", row.name, call, err)
			}
		}
	}
}

// The same of a user's settings.
func testDamagedSettings(t *testing.T, f *fixture) {
	key := settingsKey(userTag(f.app, "bob"))
	for _, row := range []struct{ name, field, value string }{
		{"general part", "", "damaged"},
		{"an option", "c2c:alice", "damaged"},
	} {
		if err := f.client.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.client.HSet(t.Context(), key, row.field, row.value).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Settings(t.Context(), f.app, "bob"); !Lasting(err) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
