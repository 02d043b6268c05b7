package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/api"
	"github.com/pushfleet/pushfleet/workers/deliver"
	"github.com/pushfleet/pushfleet/workers/devices"
	"github.com/pushfleet/pushfleet/workers/report"
	"github.com/pushfleet/pushfleet/workers/retry"
	"github.com/pushfleet/pushfleet/workers/route"
)

// What a waiting room of retry holds: its records wait for up to an hour, so they have bounds of their own and take
// nothing from the budget of the others.
const (
	waitingRecords = 2000
	waitingBytes   = 4 << 20
	waitingDrain   = time.Second // nothing of it runs for long
)

func (f *fleet) route() error {
	hold := &freshness{limit: f.cfg.Presence.MaxLag, head: func(ctx context.Context) ([]stream.Head, error) {
		return f.cluster.Head(ctx, f.group("devices"), f.topics.Presence())
	}}
	hold.set(errors.New("presence was not looked at yet"))
	f.workers = append(f.workers, hold.run)
	f.health.Add("presence", hold.check)
	r := route.New(route.Config{Topics: f.topics, DefaultApp: f.cfg.DefaultApp, Apps: Policies(f.cfg), Platforms: f.served(),
		Retry: f.policy, MaxAge: f.cfg.Kafka.MaxAge, Now: time.Now, Hold: hold.check}, f.reg, f.cluster, f.pub, f.recorder, f.log.Named("route"))
	start := stream.StartLatest
	if f.cfg.Kafka.Start == config.StartEarliest {
		start = stream.StartEarliest
	}
	return f.source(RoleRoute, stream.SourceConfig{Group: "route", Lanes: []stream.Lane{{Topics: []string{f.topics.Messages()}}},
		Start: map[string]stream.Start{f.topics.Messages(): start}, Budget: f.budget, DrainTimeout: drainTimeout}, r.Handle)
}

// served is the set of platforms.
func (f *fleet) served() map[push.Platform]bool {
	served := make(map[push.Platform]bool, len(f.platforms))
	for _, p := range f.platforms {
		served[p] = true
	}
	return served
}

func (f *fleet) deliver(p push.Platform) error {
	driver := f.drivers[p]
	if driver == nil {
		return fmt.Errorf("no such platform: %s", p)
	}
	d := deliver.New(deliver.Config{Platform: p, Topics: f.topics, Owner: f.owner, Policy: f.policy, SendTimeout: 10 * time.Second,
		Concurrency: 1000, Share: f.cfg.Limits.InFlight / 2, Now: time.Now,
		Serves: func(p push.Platform) bool { return f.drivers[p] != nil },
		Known:  func(app, name string) bool { return f.knownCredential(app, p, name) }, Observe: f.attempted},
		f.reg, driver.Sender, f.pub, f.recorder, f.log.Named(string(RoleDeliver(p))))
	f.workers = append(f.workers, d.Run)
	var lanes []stream.Lane
	for _, l := range push.Lanes {
		lanes = append(lanes, stream.Lane{Topics: []string{f.topics.Work(p, l)}, Weight: f.cfg.Lanes[l]})
	}
	return f.source(RoleDeliver(p), stream.SourceConfig{Group: string(RoleDeliver(p)), Lanes: lanes, Budget: f.budget,
		MaxRecords: f.cfg.Limits.InFlight, DrainTimeout: drainTimeout}, d.Handle)
}

