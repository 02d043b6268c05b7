package api

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	devicesrole "github.com/pushfleet/pushfleet/workers/devices"
)

// The ways in. Over HTTP a record is applied twice: by the API at once, and by role devices when it reads the topic.
const (
	overHTTP        = "over HTTP"
	overTopic       = "over a topic"
	overHTTPAndRead = "over HTTP, then read from the topic"
)

var ways = []string{overHTTP, overTopic, overHTTPAndRead}

// eachWay runs a story once for each way in, on a registry of its own: what it expects holds for all of them.
func eachWay(t *testing.T, story func(t *testing.T, w *world)) {
	t.Helper()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			story(t, newWorld(t, way))
		})
	}
}

// world is an IM's side of the fleet: an API, role devices and a registry, with a clock in the test's hand.
type world struct {
	*registry.Registry
	t    *testing.T
	way  string
	now  time.Time
	api  *Server
	role *devicesrole.Devices

	published []stream.Message // by the API
	written   []string         // topic and key of what the role wrote
	messages  int
}

// start is the beginning of every story, a little after the contract's examples.
var start = time.UnixMilli(1_790_000_000_000)

func newWorld(t *testing.T, way string) *world {
	t.Helper()
	redis, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	w := &world{t: t, way: way, now: start}
	clock := func() time.Time { return w.now }
	if w.Registry, err = registry.Open(registry.Config{Addrs: []string{redis.Addr()}}, registry.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.api = newBench(t, func(o *Options) {
		o.Registry, o.Now = w.Registry, clock
		o.Publisher = publisherFunc(func(_ context.Context, m stream.Message, done func(error)) {
			w.published = append(w.published, m)
			done(nil)
		})
		o.CheckToken = func(push.Platform, string) error { return nil }
		o.KnownCredential = func(string, push.Platform, string) bool { return true }
	}).Server
	w.role = devicesrole.New(devicesrole.Config{
		Topics: stream.Topics{Prefix: "p."}, Apps: map[string]bool{"demo": true}, RetryDelay: 10 * time.Second, Now: clock,
		Platforms:       map[push.Platform]bool{"apns": true, "fcm": true, "service": true},
		CheckToken:      func(push.Platform, string) error { return nil },
		KnownCredential: func(string, push.Platform, string) bool { return true },
	}, w.Registry, publisherFunc(func(_ context.Context, m stream.Message, done func(error)) {
		w.written = append(w.written, m.Topic+" "+string(m.Key))
		done(nil)
	}), ignored{}, zap.NewNop())
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); w.role.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return w
}

// ignored takes outcomes.
type ignored struct{}

func (ignored) Record(_ context.Context, _ *schemasv1.Event, done func(error)) { done(nil) }

// call is one call of a client or of the IM's backend: a request, and the record that says the same.
type call struct {
	method, path, body string
	topic, key, value  string
}

func (c call) record(at time.Time) *stream.Record {
	rec := &stream.Record{Topic: c.topic, Key: []byte(c.key), Time: at}
	if c.value != "" {
		rec.Value = []byte(c.value)
	}
	return rec
}

// report is a device event of one of bob's devices, seconds after the start.
func report(device, kind string, seconds int, members ...string) call {
	value := fmt.Sprintf(`{"App":"demo","User":"bob","Device":"%s","Event":"%s","EventTime":%d%s}`,
		device, kind, start.UnixMilli()+int64(seconds)*1000, strings.Join(members, ""))
	return call{"POST", "/v1/devices/events", value, "p.im.devices", "demo|bob", value}
}

func platform(name, token string) string {
	return `,"Platform":"` + name + `","Token":"` + token + `"`
}

// of makes an event another user's.
func (c call) of(user string) call {
	c.body = strings.Replace(c.body, `"User":"bob"`, `"User":"`+user+`"`, 1)
	c.key, c.value = "demo|"+user, c.body
	return c
}

// set is a settings event of bob's.
func set(seconds int, members string) call {
	value := fmt.Sprintf(`{"App":"demo","User":"bob","Event":"settings","EventTime":%d,%s}`, start.UnixMilli()+int64(seconds)*1000, members)
	return call{"POST", "/v1/devices/events", value, "p.im.devices", "demo|bob", value}
}

