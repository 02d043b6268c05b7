package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	redis "github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	kafka "github.com/pushfleet/pushfleet/pkg/stream/embedded"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	"github.com/pushfleet/pushfleet/workers/api"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pushToken = "abababababababababababababababababababababababababababababababab"

var topics = stream.Topics{Prefix: "p."}

// bench is a Kafka, a Redis and the API, and a configuration that names them. No other role runs.
type bench struct {
	t        *testing.T
	dir      string
	cluster  *stream.Cluster
	pub      *stream.Publisher
	registry *registry.Registry
	timeline *timeline.Timeline
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	broker, err := kafka.Start(kafka.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	server, err := redis.Start(redis.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.file("tokens", "# the fleet's\nbearer-of-the-tests\n")
	b.file("pushfleet.yaml", fmt.Sprintf(servers, broker.Addr(), server.Addr(), ln.Addr())+apps)

	b.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: []string{broker.Addr()}})
	t.Cleanup(b.cluster.Close)
	layout := stream.Layout{Topics: topics, Platforms: fleet.Names(), Delays: []time.Duration{10 * time.Second}, Partitions: 1}
	if _, err := b.cluster.Apply(t.Context(), layout); err != nil {
		t.Fatal(err)
	}
	b.pub = b.cluster.NewPublisher(stream.PublisherConfig{})
	t.Cleanup(func() { _ = b.pub.Close(context.Background()) })
	if b.registry, err = registry.Open(registry.Config{Addrs: []string{server.Addr()}}, registry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.registry.Close() })
	if b.timeline, err = timeline.Open(registry.Config{Addrs: []string{server.Addr()}},
		timeline.Options{Sample: 1, Now: func() time.Time { return time.UnixMilli(1790000000000) }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.timeline.Close() })
	if err := b.registry.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.serve(ln)
	return b
}

const (
	servers = `
kafka: {brokers: ["%s"], prefix: p., group: g}
redis: {addrs: ["%s"]}
api: {listen: "%s"}
retry: {delays: [10s]}
`
	apps = `
default_app: demo
apps:
  demo:
    fcm: {style: data, channels: {ding.caf: chat}}
    credentials:
      demo-ios: {platform: apns, key_file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ, bundle_id: com.example.demo, environment: production}
      demo-android: {platform: fcm, service_account_file: sa.json}
`
)

// serve runs the API until the test ends.
func (b *bench) serve(ln net.Listener) {
	b.t.Helper()
	server, err := api.New(api.Options{
		Topics: topics, DefaultApp: "demo", TokensFile: filepath.Join(b.dir, "tokens"), Publisher: b.pub, Registry: b.registry, Timeline: b.timeline,
		KnownApp:        func(app string) bool { return app == "demo" },
		KnownCredential: func(string, push.Platform, string) bool { return true },
		CheckToken:      func(push.Platform, string) error { return nil },
		Health:          http.NotFoundHandler(), Ready: http.NotFoundHandler(), Metrics: http.NotFoundHandler(), Logger: zap.NewNop(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, ln) }()
	b.t.Cleanup(func() {
		stop()
		http.DefaultClient.CloseIdleConnections()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
}

// file writes a file and returns its name.
func (b *bench) file(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// answer is what one execution left behind.
type answer struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return answer{code, stdout.String(), stderr.String()}
}

// ok executes a command with the bench's configuration, and returns its stdout; anything else than success, or a word
// on stderr, fails the test.
func (b *bench) ok(stdin string, args ...string) string {
	b.t.Helper()
	a := execute(b.t, stdin, append([]string{"--config", filepath.Join(b.dir, "pushfleet.yaml")}, args...)...)
	if a.code != 0 || a.stderr != "" {
		b.t.Fatalf("%q: exit %d\n%s%s", args, a.code, a.stdout, a.stderr)
	}
	return a.stdout
}

// fails executes a command that ends with code and says why on stderr.
func (b *bench) fails(code int, why string, args ...string) {
	b.t.Helper()
	a := execute(b.t, "", append([]string{"--config", filepath.Join(b.dir, "pushfleet.yaml")}, args...)...)
	if a.code != code || !strings.Contains(a.stderr, why) {
		b.t.Errorf("%q: exit %d, want %d and %q\n%s%s", args, a.code, code, why, a.stdout, a.stderr)
	}
}

// values returns what stands in a topic.
func (b *bench) values(topic string) []string {
	b.t.Helper()
	var values []string
	if err := b.cluster.Scan(b.t.Context(), topic, nil, func(r *stream.Record) bool {
		values = append(values, string(r.Value))
		return true
	}); err != nil {
		b.t.Fatal(err)
	}
	return values
}

// write publishes a record and waits until it is durable.
func (b *bench) write(m stream.Message) {
	b.t.Helper()
	done := make(chan error, 1)
	b.pub.Publish(b.t.Context(), m, func(err error) { done <- err })
	if err := <-done; err != nil {
		b.t.Fatal(err)
	}
}
