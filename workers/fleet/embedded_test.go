package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	redisembedded "github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	kafkaembedded "github.com/pushfleet/pushfleet/pkg/stream/embedded"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

// patience is for a machine that does much else; a test that waits that long fails.
const patience = 2 * time.Minute

// embeddedFleet is every role in this process, with a Kafka, a Redis and the simulators.
type embeddedFleet struct {
	t       *testing.T
	cfg     *config.Config
	sim     *simulate.Simulation
	cluster *stream.Cluster
	topics  stream.Topics
	reg     registryReader
	pub     *stream.Publisher
	now     func() time.Time     // the simulators' and the platforms' clock; nil = the true one
	stop    func() time.Duration // stops the fleet and says how long that took
}

// embedded is a fleet as a test wants it.
type embedded struct {
	redis       []string          // addresses; several are a cluster, none is one that starts here
	now         func() time.Time  // the clock of the simulators and the platforms; nil = the true one
	transport   string            // of both platforms; "" = the default
	concurrency int               // how many pushes a credential may have under way
	settings    string            // the lines of the configuration besides
	policies    map[string]string // by app, the keys of it besides; each has the credentials ios and android
}

// startEmbedded starts a fleet on what a process can hold.
func startEmbedded(t *testing.T, concurrency int, settings string, policies map[string]string) *embeddedFleet {
	t.Helper()
	return embedded{concurrency: concurrency, settings: settings, policies: policies}.start(t)
}

func (e embedded) start(t *testing.T) *embeddedFleet {
	t.Helper()
	if len(e.redis) == 0 {
		redis, err := redisembedded.Start(redisembedded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(redis.Close)
		e.redis = []string{redis.Addr()}
	}
	dir := t.TempDir()
	kafka, err := kafkaembedded.Start(kafkaembedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	sim, err := simulate.Start(simulate.Config{Dir: dir, APNs: true, FCM: true, Now: e.now, SignedNow: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	transport := ""
	if e.transport != "" {
		transport = ", transport: " + e.transport
	}
	text := fmt.Sprintf(`
kafka: {brokers: [%q], start: earliest}
redis: {addrs: [%s]}
topics: {partitions: 2}
apns: {endpoint: %q, ca_file: %q, concurrency: %d%s}
fcm: {endpoint: %q, ca_file: %q%s}
%s
apps:
`, kafka.Addr(), `"`+strings.Join(e.redis, `", "`)+`"`, sim.APNs.URL(), sim.CAFile, e.concurrency, transport, sim.FCM.URL(), sim.CAFile, transport, e.settings)
	for app, keys := range e.policies {
		text += fmt.Sprintf("  %s:\n    credentials:\n      ios: {platform: apns, key_file: %q, key_id: %s, team_id: %s, bundle_id: %s}\n"+
			"      android: {platform: fcm, service_account_file: %q}\n%s", app, sim.KeyFile, simulate.KeyID, simulate.TeamID,
			simulate.BundleID, sim.ServiceAccountFile, keys)
	}
	f := &embeddedFleet{t: t, sim: sim, now: e.now}
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
	reg, err := fleet.OpenRegistry(f.cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	f.reg = reg
	f.pub = f.cluster.NewPublisher(stream.PublisherConfig{})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		_ = f.pub.Close(ctx) // what a test did not wait for
	})
	f.run()
	return f
}

func (f *embeddedFleet) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context())) // which ends before the cleanup begins
	ready, ended := make(chan struct{}), make(chan error, 1)
	roles, err := fleet.ParseRoles([]string{"route", "deliver-apns", "deliver-fcm", "deliver-service", "retry", "devices", "report"})
	if err != nil {
		f.t.Fatal(err)
	}
	go func() {
		ended <- fleet.Run(ctx, fleet.Options{Config: f.cfg, Roles: roles, Logger: zap.NewNop(), PlatformsNow: f.now, OnReady: func() { close(ready) }})
	}()
	var took time.Duration
	f.stop = func() time.Duration {
		if ctx.Err() != nil {
			return took
		}
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("the fleet ended with %v", err)
		}
		took = time.Since(began)
		return took
	}
	f.t.Cleanup(func() { f.stop() })
	select {
	case <-ready:
	case err := <-ended:
		f.t.Fatalf("the fleet did not start: %v", err)
	case <-time.After(patience):
		f.t.Fatalf("not ready after %s", patience)
	}
	f.topics = stream.Topics{Prefix: f.cfg.Kafka.Prefix}
}

