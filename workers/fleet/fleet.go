// Package fleet is the wiring: a configuration and a set of roles flow in, a running process flows out. Every role is a
// source of records, what works on them, and what it publishes; roles share one Kafka client, one publisher, one
// registry and one budget of records in flight, and meet only in topics. It promises an ordered start that waits for
// nothing outside, a stop in two phases (stop reading and finish, then give up), and that Run leaves no goroutine
// behind.
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/workers/outcome"
	"github.com/pushfleet/pushfleet/workers/route"
)

// Options says what a process runs.
type Options struct {
	Config *config.Config
	Roles  []Role
	Logger *zap.Logger
	// APIListener serves the api role instead of Config.API.Listen; nil = listen there.
	APIListener net.Listener
	OnReady     func() // called once, when every check of readiness passed for the first time; nil = nothing
}

// fleet is one running process.
type fleet struct {
	opts      Options
	cfg       *config.Config
	log       *zap.Logger
	owner     string
	topics    stream.Topics
	platforms []push.Platform
	drivers   map[push.Platform]push.Driver
	policy    outcome.Policy

	cluster  *stream.Cluster
	pub      *stream.Publisher
	reg      *registry.Registry
	recorder *outcome.Recorder
	budget   *stream.Budget
	metrics  *telemetry.Metrics
	health   *telemetry.Health

	sources []func(context.Context) error // phase one of a stop ends these
	workers []func(context.Context)       // phase two ends these
}

// drainTimeout bounds how long a role finishes what it has read when it stops or loses a partition: half of the session
// time-out, within which the group still takes the last commit.
const drainTimeout = 5 * time.Second

// publisherClose bounds what the publisher still writes at the end.
const publisherClose = 2 * time.Second

// Run runs the roles until ctx ends, then stops them and returns nil. Kafka and Redis may be away at the start and at
// any time later. Its error says what in the configuration, a file or a listener is wrong.
func Run(ctx context.Context, opts Options) error {
	f := &fleet{opts: opts, cfg: opts.Config, log: opts.Logger, owner: owner(), topics: stream.Topics{Prefix: opts.Config.Kafka.Prefix},
		policy: outcome.Policy{Delays: opts.Config.Retry.Delays, MaxAttempts: opts.Config.Retry.MaxAttempts}}
	defer f.close()
	if err := f.open(); err != nil {
		return err
	}
	if err := f.wire(); err != nil {
		return err
	}
	return f.run(ctx)
}

// owner names this process in leases: unique, so that a restarted process does not take its own old lease for its own.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var unique [6]byte
	if _, err := rand.Read(unique[:]); err != nil {
		panic("no randomness: " + err.Error())
	}
	return host + "-" + hex.EncodeToString(unique[:])
}

// open makes what the roles share. Nothing of it waits for a server.
func (f *fleet) open() error {
	var err error
	if f.drivers, err = Drivers(f.cfg, time.Now); err != nil {
		return err
	}
	f.platforms = Names()
	f.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: f.cfg.Kafka.Brokers, Logger: f.log.Named("kafka")})
	f.pub = f.cluster.NewPublisher(stream.PublisherConfig{})
	if f.reg, err = OpenRegistry(f.cfg, f.log.Named("registry")); err != nil {
		return err
	}
	f.budget = stream.NewBudget(int(f.cfg.Limits.InFlightBytes), f.cfg.Limits.InFlight)
	f.metrics = telemetry.NewMetrics()
	f.health = telemetry.NewHealth()
	f.health.Add("kafka", f.cluster.Ready)
	f.health.Add("redis", f.reg.Ready)
	f.metrics.WatchPublisher("main", func() telemetry.PublisherState { return publisherState(f.pub) })
	f.recorder = outcome.NewRecorder(f.pub, f.topics.Events(), f.eventPartitions, f.observe)
	f.workers = append(f.workers, f.recorder.Run)
	return nil
}

