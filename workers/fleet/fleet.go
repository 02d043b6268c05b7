// Package fleet is the wiring: a configuration and a set of roles flow in, a running process flows out. Every role is a
// source of records, what works on them, and what it publishes; roles share one Kafka client, one publisher, one
// registry and a budget of records in flight, and meet only in topics. It promises an ordered start that waits for nothing
// outside, a stop in two phases (stop reading and finish, then give up) within the configured grace, and that Run leaves
// no goroutine behind but one that hangs past it.
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Options says what a process runs.
type Options struct {
	Config *config.Config
	Roles  []Role
	Logger *zap.Logger
	// APIListener serves the api role instead of Config.API.Listen; nil = listen there.
	APIListener net.Listener
	// PlatformsNow is the clock by which provider tokens and credentials age; nil = time.Now. Everything else keeps the
	// true time.
	PlatformsNow func() time.Time
	OnReady      func() // called once, when every check of readiness passed for the first time; nil = nothing
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
	line     *timeline.Timeline
	recorder *outcome.Recorder
	board    *control.Board
	fresh    *freshness     // of presence; nil where no role needs it
	share    share          // of each deliver role, and of all the others together
	budget   *stream.Budget // of the others
	metrics  *telemetry.Metrics
	health   *telemetry.Health

	end     ending
	sources []func(context.Context) error // phase one of a stop ends these
	workers []func(context.Context)       // phase two ends these
	writers []func(context.Context)       // and then these, which write down what the workers did last
}

// Run runs the roles until ctx ends, then stops them and returns nil, at the latest when the configured grace is over:
// what hangs then is left behind, for the process is about to end. Kafka and Redis may be away at the start and at any
// time later. Its error says what in the configuration, a file or a listener is wrong.
func Run(ctx context.Context, opts Options) error {
	f := &fleet{opts: opts, cfg: opts.Config, log: opts.Logger, owner: owner(), topics: stream.Topics{Prefix: opts.Config.Kafka.Prefix},
		policy: outcome.Policy{Delays: opts.Config.Retry.Delays, MaxAttempts: opts.Config.Retry.MaxAttempts},
		end:    newEnding(opts.Config.Shutdown.Grace)}
	err := f.open()
	if err == nil {
		err = f.wire()
	}
	if err != nil {
		f.close()
		return err
	}
	return f.run(ctx)
}

// platformsNow is the platforms' clock.
func (f *fleet) platformsNow() func() time.Time {
	if f.opts.PlatformsNow == nil {
		return time.Now
	}
	return f.opts.PlatformsNow
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
	f.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: f.cfg.Kafka.Brokers, Logger: f.log.Named("kafka")})
	f.pub = f.cluster.NewPublisher(stream.PublisherConfig{})
	if f.drivers, err = openDrivers(f.cfg, f.platformsNow(), f.offline); err != nil {
		return err
	}
	f.platforms = Names()
	if f.reg, err = OpenRegistry(f.cfg, f.log.Named("registry")); err != nil {
		return err
	}
	if f.line, err = OpenTimeline(f.cfg); err != nil {
		return err
	}
	f.share = shareOf(f.cfg.Limits, f.opts.Roles)
	f.budget = stream.NewBudget(f.share.bytes, f.share.records)
	f.metrics = telemetry.NewMetrics()
	f.health = telemetry.NewHealth()
	f.health.Add("kafka", f.cluster.Ready)
	f.health.Add("publisher", func(context.Context) error { return f.pub.Ready() })
	f.health.Add("redis", f.reg.Ready)
	f.metrics.WatchPublisher("main", func() telemetry.PublisherState { return publisherState(f.pub) })
	f.board = control.NewBoard(f.cluster, f.topics, f.log.Named("control"))
	f.recorder = outcome.NewRecorder(f.pub, f.topics.Events(), f.eventPartitions, f.observe)
	f.writers = append(f.writers, f.recorder.Run)
	return nil
}

// OpenRegistry opens the registry as configured.
func OpenRegistry(cfg *config.Config, log *zap.Logger) (*registry.Registry, error) {
	server, err := redisOf(cfg.Redis, "redis")
	if err != nil {
		return nil, err
	}
	opts := RegistryOptions(cfg)
	opts.Logger = log
	return registry.Open(server, opts)
}

