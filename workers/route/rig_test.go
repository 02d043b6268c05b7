package route

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
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
	"github.com/pushfleet/pushfleet/workers/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clock = time.UnixMilli(1_790_000_000_000)

// kafka takes everything and remembers it in a readable form.
type kafka struct {
	mu    sync.Mutex
	lines []string
	sent  []stream.Message
	acks  []int64
}

func (k *kafka) note(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, line)
}

func (k *kafka) Publish(_ context.Context, m stream.Message, done func(error)) {
	k.note(readable(m))
	k.mu.Lock()
	k.sent = append(k.sent, m)
	k.mu.Unlock()
	done(nil)
}

// readable says what a record is in one line.
func readable(m stream.Message) string {
	if f, err := stream.DecodeFanout(m.Value); err == nil && m.Topic == "push.fanout" {
		return strings.TrimSpace(fmt.Sprintf("%s %d-%d of %d %s", m.Topic, f.First, f.Last, f.Buckets, f.Purpose))
	}
	n, err := stream.DecodeNotification(m.Value)
	if err != nil || !strings.HasPrefix(m.Topic, "push.") {
		return fmt.Sprintf("%s %d bytes", m.Topic, len(m.Value))
	}
	line := fmt.Sprintf("%s %s %q badge %d", m.Topic, n.Device, n.Body, n.Badge)
	for _, more := range []struct {
		name, value string
	}{{"purpose", n.Purpose}, {"type", string(n.Type)}, {"sound", n.Sound}} {
		if more.value != "" {
			line += " " + more.name + " " + more.value
		}
	}
	if n.CollapseID != n.ID {
		line += " in the first one's place"
	}
	if meta, err := stream.ParseMeta(m.Headers); err == nil && !meta.NotBefore.IsZero() {
		line += " in " + meta.NotBefore.Sub(clock).String()
	}
	return line
}

func (k *kafka) Record(_ context.Context, e *schemasv1.Event, done func(error)) {
	k.note(strings.Join(strings.Fields("event "+e.GetUser()+" "+e.GetDevice()+" "+e.GetDisposition()+" "+e.GetReason()), " "))
	done(nil)
}

// rig is a route on a real registry.
type rig struct {
	*kafka
	reg   *registry.Registry
	route *Route
	hold  func() error
	late  func() error              // of memberships
	log   map[string]*stream.Record // what can be read again, by origin
}

// ReadRecord makes a rig the log that recalls read.
func (r *rig) ReadRecord(_ context.Context, topic string, partition int32, offset int64) (*stream.Record, error) {
	if rec := r.log[fmt.Sprintf("%s/%d/%d", topic, partition, offset)]; rec != nil {
		return rec, nil
	}
	return nil, stream.ErrGone
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := newEmptyRig(t, change...)
	if err := r.reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// newEmptyRig is a route on a Redis that has forgotten everything.
func newEmptyRig(t *testing.T, change ...func(*Config)) *rig {
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
	r := &rig{kafka: &kafka{}, reg: reg, hold: func() error { return nil }, late: func() error { return nil }, log: map[string]*stream.Record{}}
	cfg := Config{
		DefaultApp: "demo", Apps: map[string]Policy{"demo": {}}, Platforms: map[push.Platform]bool{"apns": true, "fcm": true, "service": true},
		Retry: outcome.Policy{Delays: []time.Duration{10 * time.Second, time.Minute}}, MaxAge: 24 * time.Hour, Now: func() time.Time { return clock },
		Hold: func(context.Context) error { return r.hold() }, HoldGroups: func(context.Context) error { return r.late() },
		HoldPause: time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	r.route = New(cfg, reg, r, r.kafka, r.kafka, zap.NewNop())
	return r
}

// device logs an iPhone in, and to the background with so many unread, a minute and half a minute ago.
func (r *rig) device(t *testing.T, user, device string, unread int) {
	t.Helper()
	r.phone(t, user, device, unread, func(*registry.DeviceEvent) {})
}

// phone is device for phones of any kind.
func (r *rig) phone(t *testing.T, user, device string, unread int, change func(*registry.DeviceEvent)) {
	t.Helper()
	events := phoneEvents(user, device, unread)
	change(&events[0])
	r.apply(t, events)
}

// phones gives each user a device.
func (r *rig) phones(t *testing.T, unread int, users ...string) {
	t.Helper()
	var events []registry.DeviceEvent
	for _, user := range users {
		events = append(events, phoneEvents(user, "phone", unread)...)
	}
	r.apply(t, events)
}

func (r *rig) apply(t *testing.T, events []registry.DeviceEvent) {
	t.Helper()
	for chunk := range slices.Chunk(events, 20) { // the in-process Redis is slow under the race detector, and a call has 2 s
		if _, err := r.reg.Apply(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
}

// phoneEvents are a login and what sends the app to the background.
func phoneEvents(user, device string, unread int) []registry.DeviceEvent {
	credential, tok := "demo-ios", tokenOf(user+device)
	return []registry.DeviceEvent{
		{App: "demo", User: user, Device: device, Event: registry.EventLogin, EventTime: clock.Add(-time.Minute),
			Platform: "apns", Token: &tok, Credential: &credential},
		{App: "demo", User: user, Device: device, Event: registry.EventBackground, EventTime: clock.Add(-30 * time.Second), Unread: &unread},
	}
}

// tokenOf is a token of its own for each owner.
func tokenOf(owner string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(owner))) }

// record is a record of im.messages at an offset.
func (r *rig) record(offset int64, value string) *stream.Record {
	return r.recordOf("im.messages", offset, []byte(value))
}

// recordOf is a record of any topic. What stands in im.messages can be read again.
func (r *rig) recordOf(topic string, offset int64, value []byte) *stream.Record {
	rec := &stream.Record{Topic: topic, Offset: offset, Time: clock, Value: value}
	r.log[rec.Origin()] = rec
	rec.OnAck(func(acked bool) {
		if acked {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.acks = append(r.acks, rec.Offset)
		}
	})
	return rec
}

const text = `"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]`
