package fleet_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	redisembedded "github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	kafkaembedded "github.com/pushfleet/pushfleet/pkg/stream/embedded"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/callback"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/operate"
)

// imService is a receiver of callbacks: it takes what is signed, but for a share that it fails.
type imService struct {
	mu      sync.Mutex
	failing float64
	random  *rand.Rand
	told    map[string]int // by EventID
	sizes   []int          // events of each accepted callback
	failed  int
	forged  int
	last    callback.Event
}

func (s *imService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte("a-secret-of-thirty-two-characters"))
	fmt.Fprintf(mac, "%s.%s", r.Header.Get("Pushfleet-Timestamp"), body)
	var told struct {
		App    string
		Events []callback.Event
	}
	signed := r.Header.Get("Pushfleet-Signature") == "v1="+hex.EncodeToString(mac.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil || !signed || json.Unmarshal(body, &told) != nil || told.App != "demo":
		s.forged++
		w.WriteHeader(http.StatusUnauthorized)
	case s.random.Float64() < s.failing:
		s.failed++
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		for _, e := range told.Events {
			s.told[e.EventID]++
			s.last = e
		}
		s.sizes = append(s.sizes, len(told.Events))
	}
}

func (s *imService) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.told)
}

// callbackFleet is role report with an embedded Kafka and Redis, and receivers of two apps.
type callbackFleet struct {
	t       *testing.T
	cfg     *config.Config
	cluster *stream.Cluster
	pub     *stream.Publisher
	redis   *redisembedded.Server // the timeline's
	topics  stream.Topics
	end     func()
}

