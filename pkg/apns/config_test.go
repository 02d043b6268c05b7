package apns

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestOpenTakesAFileWithNothingButApps(t *testing.T) {
	t.Parallel()
	opened, err := Open(settings(t.TempDir(), nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	d := opened.(*driver)
	want := platformConfig{Transport: "h2", Connections: 4, Concurrency: 1000}
	if d.cfg != want {
		t.Errorf("got %+v, want %+v", d.cfg, want)
	}
	if got := d.apps["demo"]["demo-ios"].Environment; got != "production" {
		t.Errorf("environment: got %q", got)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
}

func TestHostByEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ endpoint, environment, want, dial string }{
		{"", "production", apns2.HostProduction, "api.push.apple.com:443"},
		{"", "development", apns2.HostDevelopment, "api.sandbox.push.apple.com:443"},
		{"https://localhost:2197/", "development", "https://localhost:2197", "localhost:2197"},
		{"https://[::1]:2197", "production", "https://[::1]:2197", "[::1]:2197"},
		{"https://push.example", "production", "https://push.example", "push.example:443"},
	} {
		cfg, err := decodePlatform(block{"apns", map[string]any{"endpoint": test.endpoint}})
		if err != nil {
			t.Errorf("%s: %v", test.endpoint, err)
			continue
		}
		host := cfg.host(test.environment)
		if dial := (&dialer{host: host}).address(); host != test.want || dial != test.dial {
			t.Errorf("%+v: got %s, dialed at %s", test, host, dial)
		}
	}
}

func TestOpenNamesTheWrongKey(t *testing.T) {
	t.Parallel()
	const credential = "apps.demo.credentials.demo-ios."
	for _, test := range []struct {
		platform, credential map[string]any
		says                 string
	}{
		{map[string]any{"endpoint": "http://localhost:1"}, nil, "apns.endpoint: want https"},
		{map[string]any{"endpoint": "https://localhost:1/3/device"}, nil, "apns.endpoint: want https"},
		{map[string]any{"endpoint": "localhost:1"}, nil, "apns.endpoint: want https"},
		{map[string]any{"endpoint": "https://:1"}, nil, "apns.endpoint: want https"},
		{map[string]any{"transport": "quic"}, nil, "apns.transport: want h2 or std"},
		{map[string]any{"connections": 0}, nil, "apns.connections: want 1 to 100"},
		{map[string]any{"concurrency": 20_001}, nil, "apns.concurrency: want 1 to 20000"},
		{map[string]any{"concurency": 1}, nil, "concurency"},
		{nil, map[string]any{"key_file": ""}, credential + "key_file: missing"},
		{nil, map[string]any{"key_id": "short"}, credential + "key_id: want"},
		{nil, map[string]any{"team_id": "DEF-23GHIJ"}, credential + "team_id: want"},
		{nil, map[string]any{"bundle_id": ""}, credential + "bundle_id: want"},
		{nil, map[string]any{"bundle_id": "com.example demo"}, credential + "bundle_id: want"},
		{nil, map[string]any{"environment": "test"}, credential + "environment: want"},
		{nil, map[string]any{"password": "x"}, "password"},
	} {
		_, err := Open(settings("", test.platform, test.credential))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v %v: got %v, want %q", test.platform, test.credential, err, test.says)
		}
	}
}

func TestOpenNamesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := Open(settings("", map[string]any{"connections": 0, "concurrency": 0}, map[string]any{"key_id": "", "team_id": ""}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"apns.connections", "apns.concurrency", "demo-ios.key_id", "demo-ios.team_id"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
}

func TestFilesAreOpenedByTheirUsersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := Open(settings(dir, map[string]any{"ca_file": "ca.pem"}, nil))
	if err != nil {
		t.Fatalf("open with no files: %v", err)
	}
	defer d.Close()
	says := func(err error, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	}
	says(d.Check(), "apns.ca_file", filepath.Join(dir, "ca.pem"), "apps.demo.credentials.demo-ios.key_file", filepath.Join(dir, "AuthKey.p8"))
	_, err = d.Sender("demo", "demo-ios")
	says(err, "apps.demo.credentials.demo-ios.key_file", filepath.Join(dir, "AuthKey.p8"))
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "AuthKey.p8"), p8)
	_, err = d.Sender("demo", "demo-ios")
	says(err, "apns.ca_file")

	write(t, filepath.Join(dir, "ca.pem"), []byte("secret garbage"))
	says(d.Check(), "no certificate in PEM")
	authority := `-----BEGIN CERTIFICATE-----`
	write(t, filepath.Join(dir, "ca.pem"), []byte(authority))
	says(d.Check(), "no certificate in PEM")
}

func TestSenderOfAKeyThatComesLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := Open(settings(dir, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Sender("demo", "demo-ios"); err == nil {
		t.Fatal("a sender without a key")
	}
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "AuthKey.p8"), p8)
	if err := d.Check(); err != nil {
		t.Error(err)
	}
	first, err := d.Sender("demo", "demo-ios")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Sender("demo", "demo-ios"); err != nil || again != first {
		t.Errorf("a second call gave another sender, or %v", err)
	}
	for _, name := range [][2]string{{"demo", "other"}, {"other", "demo-ios"}} {
		if _, err := d.Sender(name[0], name[1]); !errors.Is(err, push.ErrUnknownCredential) {
			t.Errorf("%v: got %v", name, err)
		}
	}
}
