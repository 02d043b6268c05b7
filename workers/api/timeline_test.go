package api

import (
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/timeline"
)

func TestTimelineShowsAMessagesWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.timeline.line = timeline.Line{LeftOut: 2, Entries: []timeline.Entry{
		{App: "demo", MsgKey: "c2c:a:1_2_3", User: "bob", Device: "d", Platform: "apns", Id: "x", Disposition: "push", Reason: "killed", TimeMs: 1790000000120},
		{User: "bob", Device: "d", Platform: "apns", Id: "x", Disposition: "retry", Reason: "timeout", TimeMs: 1790000000150, Attempt: 1,
			AdmittedMs: 1790000000130, DueMs: 1790000010150},
		{User: "bob", Device: "d", Platform: "apns", Id: "x", Disposition: "delivered", Answer: "200", TimeMs: 1790000010250, Attempt: 2, Redrive: 1},
		{User: "bob", Device: "d", Id: "x", Disposition: "clicked", TimeMs: 1790000020000},
		{User: "bob", Device: "d", Id: "y", Purpose: "recall", Disposition: "delivered", TimeMs: 1790000030000, Attempt: 1},
	}}
	w := b.do("GET", "/v1/apps/demo/messages/c2c:a:1_2_3/timeline", "", "")
	const want = `{"app":"demo","msg_key":"c2c:a:1_2_3","events":[` +
		`{"time":"2026-09-21T14:13:20.12Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"push","reason":"killed"},` +
		`{"time":"2026-09-21T14:13:20.15Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"retry","reason":"timeout","attempt":1,` +
		`"admitted":"2026-09-21T14:13:20.13Z","due":"2026-09-21T14:13:30.15Z"},` +
		`{"time":"2026-09-21T14:13:30.25Z","user":"bob","device":"d","platform":"apns","id":"x","disposition":"delivered","answer":"200","attempt":2,"redrive":1},` +
		`{"time":"2026-09-21T14:13:40Z","user":"bob","device":"d","id":"x","disposition":"clicked"},` +
		`{"time":"2026-09-21T14:13:50Z","user":"bob","device":"d","id":"y","purpose":"recall","disposition":"delivered","attempt":1}],"left_out":2}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
		t.Errorf("status %d\n got %s\nwant %s", w.Code, got, want)
	}
}
