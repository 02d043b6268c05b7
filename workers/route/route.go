// Package route turns chat messages into notifications. Records of im.messages flow in; for each recipient's device
// that is to be pushed a notification flows out to its platform's work topic, and for everything else an event with its
// reason; what cannot be read goes to the dead topic with its bytes untouched. It promises that a record is
// acknowledged only when all of that is durable, that a record read twice leads to the same notifications, and that a
// recipient is decided in one round trip. While Redis is away, empty because it lost its data, or behind the presence
// events, route holds: nobody is filtered for want of an answer.
package route

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// decideChunk bounds one pipeline to Redis: about 200 KB of requests, 3 ms of Redis' time.
const decideChunk = 500

// fixedLimit bounds, in bytes, the parts of a notification that are never cut. Above it no platform can take them.
const fixedLimit = 64 << 10

// Decider decides recipients; *registry.Registry is one. An error leaves everything undecided.
type Decider interface {
	Decide(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error)
}

// Events records outcomes; *outcome.Recorder is one.
type Events interface {
	Record(ctx context.Context, e *schemasv1.Event, done func(error))
}

// Config is what route needs to know. All of it is read-only.
type Config struct {
	Topics     stream.Topics
	DefaultApp string
	Apps       map[string]Policy // every app that is configured
	Platforms  map[push.Platform]bool
	MaxAge     time.Duration // older messages are filtered as stale
	Now        func() time.Time
	// Hold returns nil when presence is fresh enough to decide, else why not. It is asked before each batch.
	Hold func(context.Context) error
	// HoldPause is the time between two tries while Redis or Hold refuses; 100 ms where zero.
	HoldPause time.Duration
}

// Route is the role. Handle is called by one goroutine.
type Route struct {
	cfg    Config
	reg    Decider
	pub    outcome.Publisher
	events Events
	log    *zap.Logger
}

// New returns a Route.
func New(cfg Config, reg Decider, pub outcome.Publisher, events Events, log *zap.Logger) *Route {
	if cfg.HoldPause == 0 {
		cfg.HoldPause = 100 * time.Millisecond
	}
	return &Route{cfg: cfg, reg: reg, pub: pub, events: events, log: log}
}

// job is one record on its way.
type job struct {
	rec     *stream.Record
	msg     *message.Message
	pending *outcome.Pending
}

// Handle takes a batch, in order; it returns when everything derived from it was handed to the publisher, or when ctx
// ended, which leaves the rest of the batch to be read again.
func (r *Route) Handle(ctx context.Context, batch []*stream.Record) {
	if err := r.hold(ctx); err != nil {
		for _, rec := range batch {
			rec.Drop()
		}
		return
	}
	jobs := make([]*job, 0, len(batch))
	for _, rec := range batch {
		if j := r.open(ctx, rec); j != nil {
			jobs = append(jobs, j)
		}
	}
	r.decide(ctx, jobs)
	for _, j := range jobs {
		j.pending.Done(nil)
	}
}

func (r *Route) hold(ctx context.Context) error {
	held := false
	for {
		err := r.cfg.Hold(ctx)
		if err == nil {
			return nil
		}
		if !held {
			r.log.Warn("route holds", zap.Error(err))
			held = true
		}
		if err := pause(ctx, r.cfg.HoldPause); err != nil {
			return err
		}
	}
}

// open parses a record. What is unreadable, or filtered as a whole, is settled here and gives no job.
func (r *Route) open(ctx context.Context, rec *stream.Record) *job {
	pending := outcome.NewPending(rec.Ack, func(err error) {
		rec.Drop()
		r.log.Error("record left to be read again", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
			zap.Int64("offset", rec.Offset), zap.Error(err))
	})
	msg, err := message.Parse(rec.Value, Envelope(rec, r.cfg.DefaultApp))
	if err != nil {
		r.dead(ctx, rec, pending, nil, err)
		return nil
	}
	if err := refuse(msg, r.cfg.Apps); err != nil {
		r.dead(ctx, rec, pending, msg, err)
		return nil
	}
	if reason := msg.Filter(r.cfg.Now(), r.cfg.MaxAge); reason != "" {
		for _, user := range msg.Recipients {
			r.events.Record(ctx, r.event(msg, msg.Key, user, "filter", reason), pending.Add())
		}
		if len(msg.Recipients) == 0 {
			r.events.Record(ctx, r.event(msg, msg.Key, "", "filter", reason), pending.Add())
		}
		pending.Done(nil)
		return nil
	}
	return &job{rec: rec, msg: msg, pending: pending}
}

// Envelope tells the parser where a record stood.
func Envelope(rec *stream.Record, defaultApp string) message.Envelope {
	env := message.Envelope{DefaultApp: defaultApp, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time}
	for _, h := range rec.Headers {
		if strings.EqualFold(h.Key, "content-type") {
			env.ContentType = string(h.Value)
		}
	}
	return env
}

// refuse says why a readable message can never be sent to anybody, or nil.
func refuse(msg *message.Message, apps map[string]Policy) error {
	if _, known := apps[msg.App]; !known {
		return &message.Invalid{Reason: push.ReasonUnknownApp, Field: "App", Problem: "is not configured"}
	}
	if msg.Group != "" && msg.Recipients == nil {
		return &message.Invalid{Reason: push.ReasonInvalidMessage, Field: "To_Account", Problem: "is absent, and no membership of this group is known"}
	}
	n := msg.Notification("en")
	if len(n.Title)+len(n.Subtitle)+len(n.Ext)+len(n.Image) > fixedLimit {
		return &message.Invalid{Reason: push.ReasonTooLarge, Field: "OfflinePushInfo", Problem: "title, subtitle, ext and image are larger than any platform takes"}
	}
	return nil
}