func (f *fleet) retry() error {
	for _, p := range f.platforms {
		for _, delay := range f.cfg.Retry.Delays {
			name := "retry-" + string(p) + "-" + stream.DelayName(delay)
			if err := f.waitingRoom(p, name, f.topics.Retry(p, delay), delay); err != nil {
				return err
			}
		}
		if err := f.waitingRoom(p, "parked-"+string(p), f.topics.Parked(p), f.cfg.Retry.Park); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) waitingRoom(p push.Platform, name, topic string, delay time.Duration) error {
	r := retry.New(retry.Config{Topics: f.topics, Platform: p, Delay: delay, Policy: f.policy, Now: time.Now},
		f.pub, f.recorder, f.log.Named(name))
	f.workers = append(f.workers, r.Run)
	return f.source(RoleRetry, stream.SourceConfig{Group: name, Lanes: []stream.Lane{{Topics: []string{topic}}},
		MaxRecords: waitingRecords, MaxBytes: waitingBytes, PartitionWindow: waitingRecords / 2, DrainTimeout: waitingDrain}, r.Handle)
}

func (f *fleet) devices() error {
	rebuilder := devices.NewRebuilder(f.reg, f.cluster, f.devicesConfig(), f.owner, f.log.Named("rebuild"))
	f.workers = append(f.workers, rebuilder.Run)
	d := devices.New(f.devicesConfig(), f.reg, f.pub, f.recorder, f.log.Named("devices"))
	return f.source(RoleDevices, stream.SourceConfig{Group: "devices", Lanes: []stream.Lane{{Topics: []string{f.topics.Devices(), f.topics.Presence(), f.topics.Groups(), f.topics.Receipts()}}},
		Budget: f.budget, DrainTimeout: drainTimeout}, d.Handle)
}

func (f *fleet) devicesConfig() devices.Config {
	return devices.Config{Topics: f.topics, Apps: Apps(f.cfg), Platforms: f.served(), CheckToken: f.CheckToken,
		RetryDelay: f.cfg.Retry.Delays[0], Now: time.Now}
}

func (f *fleet) report() error {
	r := report.New(f.reg, f.log.Named("report"))
	return f.source(RoleReport, stream.SourceConfig{Group: "report", Lanes: []stream.Lane{{Topics: []string{f.topics.Events()}}},
		Budget: f.budget, DrainTimeout: drainTimeout}, r.Handle)
}

func (f *fleet) api() error {
	ln := f.opts.APIListener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", f.cfg.API.Listen); err != nil {
			return fmt.Errorf("api.listen: %w", err)
		}
	}
	apps := Apps(f.cfg)
	server, err := api.New(api.Options{Topics: f.topics, DefaultApp: f.cfg.DefaultApp, TokensFile: f.cfg.API.TokensFile,
		Publisher: f.pub, Registry: f.reg, KnownApp: func(app string) bool { return apps[app] },
		KnownCredential: f.knownCredential, CheckToken: f.CheckToken, Health: f.health.Alive(), Ready: f.health.Ready(), Metrics: f.metrics.Handler(),
		ShutdownTimeout: drainTimeout, Registerer: f.metrics.Registerer(), Logger: f.log.Named("api")})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	f.sources = append(f.sources, func(ctx context.Context) error { return server.Run(ctx, ln) })
	return nil
}

// freshness says whether presence is fresh enough to decide: the oldest presence event that devices has not applied is
// no older than the limit.
type freshness struct {
	limit time.Duration
	head  func(context.Context) ([]stream.Head, error)
	state atomic.Pointer[error] // nil error inside: fresh
}

// freshnessEvery is how often it looks; together with the commit interval it is far below the limit's default of 2 s.
const freshnessEvery = 250 * time.Millisecond

func (h *freshness) set(err error) { h.state.Store(&err) }

func (h *freshness) check(context.Context) error { return *h.state.Load() }

func (h *freshness) run(ctx context.Context) {
	tick := time.NewTicker(freshnessEvery)
	defer tick.Stop()
	for {
		h.set(h.look(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *freshness) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	heads, err := h.head(ctx)
	if err != nil {
		return fmt.Errorf("lag of presence events is unknown: %w", err)
	}
	for _, p := range heads {
		if p.Oldest.IsZero() {
			continue
		}
		if age := time.Since(p.Oldest); age > h.limit {
			return fmt.Errorf("presence event of partition %d unread for %s", p.Partition, age.Round(time.Millisecond))
		}
	}
	return nil
}
