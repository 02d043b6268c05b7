package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block is a section of a configuration.
type block struct {
	path   string
	values map[string]any
}

func (b block) Path() string { return b.path }

func (b block) Decode(v any) error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: v, TagName: "koanf", ErrorUnused: true})
	if err != nil {
		return err
	}
	if err := decoder.Decode(b.values); err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}

type offline = func(ctx context.Context, app, user, device string, value []byte, done func(error))

// settings has one app, demo.
func settings(to offline) push.Settings {
	return push.Settings{
		Block:   block{"service", nil},
		Apps:    map[string]push.AppSettings{"demo": {Block: block{"apps.demo.service", nil}}},
		Now:     time.Now,
		Offline: to,
	}
}

func open(t *testing.T, s push.Settings) push.Driver {
	t.Helper()
	driver, err := service.Kind().Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

// at keeps records durable at once.
func at(_ context.Context, _, _, _ string, _ []byte, done func(error)) { done(nil) }

// hello is the first message of the contracts for a device with a service of its own.
func hello() *push.Notification {
	return &push.Notification{
		ID: "1e2f6a6e-1d1c-5a53-9a3e-0f2e6b6f3a11", App: "demo", User: "bob", Device: "bob-tablet",
		MsgKey:   "c2c:alice:101_900001_1790000000",
		Platform: service.Platform, Token: "the-handle-of-bobs-tablet",
		Body: "Alice:hello", Ext: `{"page":"chat"}`, Thread: "c2c:alice", Badge: 5, Sound: "ding.caf",
		CollapseID: "1e2f6a6e-1d1c-5a53-9a3e-0f2e6b6f3a11", Expires: time.Unix(1790604800, 0),
	}
}
