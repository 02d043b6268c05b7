package api

import (
	"strings"
	"testing"

	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestSettingsAreShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known *schemasv1.UserState
		want  string // after app and user
	}{
		"none": {nil, `"push":true,"sounds":{},"receive_options":{}`},
		"all": {&schemasv1.UserState{
			PushOff: true, SoundC2C: "a.caf", SoundGroup: "push.no_sound", EventTimeMs: 1789999990000,
			QuietDaily: &schemasv1.QuietDaily{StartS: 22 * 3600, DurationS: 28800, TimeZone: "Asia/Shanghai"},
			QuietOnce:  &schemasv1.QuietOnce{StartMs: 1790000000000, UntilMs: 1790003600000},
			Options: []*schemasv1.ReceiveOption{
				{Conversation: "group:team", Option: 3, EventTimeMs: 1}, {Conversation: "c2c:alice", Option: 2, EventTimeMs: 2},
			},
		}, `"push":false,"sounds":{"c2c":"a.caf","group":"push.no_sound"},"receive_options":{"c2c:alice":2,"group:team":3},` +
			`"quiet_daily":{"start":"22:00","duration":28800,"time_zone":"Asia/Shanghai"},` +
			`"quiet_once":{"start":"2026-09-21T14:13:20Z","until":"2026-09-21T15:13:20Z"},"set_at":"2026-09-21T14:13:10Z"`},
		"options alone": {&schemasv1.UserState{Options: []*schemasv1.ReceiveOption{{Conversation: "c2c:alice", Option: 1}}},
			`"push":true,"sounds":{},"receive_options":{"c2c:alice":1}`},
		"to the second": {&schemasv1.UserState{EventTimeMs: 1789999990000, QuietDaily: &schemasv1.QuietDaily{StartS: 61, DurationS: 1, TimeZone: "UTC"}},
			`"push":true,"sounds":{},"receive_options":{},"quiet_daily":{"start":"00:01:01","duration":1,"time_zone":"UTC"},"set_at":"2026-09-21T14:13:10Z"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.registry.settings = c.known
			w := b.do("GET", "/v1/apps/demo/users/bob/settings", "", "")
			want := `{"app":"demo","user":"bob",` + c.want + `}`
			if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
				t.Errorf("status %d\n got %s\nwant %s", w.Code, got, want)
			}
		})
	}
}
