package api

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

func TestDevicesAreShownWithoutTheirTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.registry.devices = []registry.Device{{
		Device: "bob-iphone", Binding: push.Binding{Platform: "apns", Token: pushTok, Credential: "demo-ios", Language: "en", Version: 3},
		TokenHash: registry.TokenHash(pushTok), BoundAt: time.UnixMilli(1789999990000), Presence: push.ReasonForeground, Filter: push.ReasonForeground,
		Badge: 4, Foreground: time.UnixMilli(1789999995500),
	}, {Device: "bob-tablet", Presence: push.ReasonKilled, Binding: push.Binding{Service: true}}}
	w := b.do("GET", "/v1/apps/demo/users/bob/devices", "", "")
	const want = `{"app":"demo","user":"bob","devices":[` +
		`{"device":"bob-iphone","platform":"apns","token_hash":"271a413bd339c570","credential":"demo-ios","service":false,"language":"en","version":3,"logged_out":false,` +
		`"bound_at":"2026-09-21T14:13:10Z","presence":"foreground","push":false,"filter":"foreground","badge":4,"foreground_at":"2026-09-21T14:13:15.5Z"},` +
		`{"device":"bob-tablet","service":true,"logged_out":false,"presence":"killed","push":true,"badge":0}]}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
		t.Errorf("status %d\n got %s\nwant %s", w.Code, got, want)
	}
}

func TestIDsInPathsAreOneSegmentEach(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"/v1/apps/a%7Cb%25/users/x%2Fy%20%25/devices":              {"a|b%", "x/y %"},
		"/v1/apps/a%7Cb%25/users/x%2Fy%20%25/settings":             {"a|b%", "x/y %"},
		"/v1/apps/demo/users/%2E%2E/devices":                       {"demo", ".."},
		"/v1/apps/demo/messages/at:im.messages%2F0%2F17/timeline":  {"demo", "at:im.messages/0/17"},
		"/v1/apps/demo/messages/group:%E9%98%9F%7C1:4_17/timeline": {"demo", "group:队|1:4_17"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			if w := b.do("GET", path, "", ""); w.Code != 200 || !slices.Equal(append(b.registry.asked, b.timeline.asked...), want) {
				t.Errorf("status %d, asked %q and %q, want %q", w.Code, b.registry.asked, b.timeline.asked, want)
			}
		})
	}
}

func TestQueriesThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, path := range []string{"/v1/apps/other/users/bob/devices", "/v1/apps/other/users/bob/settings", "/v1/apps/other/messages/x/timeline"} {
		if p := problemOf(t, b.do("GET", path, "", ""), 404); p.Reason != push.ReasonUnknownApp {
			t.Errorf("%s: reason %q", path, p.Reason)
		}
	}
	b.registry.err, b.timeline.err = errors.New("dial tcp: refused"), errors.New("dial tcp: refused")
	for _, id := range []string{"%00", "%FF", strings.Repeat("a", 129)} {
		for _, what := range []string{"/devices", "/settings"} {
			if w := newBench(t, nil).do("GET", "/v1/apps/demo/users/"+id+what, "", ""); w.Code != 400 {
				t.Errorf("%s of the user %.10s: %d", what, id, w.Code)
			}
		}
	}
	for _, path := range []string{"/v1/apps/demo/users/bob/devices", "/v1/apps/demo/users/bob/settings", "/v1/apps/demo/messages/x/timeline"} {
		problemOf(t, b.do("GET", path, "", ""), 503)
	}
}
