package fcm_test

import (
	"errors"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/fcm"
	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestOpenNamesEveryMistakeByItsPath(t *testing.T) {
	t.Parallel()
	_, err := fcm.Open(settings(
		map[string]any{"endpoint": "http://localhost", "transport": "h3", "concurrency": -1},
		map[string]any{"style": "loud"},
		map[string]any{"platform": "fcm"},
	))
	want := []string{
		"fcm.endpoint: want https://host:port",
		`fcm.transport: "h3", want h2 or std`,
		"fcm.concurrency: -1, want 1 to 20000",
		`apps.demo.fcm.style: "loud", want data or notification`,
		"apps.demo.credentials.demo-android.service_account_file: missing; or service_account_env",
	}
	if diff := cmp.Diff(want, leaves(err)); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		platform, app map[string]any
		want          string
	}{
		"an unknown key":           {platform: map[string]any{"endpiont": ""}, want: "endpiont"},
		"an unknown key of an app": {app: map[string]any{"chanels": nil}, want: "chanels"},
		"an unknown transport":     {platform: map[string]any{"transport": "quic"}, want: `fcm.transport: "quic", want h2 or std`},
		"an endpoint with a path":  {platform: map[string]any{"endpoint": "https://localhost/v1"}, want: "fcm.endpoint: want nothing but https://host:port"},
		"a ramp back in time":      {platform: map[string]any{"ramp_up": -time.Second}, want: "fcm.ramp_up: -1s, want 0s to 1h0m0s"},
		"an endpoint with a user":  {platform: map[string]any{"endpoint": "https://a:b@localhost"}, want: "fcm.endpoint: want nothing but https://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := fcm.Open(settings(c.platform, c.app, anyKey)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestOpenRefusesAQuota(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values map[string]any
		want   string
	}{
		"below nothing":      {map[string]any{"quota_per_minute": -1}, "apps.demo.credentials.demo-android.quota_per_minute: -1, want 0 (no bound) to 1000000000"},
		"of which no share":  {map[string]any{"quota_share": 0.0}, "apps.demo.credentials.demo-android.quota_share: 0, want more than 0 and at most 1"},
		"of which too much":  {map[string]any{"quota_share": 25.0}, "apps.demo.credentials.demo-android.quota_share: 25, want more than 0 and at most 1"},
		"of which no number": {map[string]any{"quota_share": math.NaN()}, "apps.demo.credentials.demo-android.quota_share: NaN, want more than 0 and at most 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			maps.Copy(c.values, anyKey)
			_, err := fcm.Open(settings(nil, nil, c.values))
			if diff := cmp.Diff([]string{c.want}, leaves(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckOpensEveryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := settings(map[string]any{"ca_file": "ca.pem"}, nil, anyKey)
	s.Dir = dir
	driver := open(t, s)
	got := leaves(driver.Check())
	if len(got) != 2 || !strings.HasPrefix(got[0], "fcm.ca_file: ") ||
		!strings.HasPrefix(got[1], "apps.demo.credentials.demo-android.service_account_file: ") {
		t.Errorf("without files: got %q", got)
	}
	if _, err := driver.Sender("demo", "demo-android"); err == nil {
		t.Error("got a sender without its key")
	}

	write(t, filepath.Join(dir, "ca.pem"), []byte("none"))
	write(t, filepath.Join(dir, "sa.json"), accountJSON(t, map[string]any{"token_uri": "https://127.0.0.1/token"}))
	got = leaves(driver.Check())
	if len(got) != 2 || !strings.Contains(got[0], "no certificate") || !strings.Contains(got[1], "token_uri: ") {
		t.Errorf("with wrong files: got %q", got)
	}
}

func TestSenderIsOnePerCredential(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sa.json"), accountJSON(t, map[string]any{"token_uri": "https://oauth2.googleapis.com/token"}))
	s := settings(nil, nil, anyKey)
	s.Dir = dir
	driver := open(t, s)
	first, err := driver.Sender("demo", "demo-android")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := driver.Sender("demo", "demo-android"); err != nil || second != first {
		t.Errorf("got another sender, %v", err)
	}
	for _, c := range [][2]string{{"other", "demo-android"}, {"demo", "other"}} {
		if _, err := driver.Sender(c[0], c[1]); !errors.Is(err, push.ErrUnknownCredential) {
			t.Errorf("%v: got %v", c, err)
		}
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	if _, err := driver.Sender("demo", "demo-android"); err == nil {
		t.Error("got a sender of a closed driver")
	}
}

func TestClickActionIsAnIntentsAction(t *testing.T) {
	t.Parallel()
	for action, valid := range map[string]bool{
		"":                             true,
		"OPEN_CHAT":                    true,
		"com.example.demo.action.CHAT": true,
		"https://example.com/chat":     false,
		"two words":                    false,
		strings.Repeat("x", 256):       false,
	} {
		_, err := fcm.Open(settings(nil, nil, map[string]any{"platform": "fcm", "service_account_file": "sa.json", "click_action": action}))
		if valid && err != nil || !valid && (err == nil || !strings.HasPrefix(err.Error(), "apps.demo.credentials.demo-android.click_action: ")) {
			t.Errorf("%.30q: got %v", action, err)
		}
	}
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	driver := open(t, settings(nil, nil, anyKey))
	for token, valid := range map[string]bool{
		"dXl:APA91b_-~":           true,
		strings.Repeat("x", 4096): true,
		"":                        false,
		strings.Repeat("x", 4097): false,
		"with space":              false,
		"new\nline":               false,
		"schlüssel":               false,
		"\x7f":                    false,
	} {
		err := driver.CheckToken(token)
		if (err == nil) != valid {
			t.Errorf("%.20q: got %v", token, err)
		}
		if err != nil && len(token) > 1 && strings.Contains(err.Error(), token) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}
