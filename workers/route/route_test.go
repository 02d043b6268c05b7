package route

import (
	"context"
	"errors"
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

var (
	clock = time.UnixMilli(1_790_000_000_000)
	token = strings.Repeat("ab", 32)
)

// kafka takes everything and remembers it in a readable form.
type kafka struct {
	mu    sync.Mutex
	lines []string
	acks  []int64
}

func (k *kafka) note(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, line)
}

func (k *kafka) Publish(_ context.Context, m stream.Message, done func(error)) {
	line := m.Topic
	if n, err := stream.DecodeNotification(m.Value); err == nil && strings.HasPrefix(m.Topic, "push.") {
		line += fmt.Sprintf(" %s %q badge %d", n.Device, n.Body, n.Badge)
	} else {
		line += fmt.Sprintf(" %d bytes", len(m.Value))
	}
	k.note(line)
	done(nil)
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
	r := &rig{kafka: &kafka{}, reg: reg, hold: func() error { return nil }, log: map[string]*stream.Record{}}
	cfg := Config{
		DefaultApp: "demo", Apps: map[string]Policy{"demo": {}}, Platforms: map[push.Platform]bool{"apns": true, "fcm": true, "service": true},
		Retry: outcome.Policy{Delays: []time.Duration{10 * time.Second, time.Minute}}, MaxAge: 24 * time.Hour, Now: func() time.Time { return clock },
		Hold: func(context.Context) error { return r.hold() }, HoldPause: time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	r.route = New(cfg, reg, r, r.kafka, r.kafka, zap.NewNop())
	return r
}

// device logs a device in, and to the background with so many unread, a minute and half a minute ago.
func (r *rig) device(t *testing.T, user, device string, unread int) {
	t.Helper()
	platform, credential := push.Platform("apns"), "demo-ios"
	tok := token[:62] + fmt.Sprintf("%02x", len(user)*16+len(device))
	if _, err := r.reg.Apply(t.Context(), []registry.DeviceEvent{
		{App: "demo", User: user, Device: device, Event: registry.EventLogin, EventTime: clock.Add(-time.Minute), Platform: platform, Token: &tok, Credential: &credential},
		{App: "demo", User: user, Device: device, Event: registry.EventBackground, EventTime: clock.Add(-30 * time.Second), Unread: &unread},
	}); err != nil {
		t.Fatal(err)
	}
}

// record is a record of im.messages at an offset.
func (r *rig) record(offset int64, value string) *stream.Record {
	rec := &stream.Record{Topic: "im.messages", Offset: offset, Time: clock, Value: []byte(value)}
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

func TestWhatBecomesOfARecord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records []string
		want    []string
	}{
		"one notification a device, the badge counted": {
			[]string{`{"From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`},
			[]string{`push.apns.normal phone "Alice:hello" badge 5`, "event bob phone push background"},
		},
		"the second of a batch counts on": {
			[]string{
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":2,"MsgRandom":2,` + text + `}`,
			},
			[]string{
				`push.apns.normal phone "hello" badge 5`, "event bob phone push background",
				`push.apns.normal phone "hello" badge 6`, "event bob phone push background",
			},
		},
		"the same message in another record is a duplicate": {
			[]string{
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
			},
			[]string{`push.apns.normal phone "hello" badge 5`, "event bob phone push background", "event bob filter duplicate"},
		},
		"nobody ever logged in": {
			[]string{`{"From_Account":"alice","To_Account":"carol",` + text + `}`},
			[]string{"event carol filter logged_out"},
		},
		"message that asks for no push": {
			[]string{`{"From_Account":"alice","To_Account":["bob","carol"],"OfflinePushInfo":{"PushFlag":1},` + text + `}`},
			[]string{"event bob filter push_flag", "event carol filter push_flag"},
		},
		"unreadable, and the next goes on": {
			[]string{`{"From_Account":`, `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`},
			[]string{"im.messages.dead 16 bytes", "event dead invalid_message", `push.apns.normal phone "hello" badge 5`, "event bob phone push background"},
		},
		"unknown app": {
			[]string{`{"App":"other","From_Account":"alice","To_Account":"bob",` + text + `}`},
			[]string{"im.messages.dead 125 bytes", "event dead unknown_app"},
		},
		"ext that no platform takes": {
			[]string{`{"From_Account":"alice","To_Account":"bob","OfflinePushInfo":{"Ext":"` + strings.Repeat("x", fixedLimit+1) + `"},` + text + `}`},
			[]string{"im.messages.dead 65677 bytes", "event dead too_large"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if err := r.reg.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.device(t, "bob", "phone", 4)
			var batch []*stream.Record
			var offsets []int64
			for i, value := range test.records {
				batch = append(batch, r.record(int64(i), value))
				offsets = append(offsets, int64(i))
			}
			r.route.Handle(t.Context(), batch)
			if !slices.Equal(r.lines, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(test.want, "\n"))
			}
			if slices.Sort(r.acks); !slices.Equal(r.acks, offsets) {
				t.Errorf("acknowledged %v, want %v", r.acks, offsets)
			}
		})
	}
}

func TestARecordReadTwiceLeadsToTheSameNotification(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.device(t, "bob", "phone", 4)
	value := `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`
	r.route.Handle(t.Context(), []*stream.Record{r.record(7, value)})
	r.route.Handle(t.Context(), []*stream.Record{r.record(7, value)})
	want := []string{`push.apns.normal phone "hello" badge 5`, "event bob phone push background"}
	if want = append(want, want...); !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestRouteHoldsWhileTheRegistryIsEmpty(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	record := r.record(0, `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,`+text+`}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.route.Handle(ctx, []*stream.Record{record})
	if len(r.lines) > 0 || len(r.acks) > 0 {
		t.Fatalf("decided without a registry: %v, acknowledged %v", r.lines, r.acks)
	}
	if err := r.reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.device(t, "bob", "phone", 4)
	r.route.Handle(t.Context(), []*stream.Record{record})
	if !slices.Equal(r.acks, []int64{0}) {
		t.Errorf("acknowledged %v once it was rebuilt", r.acks)
	}
}

func TestRouteHoldsWhilePresenceIsBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	tries := 0
	r.hold = func() error {
		if tries++; tries < 3 {
			return errors.New("behind")
		}
		return nil
	}
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, `{"From_Account":"alice","To_Account":"bob",`+text+`}`)})
	if tries != 3 || !slices.Equal(r.acks, []int64{0}) {
		t.Errorf("%d tries, acknowledged %v", tries, r.acks)
	}
}