// Drivers opens every platform's driver from the configuration; no file and no connection is opened.
func Drivers(cfg *config.Config, now func() time.Time) (map[push.Platform]push.Driver, error) {
	drivers := map[push.Platform]push.Driver{}
	var errs []error
	for _, kind := range Platforms() {
		d, err := kind.Open(cfg.Settings(kind.Platform, now))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		drivers[kind.Platform] = d
	}
	if len(errs) > 0 {
		for _, d := range drivers {
			errs = append(errs, d.Close())
		}
		return nil, errors.Join(errs...)
	}
	return drivers, nil
}

// OpenRegistry opens the registry as configured.
func OpenRegistry(cfg *config.Config, log *zap.Logger) (*registry.Registry, error) {
	password := ""
	if cfg.Redis.PasswordFile != "" {
		text, err := os.ReadFile(cfg.Redis.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("redis.password_file: %w", err)
		}
		password = strings.TrimSpace(string(text))
	}
	opts := RegistryOptions(cfg)
	opts.Logger = log
	return registry.Open(registry.Config{Addrs: cfg.Redis.Addrs, TLS: cfg.Redis.TLS, Username: cfg.Redis.Username, Password: password}, opts)
}

// RegistryOptions are the registry's limits as configured.
func RegistryOptions(cfg *config.Config) registry.Options {
	return registry.Options{Now: time.Now, ForegroundLease: cfg.Presence.ForegroundLease, ActivityLimit: cfg.Presence.ActivityLimit}
}

// Apps is the set of configured apps.
func Apps(cfg *config.Config) map[string]bool {
	apps := make(map[string]bool, len(cfg.Apps))
	for name := range cfg.Apps {
		apps[name] = true
	}
	return apps
}

// Policies says what each configured app decides for its messages.
func Policies(cfg *config.Config) map[string]route.Policy {
	apps := make(map[string]route.Policy, len(cfg.Apps))
	for name := range cfg.Apps {
		apps[name] = route.Policy{}
	}
	return apps
}

// knownCredential says whether an app has a credential of that name on that platform.
func (f *fleet) knownCredential(app string, p push.Platform, name string) bool {
	c, ok := f.cfg.Apps[app].Credentials[name]
	return ok && c.Platform == p
}