func (r *Route) dead(ctx context.Context, rec *stream.Record, pending *outcome.Pending, msg *message.Message, cause error) {
	reason, problem := describe(cause)
	now := r.cfg.Now()
	r.log.Warn("message to the dead topic", zap.String("reason", string(reason)), zap.String("problem", problem),
		zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset))
	r.pub.Publish(ctx, stream.DeadInput(r.cfg.Topics, rec, reason, problem, now), pending.Add())
	event := &schemasv1.Event{MsgKey: "at:" + rec.Origin(), Disposition: "dead", Reason: string(reason), Answer: problem,
		TimeMs: now.UnixMilli(), ReceivedMs: rec.Time.UnixMilli()}
	if msg != nil {
		event.App, event.MsgKey = msg.App, msg.Key
	}
	r.events.Record(ctx, event, pending.Add())
	pending.Done(nil)
}

// describe says why a message is dead, and what is wrong with which field.
func describe(cause error) (push.Reason, string) {
	invalid, ok := errors.AsType[*message.Invalid](cause)
	switch {
	case !ok:
		return push.ReasonInvalidMessage, cause.Error()
	case invalid.Field == "":
		return invalid.Reason, invalid.Problem
	default:
		return invalid.Reason, invalid.Field + ": " + invalid.Problem
	}
}

// decide asks the registry about every recipient of the jobs and hands on what comes of it, in the records' order.
func (r *Route) decide(ctx context.Context, jobs []*job) {
	requests := make([]registry.DecideRequest, 0, decideChunk)
	owners := make([]*job, 0, decideChunk)
	flush := func() bool {
		if len(requests) == 0 {
			return true
		}
		decisions, err := r.ask(ctx, requests)
		if err != nil {
			for _, j := range owners {
				j.pending.Add()(err)
			}
			return false
		}
		for i, d := range decisions {
			r.emit(ctx, owners[i], requests[i].User, d)
		}
		requests, owners = requests[:0], owners[:0]
		return true
	}
	ok := true
	for _, j := range jobs {
		for _, user := range j.msg.Recipients {
			if !ok {
				j.pending.Add()(context.Cause(ctx))
				break
			}
			requests = append(requests, Request(j.msg, user, j.rec.Origin()))
			owners = append(owners, j)
			if len(requests) == decideChunk {
				ok = flush()
			}
		}
	}
	if ok {
		flush()
	}
}

// ask repeats until the registry answers or ctx ends.
func (r *Route) ask(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error) {
	for failed := 0; ; failed++ {
		decisions, err := r.reg.Decide(ctx, requests)
		if err == nil {
			return decisions, nil
		}
		if failed == 0 {
			r.log.Warn("registry does not answer; route holds", zap.Error(err))
		}
		if err := pause(ctx, r.cfg.HoldPause); err != nil {
			return nil, err
		}
	}
}

// emit hands on what was decided for one recipient.
func (r *Route) emit(ctx context.Context, j *job, user string, d registry.Decision) {
	if d.Status == registry.Duplicate {
		r.events.Record(ctx, r.event(j.msg, j.msg.Key, user, "filter", push.ReasonDuplicate), j.pending.Add())
		return
	}
	key := Key(j.msg, d)
	if len(d.Devices) == 0 { // nobody ever logged in there
		r.events.Record(ctx, r.event(j.msg, key, user, "filter", push.ReasonLoggedOut), j.pending.Add())
		return
	}
	for _, device := range d.Devices {
		event := r.event(j.msg, key, user, "filter", device.Reason)
		event.Device, event.Platform = device.Device, string(device.Binding.Platform)
		if device.Push && !r.cfg.Platforms[device.Binding.Platform] {
			r.log.Error("device of a platform that this fleet does not serve", zap.String("platform", string(device.Binding.Platform)))
			event.Disposition, event.Reason = "dead", string(push.ReasonUnknownCredential)
		} else if device.Push {
			n := Notification(j.msg, key, user, device)
			event.Disposition, event.Id = "push", n.ID
			r.pub.Publish(ctx, r.work(j, n), j.pending.Add())
		}
		r.events.Record(ctx, event, j.pending.Add())
	}
}

func (r *Route) work(j *job, n *push.Notification) stream.Message {
	meta := stream.Meta{ID: n.ID, Lane: push.LaneNormal, Attempt: 1, FirstSeen: r.cfg.Now(), Origin: j.rec.Origin()}
	for _, h := range j.rec.Headers {
		if h.Key == "traceparent" {
			meta.Traceparent = string(h.Value)
		}
	}
	return stream.Message{Topic: r.cfg.Topics.Work(n.Platform, meta.Lane), Key: stream.DeviceKey(n.App, n.User, n.Device),
		Value: stream.EncodeNotification(n), Headers: meta.Headers(), Partition: -1}
}

func (r *Route) event(msg *message.Message, key, user, disposition string, reason push.Reason) *schemasv1.Event {
	return &schemasv1.Event{App: msg.App, MsgKey: key, User: user, Disposition: disposition, Reason: string(reason),
		TimeMs: r.cfg.Now().UnixMilli(), ReceivedMs: msg.RecordTime.UnixMilli()}
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
}
