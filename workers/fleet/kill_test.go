package fleet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

const (
	killUsers    = 400
	killMessages = 20_000
	killRate     = 2_500 // messages a second

	// After a kill the broker gives the dead process's partitions away when its session of 10 s ended, and what it had
	// admitted waits in retry until its leases of 20 s ended: 10 s, and where that is too early another minute.
	killSettle = 2 * time.Minute

	duplicatesGoal  = 1.0 // percent of the pairs
	duplicatesLimit = 5.0
)

// killAt are the shares of the expected pushes that have arrived when the process is killed: once while messages are
// still produced, then while it works off what has piled up.
var killAt = []float64{0.1, 0.4, 0.7}

// TestKill kills a worker process three times under load, and expects every push that was due at the phones: none lost,
// few twice, and none for a phone in the foreground or logged out.
func TestKill(t *testing.T) {
	kafka, redis := os.Getenv("PUSHFLEET_TEST_KAFKA"), os.Getenv("PUSHFLEET_TEST_REDIS")
	if kafka == "" || redis == "" {
		t.Skip("needs PUSHFLEET_TEST_KAFKA and PUSHFLEET_TEST_REDIS: run scripts/integration ./workers/fleet")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) })
	k := newKillTest(t, strings.Split(kafka, ","), redis)
	p := newPopulation(k.cfg.DefaultApp, killUsers, time.Now())
	load := newKillLoad(t, p, killMessages)

	w := startWorker(t, k.binary, k.cfgFile, "route,deliver-apns,deliver-fcm,retry,devices,report")
	k.publish(t, p.events(k.topics), 0)
	eventually(t, time.Minute, 100*time.Millisecond, "the registry to know every device", func(ctx context.Context) error {
		return p.check(ctx, k.registry)
	})

	began := time.Now()
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		k.publish(t, load.messages(k.topics), killRate)
		t.Logf("%d messages produced in %s", len(load.values), time.Since(began).Round(time.Millisecond))
	}()
	defer func() { <-produced }()
	for _, share := range killAt {
		due := int(share * float64(len(load.pairs)))
		eventually(t, killSettle, 5*time.Millisecond, fmt.Sprintf("%d pushes before a kill", due), func(context.Context) error {
			if n := k.accepted(); n < due {
				return fmt.Errorf("%d arrived", n)
			}
			return nil
		})
		t.Logf("%s: killed after %d pushes", time.Since(began).Round(time.Millisecond), k.accepted())
		w.kill(t)
		w.start(t)
	}
	<-produced
	eventually(t, killSettle, time.Second, "every push", func(context.Context) error {
		if n := k.accepted(); n < len(load.pairs) {
			return fmt.Errorf("%d of %d arrived; %s", n, len(load.pairs), tallyOf(t, k.sim, load.pairs).missing())
		}
		return tallyOf(t, k.sim, load.pairs).missing()
	})
	t.Logf("%s: every push arrived", time.Since(began).Round(time.Millisecond))
	eventually(t, killSettle, time.Second, "everything to be read and settled", k.settled)
	t.Logf("%s: nothing is left to do", time.Since(began).Round(time.Millisecond))
	w.stop(t, 15*time.Second)
	tallyOf(t, k.sim, load.pairs).report(t)
	w.complaints(t)
}

// killTest is what the worker process is surrounded by.
type killTest struct {
	cfg             *config.Config
	cfgFile, binary string
	sim             *simulate.Simulation
	cluster         *stream.Cluster
	topics          stream.Topics
	registry        registryReader
}

// newKillTest starts the simulators, builds the binary, and creates the topics. Topics, groups and users are this run's
// own.
func newKillTest(t *testing.T, brokers []string, redis string) *killTest {
	t.Helper()
	dir := t.TempDir()
	sim, err := simulate.Start(simulate.Config{Dir: dir, APNs: true, FCM: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	k := &killTest{sim: sim, cfgFile: filepath.Join(dir, "config.yml"), binary: buildPushfleet(t, dir)}
	run := "kill" + strconv.FormatInt(time.Now().UnixNano(), 36)
	text := fmt.Sprintf(`
kafka: {brokers: [%[1]s], prefix: %[2]s-, start: earliest}
redis: {addrs: [%[3]q]}
topics: {replication: %[4]d}
default_app: %[2]s
apps:
  %[2]s:
    fcm: {style: data}
    credentials:
      ios: {platform: apns, key_file: %[5]q, key_id: %[6]s, team_id: %[7]s, bundle_id: %[8]s, environment: production}
      android: {platform: fcm, service_account_file: %[9]q}
apns: {endpoint: %[10]q, ca_file: %[12]q}
fcm: {endpoint: %[11]q, ca_file: %[12]q}
`, `"`+strings.Join(brokers, `", "`)+`"`, run, redis, min(len(brokers), 3), sim.KeyFile, simulate.KeyID, simulate.TeamID,
		simulate.BundleID, sim.ServiceAccountFile, sim.APNs.URL(), sim.FCM.URL(), sim.CAFile)
	if err := os.WriteFile(k.cfgFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if k.cfg, err = config.Load(k.cfgFile, fleet.Names()); err != nil {
		t.Fatal(err)
	}
	k.topics = stream.Topics{Prefix: k.cfg.Kafka.Prefix}
	k.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: brokers})
	t.Cleanup(k.cluster.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := k.cluster.Apply(ctx, fleet.Layout(k.cfg)); err != nil {
		t.Fatal(err)
	}
	reg, err := fleet.OpenRegistry(k.cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	k.registry = reg
	return k
}

// accepted counts the pushes that the simulators took, repeats included.
func (k *killTest) accepted() int {
	return k.sim.APNs.Control().Ledger.Counts().Accepted + k.sim.FCM.Control().Ledger.Counts().Accepted
}

// settled says which group has records left that it did not acknowledge.
func (k *killTest) settled(ctx context.Context) error {
	groups := map[string]string{"route": k.topics.Messages()}
	for _, p := range fleet.Names() {
		groups[string(fleet.RoleDeliver(p))] = k.topics.Work(p, "normal")
		for _, delay := range k.cfg.Retry.Delays {
			groups["retry-"+string(p)+"-"+stream.DelayName(delay)] = k.topics.Retry(p, delay)
		}
	}
	for group, topic := range groups {
		rows, err := k.cluster.Lag(ctx, fleet.Group(k.cfg, group), []string{topic})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Lag > 0 {
				return fmt.Errorf("group %s has %d records of %s/%d left", group, row.Lag, topic, row.Partition)
			}
		}
	}
	return nil
}

// publish writes messages, at a rate a second where that is not 0, until all are durable. Any goroutine may call it.
func (k *killTest) publish(t *testing.T, messages []stream.Message, rate float64) {
	pub := k.cluster.NewPublisher(stream.PublisherConfig{})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for made := 0; made < len(messages); {
		due := len(messages)
		if rate > 0 {
			due = min(due, int(time.Since(began).Seconds()*rate))
		}
		for ; made < due; made++ {
			pub.Publish(t.Context(), messages[made], func(err error) {
				if err != nil {
					t.Errorf("not produced: %v", err)
				}
			})
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			made = len(messages)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if err := pub.Close(ctx); err != nil {
		t.Error(err)
	}
}

// eventually polls until check returns nil.
func eventually(t *testing.T, limit, every time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
	}
}
