package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/api"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/devices"
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

const (
	fanoutBatch    = 4 // a record of push.fanout stands for about 1,000 members
	presenceWeight = 4 // of device events, beside memberships and receipts
)

// route adds the role's three sources: messages, the parts of big groups, and recalls.
func (f *fleet) route() error {
	presence, memberships := f.presence(), f.freshness(f.topics.Groups())
	r := route.New(route.Config{Topics: f.topics, DefaultApp: f.cfg.DefaultApp, Apps: Policies(f.cfg), Platforms: f.served(),
		Retry: f.policy, MaxAge: f.cfg.Kafka.MaxAge, Now: time.Now, Hold: presence.check, HoldGroups: memberships.check},
		f.reg, f.cluster, f.pub, f.recorder, f.log.Named("route"))
	start := stream.StartLatest
	if f.cfg.Kafka.Start == config.StartEarliest {
		start = stream.StartEarliest
	}
	return errors.Join(
		f.source(RoleRoute, f.bounded(stream.SourceConfig{Group: "route", Lanes: lane(f.topics.Messages()),
			Start: map[string]stream.Start{f.topics.Messages(): start}}), r.Handle),
		f.source(RoleRoute, f.bounded(stream.SourceConfig{Group: "fanout", Lanes: lane(f.topics.Fanout()), BatchRecords: fanoutBatch}), r.HandleFanout),
		f.source(RoleRoute, f.bounded(stream.SourceConfig{Group: "recall", Lanes: lane(f.topics.Receipts())}), r.HandleReceipts))
}

// presence watches the events of presence, once for all roles of the process that judge by it.
func (f *fleet) presence() *freshness {
	if f.fresh == nil {
		f.fresh = f.freshness(f.topics.Presence())
		f.health.Add("presence", f.fresh.check)
	}
	return f.fresh
}

// freshness watches what devices has not applied yet of a topic.
func (f *fleet) freshness(topic string) *freshness {
	h := newFreshness(f.cfg.Presence.MaxLag, topic, func(ctx context.Context) ([]stream.Head, error) {
		return f.cluster.Head(ctx, f.group("devices"), topic)
	})
	f.workers = append(f.workers, h.run)
	return h
}

// lane is a source's only lane.
func lane(topics ...string) []stream.Lane { return []stream.Lane{{Topics: topics}} }

// served is the set of platforms.
func (f *fleet) served() map[push.Platform]bool {
	served := make(map[push.Platform]bool, len(f.platforms))
	for _, p := range f.platforms {
		served[p] = true
	}
	return served
}

func (f *fleet) retry() error {
	for _, p := range f.platforms {
		for _, delay := range f.cfg.Retry.Delays {
			name := "retry-" + string(p) + "-" + stream.DelayName(delay)
			if err := f.waitingRoom(p, name, f.topics.Retry(p, delay), delay); err != nil {
				return err
			}
		}
		if err := f.parked(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) waitingRoom(p push.Platform, name, topic string, delay time.Duration) error {
	r := retry.New(retry.Config{Topics: f.topics, Platform: p, Delay: delay, Policy: f.policy, Now: time.Now},
		f.pub, f.recorder, f.log.Named(name))
	f.workers = append(f.workers, r.Run)
	return f.source(RoleRetry, f.waiting(name, topic), r.Handle)
}

func (f *fleet) parked(p push.Platform) error {
	name, topic := "parked-"+string(p), f.topics.Parked(p)
	r := retry.NewParked(retry.ParkedConfig{Topics: f.topics, Platform: p, Sweep: f.cfg.Retry.Park, Now: time.Now,
		Ends: func(ctx context.Context) (map[int32]int64, error) { return f.cluster.Ends(ctx, topic) }},
		f.pub, f.recorder, f.log.Named(name))
	f.board.OnChange(func(c control.Change) {
		if c.Kind != control.Paused && (c.Platform == "" || c.Platform == p) {
			r.Return(c.Target)
		}
	})
	f.workers = append(f.workers, r.Run)
	return f.source(RoleRetry, f.waiting(name, topic), r.Handle)
}

// waiting is the source of a topic whose records wait.
func (f *fleet) waiting(group, topic string) stream.SourceConfig {
	return stream.SourceConfig{Group: group, Lanes: lane(topic), MaxRecords: waitingRecords, MaxBytes: waitingBytes,
		PartitionWindow: waitingRecords / 2, DrainTimeout: min(waitingDrain, f.end.drain)}
}

func (f *fleet) devices() error {
	cfg := devices.Config{Topics: f.topics, Apps: Apps(f.cfg), Platforms: f.served(), CheckToken: f.CheckToken, KnownCredential: f.knownCredential,
		RetryDelay: f.cfg.Retry.Delays[0], Now: time.Now}
	rebuilder := devices.NewRebuilder(f.reg, f.cluster, cfg, f.owner, f.log.Named("rebuild"))
	f.workers = append(f.workers, rebuilder.Run)
	d := devices.New(cfg, f.reg, f.pub, f.recorder, f.log.Named("devices"))
	f.workers = append(f.workers, d.Run)
	// Messages wait for presence: it goes first where a group is imported or a chat is read at length.
	lanes := []stream.Lane{
		{Topics: []string{f.topics.Devices(), f.topics.Presence()}, Weight: presenceWeight},
		{Topics: []string{f.topics.Groups()}},
		{Topics: []string{f.topics.Receipts()}},
	}
	return f.source(RoleDevices, f.bounded(stream.SourceConfig{Group: "devices", Lanes: lanes}), d.Handle)
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
		Publisher: f.pub, Registry: f.reg, Timeline: f.line, KnownApp: func(app string) bool { return apps[app] },
		KnownCredential: f.knownCredential, CheckToken: f.CheckToken, Health: f.health.Alive(), Ready: f.health.Ready(), Metrics: f.metrics.Handler(),
		ShutdownTimeout: f.end.drain, Registerer: f.metrics.Registerer(), Logger: f.log.Named("api")})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	f.sources = append(f.sources, func(ctx context.Context) error { return server.Run(ctx, ln) })
	return nil
}