// CheckToken says what is wrong with a token of a platform, without quoting it.
func (f *fleet) CheckToken(p push.Platform, token string) error {
	d := f.drivers[p]
	if d == nil {
		return fmt.Errorf("platform is not one of %v", f.platforms)
	}
	if err := d.CheckToken(token); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// eventPartitions waits until Kafka says how many partitions the events have, or ctx ends.
func (f *fleet) eventPartitions(ctx context.Context) (int, error) {
	for {
		n, err := f.cluster.Partitions(ctx, f.topics.Events())
		if err == nil {
			return n, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// wire adds the roles' sources and workers.
func (f *fleet) wire() error {
	for _, role := range f.opts.Roles {
		var err error
		switch role {
		case RoleRoute:
			err = f.route()
		case RoleRetry:
			err = f.retry()
		case RoleDevices:
			err = f.devices()
		case RoleReport:
			err = f.report()
		case RoleAPI:
			err = f.api()
		default:
			err = f.deliver(push.Platform(strings.TrimPrefix(string(role), "deliver-")))
		}
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	if !slices.Contains(f.opts.Roles, RoleAPI) {
		return f.listenHealth()
	}
	return nil
}

// source adds a source of records with its handler.
func (f *fleet) source(role Role, cfg stream.SourceConfig, handle func(context.Context, []*stream.Record)) error {
	cfg.Group = f.group(cfg.Group)
	s, err := f.cluster.NewSource(cfg)
	if err != nil {
		return err
	}
	f.health.Add("source "+cfg.Group, func(context.Context) error { return s.Ready() })
	f.metrics.WatchSource(string(role), cfg.Group, func() telemetry.SourceState { return sourceState(s) })
	f.sources = append(f.sources, func(ctx context.Context) error { return s.Run(ctx, f.counted(role, handle)) })
	return nil
}

// group is the name of a consumer group.
func (f *fleet) group(role string) string { return Group(f.cfg, role) }

// Group is the name of a consumer group as configured.
func Group(cfg *config.Config, role string) string {
	return cfg.Kafka.Prefix + cfg.Kafka.Group + "." + role
}

// run starts everything and waits for the end of ctx, or of something that must not end.
func (f *fleet) run(ctx context.Context) error {
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()

	var sources, workers sync.WaitGroup
	for _, w := range f.workers {
		workers.Go(func() { w(working) })
	}
	for _, s := range f.sources {
		sources.Go(func() {
			if err := s(reading); err != nil {
				stopReading(err)
			}
		})
	}
	if f.opts.OnReady != nil {
		workers.Go(func() { f.awaitReady(working) })
	}
	f.log.Info("running", zap.Any("roles", f.opts.Roles))
	<-reading.Done()
	f.log.Info("stopping", zap.Duration("grace", f.cfg.Shutdown.Grace))
	sources.Wait()
	stopWorking()
	workers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(reading)
}

// close closes what was opened, in the reverse order.
func (f *fleet) close() {
	ctx, cancel := context.WithTimeout(context.Background(), publisherClose)
	defer cancel()
	if f.pub != nil {
		if err := f.pub.Close(ctx); err != nil {
			f.log.Warn("not everything was written at the end; it is read again", zap.Error(err))
		}
	}
	for p, d := range f.drivers {
		if err := d.Close(); err != nil {
			f.log.Warn("platform closed with an error", zap.String("platform", string(p)), zap.Error(err))
		}
	}
	if f.reg != nil {
		if err := f.reg.Close(); err != nil {
			f.log.Warn("registry closed with an error", zap.Error(err))
		}
	}
	if f.cluster != nil {
		f.cluster.Close()
	}
}

// listenHealth serves health and metrics of a process without the api role.
func (f *fleet) listenHealth() error {
	if f.cfg.Health.Listen == "" {
		return nil
	}
	ln, err := net.Listen("tcp", f.cfg.Health.Listen)
	if err != nil {
		return fmt.Errorf("health.listen: %w", err)
	}
	server := &http.Server{Handler: telemetry.Mux(f.health, f.metrics), ReadHeaderTimeout: 5 * time.Second, ErrorLog: zap.NewStdLog(f.log)}
	f.workers = append(f.workers, func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("health listener ended", zap.Error(err))
		}
	})
	return nil
}

// awaitReady calls OnReady once everything is ready.
func (f *fleet) awaitReady(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for f.health.Check(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	f.opts.OnReady()
}

// Layout says which topics a configuration needs.
func Layout(cfg *config.Config) stream.Layout {
	return stream.Layout{Topics: stream.Topics{Prefix: cfg.Kafka.Prefix}, Platforms: Names(), Delays: cfg.Retry.Delays,
		Partitions: cfg.Topics.Partitions, Replication: cfg.Topics.Replication}
}

// CheckFiles says which files of the configuration, apart from the platforms' own, are missing or unreadable.
func CheckFiles(cfg *config.Config) error {
	var errs []error
	for path, name := range map[string]string{"api.tokens_file": cfg.API.TokensFile, "redis.password_file": cfg.Redis.PasswordFile} {
		if name == "" {
			continue
		}
		if _, err := os.ReadFile(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// HealthURL is where a running process of this configuration answers /healthz: the api role's listener, or the one for
// health alone where that is silent.
func HealthURL(ctx context.Context, cfg *config.Config) (string, error) {
	for _, addr := range []string{cfg.API.Listen, cfg.Health.Listen} {
		if addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return "", fmt.Errorf("listen address %s: %w", addr, err)
		}
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			continue
		}
		return "http://" + net.JoinHostPort(host, port) + "/healthz", conn.Close()
	}
	return "", errors.New("nothing answers at api.listen nor at health.listen")
}