// phones logs in a phone of each of so many users of an app, with the app in the background, and waits until that is
// known. The tokens are returned.
func (f *embeddedFleet) phones(app string, p push.Platform, users int) []string {
	f.t.Helper()
	tokens := make([]string, users)
	credential := map[push.Platform]string{"apns": "ios", "fcm": "android"}[p]
	now := time.Now()
	for i := range tokens {
		tokens[i] = app + "-token-" + strconv.Itoa(i)
		if p == "apns" {
			tokens[i] = fmt.Sprintf("%056x%08x", []byte(app), i+1)[:64]
		}
		for _, event := range []map[string]any{
			{"Event": "login", "EventTime": now.Add(-2 * time.Second).UnixMilli(), "Platform": p, "Credential": credential, "Token": tokens[i], "Language": "en"},
			{"Event": "background", "EventTime": now.UnixMilli(), "Unread": 0},
		} {
			event["App"], event["User"], event["Device"] = app, userOf(p, i), "phone"
			f.produce(f.topics.Devices(), stream.UserKey(app, userOf(p, i)), event)
		}
	}
	known := 0
	eventually(f.t, patience, 20*time.Millisecond, "every phone of "+app, func(ctx context.Context) error {
		for ; known < users; known++ {
			devices, err := f.reg.Devices(ctx, app, userOf(p, known))
			if err != nil || len(devices) != 1 || devices[0].Presence != push.ReasonBackground {
				return fmt.Errorf("%s is not known: %v", userOf(p, known), err)
			}
		}
		return nil
	})
	return tokens
}

func userOf(p push.Platform, i int) string { return string(p) + "-user-" + strconv.Itoa(i) }

// flood sends n one-to-one messages of an app, to its users of a platform in turn.
func (f *embeddedFleet) flood(app string, p push.Platform, users, n int) {
	f.t.Helper()
	for i := range n {
		f.produce(f.topics.Messages(), []byte(app+"|alice"), map[string]any{"App": app, "From_Account": "alice", "To_Account": userOf(p, i%users),
			"MsgSeq": i + 1, "MsgRandom": i + 1, "MsgTimeStamp": time.Now().Unix(),
			"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": string(p) + " " + strconv.Itoa(i)}}}})
	}
}

func (f *embeddedFleet) produce(topic string, key []byte, value map[string]any) {
	f.pub.Publish(f.t.Context(), stream.Message{Topic: topic, Key: key, Value: encode(value), Partition: stream.ByKey}, func(err error) {
		if err != nil && f.t.Context().Err() == nil {
			f.t.Errorf("not produced: %v", err)
		}
	})
}

// slow makes a simulator take that long for each push, from now on.
func (f *embeddedFleet) slow(control *pushtest.Control, by time.Duration) {
	f.t.Helper()
	if err := control.Script.Put("", []pushtest.Answer{{DelayMS: int(by.Milliseconds()), Times: -1}}); err != nil {
		f.t.Fatal(err)
	}
}

// accepted counts the pushes that a simulator took for some tokens.
func accepted(control *pushtest.Control, tokens []string) int {
	ours := make(map[string]bool, len(tokens))
	for _, token := range tokens {
		ours[token] = true
	}
	n := 0
	for _, entry := range control.Ledger.Entries("") {
		if entry.Status == http.StatusOK && ours[entry.Token] {
			n++
		}
	}
	return n
}
