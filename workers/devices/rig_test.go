package devices

import (
	"context"
	"fmt"
	"strings"
	"sync"
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

// kafka takes everything at once, remembers it in a readable form, and can be read again.
type kafka struct {
	mu     sync.Mutex
	lines  []string
	topics map[string][]*stream.Record // one partition each
	sent   []stream.Message

	scanned func(topic string) // after each scan; nil = nothing
}

func (k *kafka) Publish(_ context.Context, m stream.Message, done func(error)) {
	k.mu.Lock()
	line := m.Topic + " " + string(m.Key)
	if m.PartitionKey != nil {
		line += " on " + string(m.PartitionKey)
	}
	k.lines = append(k.lines, line)
	k.sent = append(k.sent, m)
	k.append(&stream.Record{Topic: m.Topic, Key: m.Key, Value: m.Value, Time: clock})
	k.mu.Unlock()
	done(nil)
}

// append puts a record at the end of its topic.
func (k *kafka) append(rec *stream.Record) {
	if k.topics == nil {
		k.topics = map[string][]*stream.Record{}
	}
	rec.Offset = int64(len(k.topics[rec.Topic]))
	k.topics[rec.Topic] = append(k.topics[rec.Topic], rec)
}

func (k *kafka) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	k.mu.Lock()
	k.lines = append(k.lines, "event "+e.GetDisposition()+" "+e.GetReason())
	k.mu.Unlock()
	done(nil)
}

func (k *kafka) Ends(_ context.Context, topic string) (map[int32]int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return map[int32]int64{0: int64(len(k.topics[topic])), 1: 0}, nil
}

func (k *kafka) Scan(_ context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error {
	k.mu.Lock()
	records := k.topics[topic]
	k.mu.Unlock()
	for _, rec := range records[ranges[0].From:] {
		if !fn(rec) {
			return nil
		}
	}
	if k.scanned != nil {
		k.scanned(topic)
	}
	return nil
}

// server is an embedded Redis with a registry on it.
type server struct {
	*registry.Registry
	redis *embedded.Server
}

func open(t *testing.T) *server {
	t.Helper()
	redis, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Close() })
	reg, err := registry.Open(registry.Config{Addrs: []string{redis.Addr()}}, registry.Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{reg, redis}
}

// whole is a registry that lacks nothing.
func whole(t *testing.T) *server {
	t.Helper()
	s := open(t)
	if err := s.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func config() Config {
	return Config{Apps: map[string]bool{"demo": true}, Platforms: map[push.Platform]bool{"apns": true, "fcm": true, "service": true},
		Now: func() time.Time { return clock }, RetryDelay: 10 * time.Second,
		CheckToken: func(_ push.Platform, token string) error {
			if strings.Trim(token, "0123456789abcdef") != "" {
				return fmt.Errorf("token: not hexadecimal")
			}
			return nil
		},
		KnownCredential: func(_ string, _ push.Platform, name string) bool { return name != "nope" }}
}

func newDevices(reg Registry, k *kafka) *Devices { return New(config(), reg, k, k, zap.NewNop()) }

// handle handles a batch and then acknowledges what was written, as Run does.
func handle(t *testing.T, d *Devices, batch []*stream.Record) {
	t.Helper()
	d.Handle(t.Context(), batch)
	d.keeper.pass(t.Context())
}

// acks counts what became of records.
type acks struct{ acked, left int }

// record is one of an im topic; "" is a null value.
func (a *acks) record(topic, key, value string) *stream.Record {
	rec := &stream.Record{Topic: topic, Key: []byte(key), Time: clock}
	if value != "" {
		rec.Value = []byte(value)
	}
	rec.OnAck(func(ok bool) {
		if ok {
			a.acked++
		} else {
			a.left++
		}
	})
	return rec
}

// event is a record of im.devices about a phone.
func (a *acks) event(app, user, kind string, at int64, members string) *stream.Record {
	return a.record("im.devices", string(stream.UserKey(app, user)), fmt.Sprintf(
		`{"App":"%s","User":"%s","Device":"phone","Event":"%s","EventTime":%d%s}`, app, user, kind, at, members))
}

func (a *acks) login(app, user, token string) *stream.Record {
	return a.event(app, user, "login", clock.UnixMilli(), `,"Platform":"apns","Token":"`+token+`","Credential":"demo-ios"`)
}