func receiptFor(device, kind, msgKey string) call {
	value := fmt.Sprintf(`{"App":"demo","User":"bob","Device":"%s","Receipt":"%s","MsgKey":"%s","ReceiptTime":%d}`, device, kind, msgKey, start.UnixMilli())
	return call{"POST", "/v1/receipts", value, "p.im.receipts", "demo|bob", value}
}

const members = "/v1/apps/demo/groups/team/members/"

func joined(user string, seconds int) call {
	since := fmt.Sprintf(`"JoinedTime":%d}`, start.UnixMilli()+int64(seconds)*1000)
	return call{"PUT", members + user, "{" + since, "p.im.groups", "demo|team|" + user, `{"App":"demo","Group":"team","User":"` + user + `",` + since}
}

// left happens at the world's time.
func left(user string) call {
	return call{"DELETE", members + user, "", "p.im.groups", "demo|team|" + user, ""}
}

// does makes calls, in order, by the world's way.
func (w *world) does(calls ...call) {
	w.t.Helper()
	if w.way == overTopic {
		batch := make([]*stream.Record, len(calls))
		for i, c := range calls {
			batch[i] = c.record(w.now)
		}
		w.handle(batch)
		return
	}
	for _, c := range calls {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+bearer)
		answer := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(answer, r)
		if answer.Code != 202 {
			w.t.Fatalf("%s %s: status %d: %s", c.method, c.path, answer.Code, answer.Body)
		}
	}
	if w.way == overHTTPAndRead {
		batch := make([]*stream.Record, len(w.published))
		for i, m := range w.published {
			at := m.Time
			if at.IsZero() {
				at = w.now
			}
			batch[i] = &stream.Record{Topic: m.Topic, Key: m.Key, Value: m.Value, Time: at}
		}
		w.published = nil
		w.handle(batch)
	}
}

// hears puts a record on its topic, whatever the way: some are the fleet's own.
func (w *world) hears(c call) {
	w.t.Helper()
	w.handle([]*stream.Record{c.record(w.now)})
}

func (w *world) handle(batch []*stream.Record) {
	w.t.Helper()
	acked := make(chan bool, len(batch))
	for _, rec := range batch {
		rec.OnAck(func(ok bool) { acked <- ok })
	}
	before := len(w.written)
	w.role.Handle(w.t.Context(), batch)
	for _, line := range w.written[before:] {
		if strings.Contains(line, ".dead ") {
			w.t.Errorf("a record is dead: %s", line)
		}
	}
	for range batch {
		select {
		case ok := <-acked:
			if !ok {
				w.t.Error("a record is left to be read again")
			}
		case <-time.After(time.Minute):
			w.t.Fatal("a record is not acknowledged")
		}
	}
}

// device is one of bob's.
func (w *world) device(name string) registry.Device {
	w.t.Helper()
	known, err := w.Devices(w.t.Context(), "demo", "bob")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range known {
		if d.Device == name {
			return d
		}
	}
	w.t.Fatalf("bob has no device %s", name)
	return registry.Device{}
}

// message is the question about a new message of alice's to bob, unless changed.
func (w *world) message(change ...func(*registry.DecideRequest)) registry.DecideRequest {
	w.messages++
	q := registry.DecideRequest{
		App: "demo", User: "bob", Origin: fmt.Sprint("im.messages/0/", w.messages), RecordTime: w.now, Counts: true,
		Claim:  registry.Claim{Key: fmt.Sprint(w.messages), Content: "0a0b0c0d", MsgTime: w.now.Unix(), Window: 120 * time.Second},
		MsgKey: fmt.Sprintf("c2c:alice:%d_1_%d", w.messages, w.now.Unix()), Conversation: "c2c:alice",
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

// becomes says what a message comes to on one of bob's devices.
func (w *world) becomes(device string, q registry.DecideRequest) registry.DeviceDecision {
	w.t.Helper()
	decisions, err := w.Decide(w.t.Context(), []registry.DecideRequest{q})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range decisions[0].Devices {
		if d.Device == device {
			return d
		}
	}
	w.t.Fatalf("nothing is decided for %s", device)
	return registry.DeviceDecision{}
}

// at moves the clock to seconds after the start.
func (w *world) at(seconds int) { w.now = start.Add(time.Duration(seconds) * time.Second) }
