package service_test

import (
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/drivertest"
	"github.com/pushfleet/pushfleet/pkg/service"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Subject{
		Open:         func(t *testing.T) push.Driver { return open(t, settings(at)) },
		Notification: hello,
		Tokens:       []string{"the-handle-of-bobs-tablet", strings.Repeat("x", 4096), "Bobs großes Gerät 📱"},
		Limit:        64 << 10,
		Keyless:      true,
	})
}

func TestItNeedsNoCredentialAndTakesNone(t *testing.T) {
	t.Parallel()
	if !service.Kind().Keyless {
		t.Error("it asks for a credential")
	}
	s := settings(nil)
	s.Apps = map[string]push.AppSettings{"demo": {
		Block:       block{"apps.demo.service", nil},
		Credentials: map[string]push.Block{"key": block{"apps.demo.credentials.key", nil}},
	}}
	const want = "apps.demo.credentials.key.platform: service needs no credential"
	if _, err := service.Open(s); err == nil || err.Error() != want {
		t.Errorf("a credential of its own: got %v, want %s", err, want)
	}

	d := open(t, settings(at))
	defer d.Close()
	if err := d.Check(); err != nil {
		t.Errorf("check: %v", err)
	}
	none, err := d.Sender("demo", "")
	if err != nil {
		t.Fatal(err)
	}
	if fallback, err := d.Sender("demo", "demo-android"); err != nil || fallback != none {
		t.Errorf("a device with a credential for its fallback: got another sender, or %v", err)
	}
}

func TestOpenNamesUnknownKeys(t *testing.T) {
	t.Parallel()
	s := settings(nil)
	s.Block = block{"service", map[string]any{"endpoint": "x"}}
	s.Apps = map[string]push.AppSettings{"demo": {Block: block{"apps.demo.service", map[string]any{"style": "data"}}}}
	_, err := service.Open(s)
	for _, want := range []string{"service: ", "endpoint", "apps.demo.service: ", "style"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
