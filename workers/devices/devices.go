// Package devices keeps the registry true. Records of im.devices and im.presence flow in; each is applied to Redis, and
// the full state of every binding that it concerned flows out to push.registry; what cannot be read goes to the dead
// topic with its bytes untouched. It promises that a record is acknowledged only when the registry holds its effect and
// its state is durable, so that Redis can be rebuilt from push.registry alone, and that repeated and late events are
// harmless. Where Redis turns out empty because it lost its data, devices rebuilds it; until then the others hold.
package devices

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Applier applies events; *registry.Registry is one.
type Applier interface {
	Apply(ctx context.Context, events []registry.DeviceEvent) ([]registry.Applied, error)
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
	Now        func() time.Time
}

const redisPause = 100 * time.Millisecond // between two tries while Redis is away

// Devices is the role. Handle is called by one goroutine.
type Devices struct {
	cfg    Config
	reg    Applier
	pub    outcome.Publisher
	events Events
	log    *zap.Logger
}

// New returns a Devices.
func New(cfg Config, reg Applier, pub outcome.Publisher, events Events, log *zap.Logger) *Devices {
	return &Devices{cfg: cfg, reg: reg, pub: pub, events: events, log: log}
}

// job is one readable record.
type job struct {
	rec     *stream.Record
	pending *outcome.Pending
}

// Handle applies a batch in order. It returns when what follows was handed to the publisher, or when ctx ended.
func (d *Devices) Handle(ctx context.Context, batch []*stream.Record) {
	var jobs []job
	var events []registry.DeviceEvent
	for _, rec := range batch {
		pending := outcome.NewPending(rec.Ack, func(err error) {
			rec.Drop()
			d.log.Error("record left to be read again", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
				zap.Int64("offset", rec.Offset), zap.Error(err))
		})
		event, err := Read(rec.Value, d.cfg)
		if err != nil {
			d.dead(ctx, rec, pending, err)
			continue
		}
		jobs = append(jobs, job{rec, pending})
		events = append(events, event)
	}
	if len(events) == 0 {
		return
	}
	applied, err := d.apply(ctx, events)
	if err != nil {
		for _, j := range jobs {
			j.pending.Done(err)
		}
		return
	}
	for i, a := range applied {
		for _, state := range a.States {
			d.pub.Publish(ctx, State(d.cfg.Topics, state.Record()), jobs[i].pending.Add())
		}
		jobs[i].pending.Done(nil)
	}
}

// ErrUnknownApp refuses an event of an app that is not configured.
var ErrUnknownApp = errors.New("app is not configured")

// Read parses an event and checks what only this fleet's configuration knows.
func Read(value []byte, cfg Config) (registry.DeviceEvent, error) {
	event, err := registry.ParseDeviceEvent(value, cfg.Now())
	if err != nil {
		return event, err
	}
	if !cfg.Apps[event.App] {
		return event, ErrUnknownApp
	}
	if event.Platform != "" && !cfg.Platforms[event.Platform] {
		return event, errors.New("platform is not one of this fleet")
	}
	if event.Token != nil && *event.Token != "" && event.Platform != "" {
		if err := cfg.CheckToken(event.Platform, *event.Token); err != nil {
			return event, err
		}
	}
	return event, nil
}

// apply repeats until the registry answers or ctx ends.
func (d *Devices) apply(ctx context.Context, events []registry.DeviceEvent) ([]registry.Applied, error) {
	for failed := 0; ; failed++ {
		applied, err := d.reg.Apply(ctx, events)
		if err == nil {
			return applied, nil
		}
		if failed == 0 {
			d.log.Warn("registry does not answer; devices holds", zap.Error(err))
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (d *Devices) dead(ctx context.Context, rec *stream.Record, pending *outcome.Pending, cause error) {
	reason := push.ReasonInvalidMessage
	if errors.Is(cause, ErrUnknownApp) {
		reason = push.ReasonUnknownApp
	}
	now := d.cfg.Now()
	d.log.Warn("event to the dead topic", zap.String("reason", string(reason)), zap.Error(cause),
		zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset))
	d.pub.Publish(ctx, stream.DeadInput(d.cfg.Topics, rec, reason, cause.Error(), now), pending.Add())
	d.events.Record(ctx, &schemasv1.Event{MsgKey: "at:" + rec.Origin(), Disposition: push.Dead.String(), Reason: string(reason),
		Answer: cause.Error(), TimeMs: now.UnixMilli(), ReceivedMs: rec.Time.UnixMilli()}, pending.Add())
	pending.Done(nil)
}
