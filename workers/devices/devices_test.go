package devices

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clock = time.UnixMilli(1_790_000_000_000)

// log is a Kafka that takes everything, remembers it in a readable form, and can be read again.
type log struct {
	lines   []string
	records []*stream.Record // of push.registry
}

func (l *log) Publish(_ context.Context, m stream.Message, done func(error)) {
	line := m.Topic + " " + string(m.Key)
	if m.Topic == "push.registry" {
		line += " on " + string(m.PartitionKey)
		l.records = append(l.records, &stream.Record{Topic: m.Topic, Key: m.Key, Value: m.Value})
	}
	l.lines = append(l.lines, line)
	done(nil)
}

func (l *log) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	l.lines = append(l.lines, "event "+e.GetDisposition()+" "+e.GetReason())
	done(nil)
}

func (l *log) Scan(_ context.Context, _ string, _ []stream.Range, fn func(*stream.Record) bool) error {
	for _, rec := range l.records {
		if !fn(rec) {
			break
		}
	}
	return nil
}

func open(t *testing.T) *registry.Registry {
	t.Helper()
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	reg, err := registry.Open(registry.Config{Addrs: []string{server.Addr()}}, registry.Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg
}

func newDevices(reg *registry.Registry, l *log) *Devices {
	return New(Config{Apps: map[string]bool{"demo": true}, Platforms: map[push.Platform]bool{"apns": true}, Now: func() time.Time { return clock },
		CheckToken: func(_ push.Platform, token string) error {
			if strings.Trim(token, "0123456789abcdef") != "" {
				return fmt.Errorf("token: not hexadecimal")
			}
			return nil
		}}, reg, l, l, zap.NewNop())
}

// login is a record of im.devices.
func login(app, user, token string, acked *int) *stream.Record {
	rec := &stream.Record{Topic: "im.devices", Key: stream.UserKey(app, user), Value: fmt.Appendf(nil,
		`{"App":"%s","User":"%s","Device":"phone","Event":"login","EventTime":%d,"Platform":"apns","Token":"%s","Credential":"demo-ios"}`,
		app, user, clock.UnixMilli(), token)}
	rec.OnAck(func(ok bool) {
		if ok {
			*acked++
		}
	})
	return rec
}

func TestEachEventLeavesItsStateOrADeadLetter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app, token string
		want       []string
	}{
		"login":              {"demo", "abcd", []string{"push.registry demo|bob|phone on demo|bob"}},
		"token of no device": {"demo", "not/hex", []string{"im.devices.dead demo|bob", "event dead invalid_message"}},
		"unknown app":        {"other", "abcd", []string{"im.devices.dead other|bob", "event dead unknown_app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, l, acked := open(t), &log{}, 0
			if err := reg.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			newDevices(reg, l).Handle(t.Context(), []*stream.Record{login(test.app, "bob", test.token, &acked)})
			if !slices.Equal(l.lines, test.want) || acked != 1 {
				t.Errorf("got %v, %d acknowledged, want %v", l.lines, acked, test.want)
			}
		})
	}
}

func TestARebuildRestoresWhatRedisLost(t *testing.T) {
	t.Parallel()
	l, acked := &log{}, 0
	before := open(t)
	if err := before.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	newDevices(before, l).Handle(t.Context(), []*stream.Record{login("demo", "bob", "abcd", &acked), login("demo", "carol", "ef01", &acked)})

	after := open(t)
	if err := NewRebuilder(after, l, stream.Topics{}, "me", zap.NewNop()).Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := after.Ready(t.Context()); err != nil {
		t.Errorf("not ready after the rebuild: %v", err)
	}
	for _, user := range []string{"bob", "carol"} {
		devices, err := after.Devices(t.Context(), "demo", user)
		if err != nil || len(devices) != 1 || devices[0].Device != "phone" {
			t.Errorf("%s has %d devices after the rebuild, %v", user, len(devices), err)
		}
	}
}
