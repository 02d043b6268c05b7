package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/stream/kafkatest"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

const app = "soak"

// roles are those whose memory is watched, each in a process of its own.
var roles = []string{"route", "deliver-apns", "deliver-fcm", "retry", "devices", "report"}

// latency is what the simulators take for an answer.
const latency = "apns: {latency: 30ms}\nfcm: {latency: 30ms}\n"

// fleet is everything that runs.
type fleet struct {
	dir, config, pushctl string
	kafka                *kafkatest.Cluster
	redis                *redistest.Server
	sim                  *simulate.Simulation
	cluster              *stream.Cluster
	pub                  *stream.Publisher
	topics               stream.Topics
	workers              map[string]*exec.Cmd
	ended                chan error     // a worker's end
	running              sync.WaitGroup // the workers
}

func startFleet(ctx context.Context, o options) (_ *fleet, err error) {
	f := &fleet{pushctl: o.pushctl, workers: map[string]*exec.Cmd{}, ended: make(chan error, len(roles))}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return nil, err
	}
	if f.kafka, err = kafkatest.Start(ctx, kafkatest.Config{Nodes: 1}); err != nil {
		return nil, err
	}
	if f.redis, err = redistest.Start(ctx); err != nil {
		return nil, err
	}
	if f.sim, err = simulate.Start(simulate.Config{Dir: f.dir, APNs: true, FCM: true, CountOnly: true}); err != nil {
		return nil, err
	}
	if err := f.suffer(""); err != nil {
		return nil, err
	}
	if err := f.configure(); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, o.binary, "topics", "apply", "--config", f.config).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("topics apply: %w: %s", err, out)
	}
	f.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: f.kafka.Addrs()})
	f.pub = f.cluster.NewPublisher(stream.PublisherConfig{})
	for _, role := range roles {
		if err := f.start(ctx, o.binary, role); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// configure writes a configuration whose values are the defaults wherever that is possible.
func (f *fleet) configure() error {
	f.config = filepath.Join(f.dir, "config.yml")
	return os.WriteFile(f.config, fmt.Appendf(nil, `
kafka: {brokers: [%q], start: earliest}
redis: {addrs: [%q]}
default_app: %[3]s
apps:
  %[3]s:
    credentials:
      ios: {platform: apns, key_file: %[4]q, key_id: %[5]s, team_id: %[6]s, bundle_id: %[7]s}
      android: {platform: fcm, service_account_file: %[8]q, quota_per_minute: 600000}
apns: {endpoint: %[9]q, ca_file: %[11]q}
fcm: {endpoint: %[10]q, ca_file: %[11]q}
`, f.kafka.Addrs()[0], f.redis.Addr(), app, f.sim.KeyFile, simulate.KeyID, simulate.TeamID, simulate.BundleID, f.sim.ServiceAccountFile,
		f.sim.APNs.URL(), f.sim.FCM.URL(), f.sim.CAFile), 0o600)
}

// start starts one role.
func (f *fleet) start(ctx context.Context, binary, role string) error {
	log, err := os.Create(filepath.Join(f.dir, role+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, binary, "run", "--config", f.config, "--roles", role)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	f.workers[role] = cmd
	f.running.Go(func() { f.ended <- fmt.Errorf("%s ended: %w", role, cmd.Wait()) })
	return nil
}

// pass lets time pass; its error says that something ended that must not.
func (f *fleet) pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case err := <-f.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// suffer plays faults on both simulators; none where it is "".
func (f *fleet) suffer(script string) error {
	parsed, err := faults.Parse([]byte(latency + script))
	if err != nil {
		return err
	}
	for _, c := range f.controls() {
		if err := c.Faults.Put(parsed); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) controls() []*pushtest.Control {
	return []*pushtest.Control{f.sim.APNs.Control(), f.sim.FCM.Control()}
}

// accepted is how many pushes the simulators took, each counted once, and how many came again.
func (f *fleet) accepted() (once, again int64) {
	for _, c := range f.controls() {
		counts := c.Ledger.Counts()
		once += int64(counts.Accepted - counts.Again)
		again += int64(counts.Again)
	}
	return once, again
}

// operate runs pushctl.
func (f *fleet) operate(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, f.pushctl, append([]string{"--config", f.config}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pushctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// resident is the memory of a role, in bytes.
func (f *fleet) resident(role string) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(f.workers[role].Process.Pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, " kB")
	kb, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", role, err)
	}
	return kb << 10, nil
}

// stopLimit is what a worker has to end, by the contract.
const stopLimit = 15 * time.Second

// close ends everything.
func (f *fleet) close() {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Kill} {
		for _, cmd := range f.workers {
			_ = cmd.Process.Signal(signal) // fails only where it has ended
		}
		stopped := make(chan struct{})
		go func() { f.running.Wait(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(stopLimit):
		}
	}
	if f.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = f.pub.Close(ctx) // nothing waits for what it still holds
		f.cluster.Close()
	}
	var err error
	if f.sim != nil {
		err = f.sim.Close()
	}
	if f.redis != nil {
		f.redis.Close()
	}
	if f.kafka != nil {
		f.kafka.Close()
	}
	if err = errors.Join(err, os.RemoveAll(f.dir)); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
}
