// Package devices keeps the registry true. What the IM says of devices, users, groups and of messages that were seen
// flows in (im.devices, im.presence, im.groups, im.receipts); each record is applied to Redis. Out flow the full state of
// every binding and of every user's settings that it concerned, to push.registry, and corrections of badges after a read
// receipt, to a retry topic; what cannot be read goes to the dead topic with its bytes untouched.
//
// It promises that a record is acknowledged only when the registry holds its effect and what follows from it is durable,
// so that Redis can be rebuilt from push.registry and im.groups alone, that records of one key take effect in their
// order, and that repeated and late ones are harmless. Where Redis turns out empty because it lost its data, devices
// rebuilds it; until then the others hold.
package devices

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Registry is where records are applied; *registry.Registry is one. A call is repeated after an error, with the same
// values in the same order.
type Registry interface {
	Views
	Receipts
	Kept
}

// Views applies what the IM says of devices, users and groups.
type Views interface {
	Apply(ctx context.Context, events []registry.DeviceEvent) ([]registry.Applied, error)
	ApplyMemberships(ctx context.Context, memberships []registry.Membership) error
}

// Receipts applies what became of messages.
type Receipts interface {
	Read(ctx context.Context, receipts []registry.Receipt) ([]registry.Sync, error)
	Acknowledge(ctx context.Context, receipts []registry.Receipt) error
}

// Events records outcomes; *outcome.Recorder is one.
type Events interface {
	Record(ctx context.Context, e *schemasv1.Event, done func(error))
}

// Config is what devices needs to know. All of it is read-only.
type Config struct {
	Topics stream.Topics
	Apps   map[string]bool
	// Platforms are those that this fleet serves.
	Platforms map[push.Platform]bool
	// CheckToken says what is wrong with a token of a platform, without quoting it.
	CheckToken func(p push.Platform, token string) error
	// KnownCredential says whether an app has a credential of that name on that platform.
	KnownCredential func(app string, p push.Platform, name string) bool
	// RetryDelay is the first of the retry delays: the topic in which corrections of badges wait.
	RetryDelay time.Duration
	Now        func() time.Time
}

// Devices is the role. Handle is called by one goroutine.
type Devices struct {
	cfg    Config
	reg    Registry
	pub    outcome.Publisher
	events Events
	log    *zap.Logger
	keeper *keeper
}

// New returns a Devices. Run has to be running for its records to be acknowledged.
func New(cfg Config, reg Registry, pub outcome.Publisher, events Events, log *zap.Logger) *Devices {
	return &Devices{cfg: cfg, reg: reg, pub: pub, events: events, log: log, keeper: newKeeper(reg, log)}
}

// Run acknowledges what Handle has written until ctx ends. It has to end after Handle's last call.
func (d *Devices) Run(ctx context.Context) { d.keeper.run(ctx) }

// Handle applies a batch, the records of each kind together and in order. It returns when what follows was handed to the
// publisher, or when ctx ended.
func (d *Devices) Handle(ctx context.Context, batch []*stream.Record) {
	var events kind[registry.DeviceEvent]
	var memberships kind[registry.Membership]
	var reads, acknowledged kind[registry.Receipt]
	for _, rec := range batch {
		j := job{rec, outcome.NewPending(rec.Ack, func(err error) { d.left(rec, err) })}
		var err error
		switch rec.Topic {
		case d.cfg.Topics.Groups():
			err = read(&memberships, j, ReadMembership, d.cfg)
		case d.cfg.Topics.Receipts():
			var r registry.Receipt
			if r, err = ReadReceipt(rec, d.cfg); err != nil {
				break
			}
			switch r.Kind {
			case registry.ReceiptRead:
				reads.add(r, j)
			case registry.ReceiptAcknowledged:
				acknowledged.add(r, j)
			default: // route's and report's
				j.pending.Done(nil)
			}
		default:
			err = read(&events, j, readEvent, d.cfg)
		}
		if err != nil {
			d.dead(ctx, j, err)
		}
	}
	apply(ctx, d, events, d.applyEvents)
	apply(ctx, d, memberships, d.applyMemberships)
	apply(ctx, d, reads, d.applyReads)
	apply(ctx, d, acknowledged, d.applyAcknowledged)
}

func (d *Devices) applyEvents(ctx context.Context, events []registry.DeviceEvent, jobs []job) error {
	generation := d.keeper.now()
	applied, err := d.reg.Apply(ctx, events)
	if err != nil {
		return err
	}
	w := written{generation: generation}
	var of []job // whose states are written
	for i, a := range applied {
		w.states = append(w.states, a.States...)
		if len(a.States) > 0 || a.Settings != nil {
			of = append(of, jobs[i])
		}
		// Every event of a user in a batch carries the same settings, which may be 300 KB, and are written once.
		if a.Settings != nil && !slices.Contains(w.users, a.Settings) {
			w.users = append(w.users, a.Settings)
		}
	}
	if len(of) == 0 {
		return nil // presence alone, which nobody keeps
	}
	w.done = together(of).Done
	durable := outcome.NewPending(func() { d.keeper.keep(w) }, w.done)
	for _, state := range w.states {
		d.pub.Publish(ctx, State(d.cfg.Topics, state.Record()), durable.Add())
	}
	for _, settings := range w.users {
		d.pub.Publish(ctx, Settings(d.cfg.Topics, settings), durable.Add())
	}
	durable.Done(nil)
	return nil
}

// together is one part of several jobs.
func together(jobs []job) *outcome.Pending {
	parts := make([]func(error), len(jobs))
	for i, j := range jobs {
		parts[i] = j.pending.Add()
	}
	done := func(err error) {
		for _, part := range parts {
			part(err)
		}
	}
	return outcome.NewPending(func() { done(nil) }, done)
}

func (d *Devices) applyMemberships(ctx context.Context, memberships []registry.Membership, _ []job) error {
	return d.reg.ApplyMemberships(ctx, memberships)
}

// applyReads lets every receipt of the batch wait for all corrections: whose receipt brought one is not told.
func (d *Devices) applyReads(ctx context.Context, receipts []registry.Receipt, jobs []job) error {
	syncs, err := d.reg.Read(ctx, receipts)
	if err != nil {
		return err
	}
	all := together(jobs)
	for _, m := range d.cfg.syncs(syncs) {
		d.pub.Publish(ctx, m, all.Add())
	}
	all.Done(nil)
	return nil
}

func (d *Devices) applyAcknowledged(ctx context.Context, receipts []registry.Receipt, _ []job) error {
	return d.reg.Acknowledge(ctx, receipts)
}

// left leaves a record alone, so that it is read again.
func (d *Devices) left(rec *stream.Record, err error) {
	rec.Drop()
	d.log.Error("record left to be read again", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
		zap.Int64("offset", rec.Offset), zap.Error(err))
}