// OpenTimeline opens the timeline as configured, in a Redis of its own or in the registry's.
func OpenTimeline(cfg *config.Config) (*timeline.Timeline, error) {
	where, path := cfg.Timeline.Redis, "timeline.redis"
	if len(where.Addrs) == 0 {
		where, path = cfg.Redis, "redis"
	}
	server, err := redisOf(where, path)
	if err != nil {
		return nil, err
	}
	return timeline.Open(server, timeline.Options{TTL: cfg.Timeline.TTL, Bytes: int64(cfg.Timeline.Bytes),
		MessageBytes: int(cfg.Timeline.MessageBytes), Sample: cfg.Timeline.Sample})
}

// redisOf reads the password of a Redis; path is where it stands in the configuration.
func redisOf(cfg config.Redis, path string) (registry.Config, error) {
	server := registry.Config{Addrs: cfg.Addrs, TLS: cfg.TLS, Username: cfg.Username}
	if cfg.PasswordFile == "" {
		return server, nil
	}
	text, err := os.ReadFile(cfg.PasswordFile)
	if err != nil {
		return server, fmt.Errorf("%s.password_file: %w", path, err)
	}
	server.Password = strings.TrimSpace(string(text))
	return server, nil
}

// RegistryOptions are the registry's limits as configured.
func RegistryOptions(cfg *config.Config) registry.Options {
	return registry.Options{Now: time.Now, ForegroundLease: cfg.Presence.ForegroundLease, ActivityLimit: cfg.Presence.ActivityLimit}
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
			err = f.deliver(push.Platform(strings.TrimPrefix(string(role), deliverPrefix)))
		}
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	if slices.ContainsFunc(f.opts.Roles, Role.obeys) {
		f.workers = append(f.workers, f.board.Run)
		f.health.Add("control", f.board.Ready)
	}
	if !slices.Contains(f.opts.Roles, RoleAPI) {
		return f.listenHealth()
	}
	return nil
}

// source adds a source of records with its handler.
func (f *fleet) source(role Role, cfg stream.SourceConfig, handle func(context.Context, []*stream.Record)) error {
	s, err := f.newSource(cfg)
	if err == nil {
		f.read(role, s, cfg.Group, handle)
	}
	return err
}

// newSource makes a source that nobody reads yet.
func (f *fleet) newSource(cfg stream.SourceConfig) (*stream.Source, error) {
	cfg.Group = f.group(cfg.Group)
	return f.cluster.NewSource(cfg)
}

// read adds a source with its handler; group is that of its configuration.
func (f *fleet) read(role Role, s *stream.Source, group string, handle func(context.Context, []*stream.Record)) {
	group = f.group(group)
	f.health.Add("source "+group, func(context.Context) error { return s.Ready() })
	f.metrics.WatchSource(string(role), group, func() telemetry.SourceState { return sourceState(s) })
	f.sources = append(f.sources, func(ctx context.Context) error { return s.Run(ctx, f.counted(role, handle)) })
}

// group is the name of a consumer group.
func (f *fleet) group(role string) string { return Group(f.cfg, role) }

// Group is the name of a consumer group as configured.
func Group(cfg *config.Config, role string) string {
	return cfg.Kafka.Prefix + cfg.Kafka.Group + "." + role
}

// Layout says which topics a configuration needs.
func Layout(cfg *config.Config) stream.Layout {
	return stream.Layout{Topics: stream.Topics{Prefix: cfg.Kafka.Prefix}, Platforms: Names(), Delays: cfg.Retry.Delays,
		Partitions: cfg.Topics.Partitions, Replication: cfg.Topics.Replication}
}

// CheckFiles says which files of the configuration, apart from the platforms' own, are missing or unreadable.
func CheckFiles(cfg *config.Config) error {
	var errs []error
	files := map[string]string{"api.tokens_file": cfg.API.TokensFile, "redis.password_file": cfg.Redis.PasswordFile,
		"timeline.redis.password_file": cfg.Timeline.Redis.PasswordFile}
	for name, app := range cfg.Apps {
		files["apps."+name+".callback.secret_file"], files["apps."+name+".callback.ca_file"] = app.Callback.SecretFile, app.Callback.CAFile
	}
	for path, name := range files {
		if name == "" {
			continue
		}
		if _, err := os.ReadFile(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}