func startCallbacks(t *testing.T, demo, other, keys string) *callbackFleet {
	t.Helper()
	kafka, err := kafkaembedded.Start(kafkaembedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	f := &callbackFleet{t: t}
	if f.redis, err = redisembedded.Start(redisembedded.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.redis.Close)
	registrys, err := redisembedded.Start(redisembedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registrys.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("a-secret-of-thirty-two-characters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
kafka: {brokers: [%q]}
redis: {addrs: [%q]}
timeline: {redis: {addrs: [%q]}}
topics: {partitions: 2}
default_app: demo
apps:
  demo: {callback: {url: %q, secret_file: secret, concurrency: 100, linger: 100ms%s}}
  other: {callback: {url: %q, secret_file: secret}}
`, kafka.Addr(), registrys.Addr(), f.redis.Addr(), demo, keys, other)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.cfg, err = config.Load(file, fleet.Names()); err != nil {
		t.Fatal(err)
	}
	f.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: f.cfg.Kafka.Brokers})
	t.Cleanup(f.cluster.Close)
	if _, err := f.cluster.Apply(t.Context(), fleet.Layout(f.cfg)); err != nil {
		t.Fatal(err)
	}
	f.pub = f.cluster.NewPublisher(stream.PublisherConfig{})
	t.Cleanup(func() { _ = f.pub.Close(context.WithoutCancel(t.Context())) })
	reg, err := fleet.OpenRegistry(f.cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reg.Complete(t.Context()), reg.Close()); err != nil { // or it is not ready until devices rebuilt it
		t.Fatal(err)
	}
	f.start()
	return f
}

// start runs the role, and returns when it is ready and its groups have their beginnings.
func (f *callbackFleet) start() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- fleet.Run(ctx, fleet.Options{Config: f.cfg, Roles: []fleet.Role{fleet.RoleReport}, Logger: zap.NewNop(), OnReady: func() { close(ready) }})
	}()
	stopped := false
	f.end = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("the fleet ended with %v", err)
		}
	}
	f.t.Cleanup(func() { f.end() })
	select {
	case <-ready:
	case <-time.After(patience):
		f.t.Fatalf("not ready after %s", patience)
	}
	for _, role := range []string{fleet.CallbackGroup("demo"), fleet.CallbackGroup("other"), "report"} {
		eventually(f.t, patience, 20*time.Millisecond, "the group "+role, func(ctx context.Context) error {
			lags, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, role), []string{f.topics.Events(), f.topics.Receipts()})
			if err != nil {
				return err
			}
			for _, l := range lags {
				if l.Committed < 0 {
					return fmt.Errorf("%s/%d has no offset", l.Topic, l.Partition)
				}
			}
			return nil
		})
	}
}

// tell publishes events of an app, packed as roles do, and waits until they are durable.
func (f *callbackFleet) tell(app string, from, to int) {
	f.t.Helper()
	var packs [][]byte
	for i := from; i < to; {
		pack := new(schemasv1.Events)
		for ; i < to && len(pack.GetEvents()) < 500; i++ {
			pack.Events = append(pack.Events, &schemasv1.Event{App: app, MsgKey: fmt.Sprintf("c2c:alice:%d_1_1790000000", i), User: "bob", Device: "phone",
				Platform: "apns", Id: fmt.Sprint("id-", i), Disposition: "delivered", Answer: "200", TimeMs: time.Now().UnixMilli(), Attempt: 1})
		}
		value, err := pack.MarshalVT()
		if err != nil {
			f.t.Fatal(err)
		}
		packs = append(packs, value)
	}
	done := make(chan error, len(packs))
	for i, value := range packs {
		f.pub.Publish(f.t.Context(), stream.Message{Topic: f.topics.Events(), Value: value, Partition: int32(i % 2)}, func(err error) { done <- err })
	}
	for range packs {
		if err := <-done; err != nil {
			f.t.Fatal(err)
		}
	}
}

// lag is how many records a group has not acknowledged of the outcomes.
func (f *callbackFleet) lag(ctx context.Context, role string) (int64, error) {
	lags, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, role), []string{f.topics.Events()})
	var sum int64
	for _, l := range lags {
		sum += l.Lag
	}
	return sum, err
}

func (f *callbackFleet) awaitLag(role string, want int64) {
	f.t.Helper()
	eventually(f.t, patience, 20*time.Millisecond, fmt.Sprintf("%s lags by %d", role, want), func(ctx context.Context) error {
		if lag, err := f.lag(ctx, role); err != nil || lag != want {
			return fmt.Errorf("%d, %v", lag, err)
		}
		return nil
	})
}

// TestCallbacksOverAFailingReceiverAndAStop: with a receiver that fails three of ten times, a stop of report in the middle, and
// another app's receiver that is down all the time, nothing is lost, callbacks are full, and neither the timeline nor
// readiness wait for anybody.
func TestCallbacksOverAFailingReceiverAndAStop(t *testing.T) {
	t.Parallel()
	const events = 30_000
	im := &imService{failing: 0.3, random: rand.New(rand.NewPCG(1, 2)), told: map[string]int{}}
	server := httptest.NewServer(im)
	t.Cleanup(server.Close)
	f := startCallbacks(t, server.URL, "http://127.0.0.1:1/", "")
	f.tell("other", 0, 1000)
	f.tell("demo", 0, events/2)
	eventually(t, patience, 5*time.Millisecond, "some events are told", func(context.Context) error {
		if im.count() < events/10 {
			return fmt.Errorf("%d", im.count())
		}
		return nil
	})
	f.end()
	before := im.count()
	f.tell("demo", events/2, events)
	f.start()
	f.awaitLag(fleet.CallbackGroup("demo"), 0)
	f.awaitLag("report", 0)
	im.mu.Lock()
	defer im.mu.Unlock()
	full, twice := 0, 0
	for _, size := range im.sizes {
		if size == 100 {
			full++
		}
	}
	for _, n := range im.told {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d events told in %d callbacks, %d of them full; %d failed; %d events at the stop, %d told twice", len(im.told), len(im.sizes), full, im.failed, before, twice)
	if len(im.told) != events || im.forged != 0 {
		t.Errorf("%d of %d events were told, %d callbacks were not signed", len(im.told), events, im.forged)
	}
	if full < len(im.sizes)*9/10 {
		t.Errorf("%d of %d callbacks are full", full, len(im.sizes))
	}
	if im.failed < len(im.sizes)/5 || twice > before {
		t.Errorf("%d callbacks failed, %d events were told before the stop, %d twice", im.failed, before, twice)
	}
	if lag, err := f.lag(t.Context(), fleet.CallbackGroup("other")); err != nil || lag == 0 {
		t.Errorf("the app whose receiver is down lags by %d, %v", lag, err)
	}
	line, err := fleet.OpenTimeline(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	if way, err := line.Read(t.Context(), "demo", fmt.Sprintf("c2c:alice:%d_1_1790000000", events-1)); err != nil || len(way.Entries) != 1 {
		t.Errorf("the last message's way: %v, %v", way, err)
	}
}

// TestCallbacksThatCameTooLateAreSentBack: a receiver that is down for longer than an event may wait; then an operator
// sends the dead letters back.
func TestCallbacksThatCameTooLateAreSentBack(t *testing.T) {
	t.Parallel()
	im := &imService{failing: 1, random: rand.New(rand.NewPCG(1, 2)), told: map[string]int{}}
	server := httptest.NewServer(im)
	t.Cleanup(server.Close)
	f := startCallbacks(t, server.URL, server.URL, ", max_age: 1s")
	f.tell("demo", 0, 150)
	receipt := []byte(`{"App":"demo","User":"bob","Device":"phone","Receipt":"clicked","MsgKey":"c2c:alice:7_1_1790000000","ReceiptTime":1790000002000}`)
	published := make(chan error, 1)
	f.pub.Publish(t.Context(), stream.Message{Topic: f.topics.Receipts(), Key: []byte("demo|bob"), Value: receipt, Partition: stream.ByKey},
		func(err error) { published <- err })
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	dead := operate.NewDeadLetters(f.cluster, f.topics, fleet.Names())
	var letters []operate.Letter
	eventually(t, patience, 50*time.Millisecond, "dead letters", func(ctx context.Context) error {
		letters = nil
		err := dead.Each(ctx, operate.Filter{Topic: f.topics.InputDead(f.topics.Callbacks())}, func(l operate.Letter) bool {
			letters = append(letters, l)
			return true
		})
		if lag, lagErr := f.lag(ctx, fleet.CallbackGroup("demo")); err != nil || lagErr != nil || lag != 0 || len(letters) < 2 {
			return fmt.Errorf("%d letters, lag %d, %v, %v", len(letters), lag, err, lagErr)
		}
		return nil
	})
	for _, l := range letters {
		if l.App != "demo" || l.Reason != "callback_expired" || l.Answer != "503" || l.Origin == "" {
			t.Errorf("%+v", l)
		}
	}
	im.mu.Lock()
	im.failing = 0
	im.mu.Unlock()
	back := dead.NewRedrive(f.pub, "test", 0)
	for _, l := range letters {
		if err := back.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := back.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, 20*time.Millisecond, "what was sent back is told", func(context.Context) error {
		if im.count() != 151 {
			return fmt.Errorf("%d of 151 events", im.count())
		}
		return nil
	})
}

// TestCallbacksGoOnWithoutTheTimeline: the timeline's Redis is away, so report waits, and its lag grows; callbacks go on,
// and when Redis is back the timeline has everything.
func TestCallbacksGoOnWithoutTheTimeline(t *testing.T) {
	t.Parallel()
	im := &imService{random: rand.New(rand.NewPCG(1, 2)), told: map[string]int{}}
	server := httptest.NewServer(im)
	t.Cleanup(server.Close)
	f := startCallbacks(t, server.URL, server.URL, "")
	addr := f.redis.Addr()
	f.redis.Close()
	f.tell("demo", 0, 5000)
	f.awaitLag(fleet.CallbackGroup("demo"), 0)
	if lag, err := f.lag(t.Context(), "report"); err != nil || lag != 10 || im.count() != 5000 {
		t.Errorf("report lags by %d records, %v; %d events told", lag, err, im.count())
	}
	redis, err := redisembedded.Start(redisembedded.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	f.awaitLag("report", 0)
	line, err := fleet.OpenTimeline(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	for _, i := range []int{0, 2500, 4999} {
		if way, err := line.Read(t.Context(), "demo", fmt.Sprintf("c2c:alice:%d_1_1790000000", i)); err != nil || len(way.Entries) != 1 {
			t.Errorf("message %d: %v, %v", i, way, err)
		}
	}
}
