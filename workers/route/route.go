// Package route turns chat messages into notifications. Records of im.messages flow in; for each recipient's device
// that is to be pushed a notification flows out to its platform's work topic, and for everything else an event with its
// reason; what cannot be read goes to the dead topic with its bytes untouched. A message to a big group flows out to
// push.fanout in ranges of the group's buckets and comes back from there, range by range; a recall flows in from
// im.receipts, and what replaces the message flows out to the phones that show it.
//
// It promises that a record is acknowledged only when all of that is durable, that a record read twice leads to the same
// notifications, that a recipient is decided in one round trip, and that its memory does not grow with a group. While
// Redis is away, empty because it lost its data, or behind the events of presence, route holds: nobody is filtered for want
// of an answer. While memberships are behind, the messages to whole groups wait, and only they.
package route

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Registry is what route asks of Redis; *registry.Registry is one. An error means that nothing is known of any request
// of the call, and the same call again is harmless.
type Registry interface {
	Recipients
	Messages
	Groups
}

// Recipients decides what a message is to each of them.
type Recipients interface {
	Decide(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error)
	// Shown says which devices were pushed when the message was decided.
	Shown(ctx context.Context, requests []registry.DecideRequest) ([]registry.Decision, error)
}

// Messages remembers where messages stand and which are recalled.
type Messages interface {
	Messages(ctx context.Context, refs []registry.MessageRef) (recalled []bool, err error)
	Recall(ctx context.Context, ref registry.MessageRef, at time.Time) (origins []string, err error)
}

// Groups knows the members of groups.
type Groups interface {
	Groups(ctx context.Context, refs []registry.GroupRef) ([]registry.GroupSize, error)
	Members(ctx context.Context, app, group string, bucket, buckets int, at time.Time) ([]string, error)
}

// Chat reads chat records again; *stream.Cluster is one.
type Chat interface {
	ReadRecord(ctx context.Context, topic string, partition int32, offset int64) (*stream.Record, error)
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
	Retry      outcome.Policy // whose delays a fallback waits in
	MaxAge     time.Duration  // older messages are filtered as stale
	Now        func() time.Time
	// Hold returns nil when presence is fresh enough to decide, else why not. It is asked before each batch.
	Hold func(context.Context) error
	// HoldGroups is the same of memberships. While it refuses, messages to whole groups wait in push.fanout, and no other.
	HoldGroups func(context.Context) error
	// HoldPause is the time between two tries while Redis, Kafka or Hold refuses; 100 ms where zero.
	HoldPause time.Duration
}

// Route is the role. Handle, HandleFanout and HandleReceipts may run next to each other, each called by one goroutine.
type Route struct {
	cfg      Config
	reg      Registry
	chat     Chat
	pub      outcome.Publisher
	events   Events
	log      *zap.Logger
	limiters map[string]*rate.Limiter // by app; none where its policy has no rate
}

// New returns a Route.
func New(cfg Config, reg Registry, chat Chat, pub outcome.Publisher, events Events, log *zap.Logger) *Route {
	cfg.HoldPause = cmp.Or(cfg.HoldPause, 100*time.Millisecond)
	return &Route{cfg: cfg, reg: reg, chat: chat, pub: pub, events: events, log: log, limiters: newLimiters(cfg.Apps)}
}

// Handle takes a batch of im.messages, in order; it returns when everything derived from it was handed to the publisher,
// or when ctx ended, which leaves the rest of the batch to be read again.
func (r *Route) Handle(ctx context.Context, batch []*stream.Record) {
	if err := r.hold(ctx, r.cfg.Hold); err != nil {
		for _, rec := range batch {
			rec.Drop()
		}
		return
	}
	jobs := make([]*job, 0, len(batch))
	for _, rec := range batch {
		if j := r.open(ctx, rec, rec, push.PurposeFirst); j != nil {
			jobs = append(jobs, j)
		}
	}
	jobs = r.dropRecalled(ctx, jobs)
	jobs = r.address(ctx, jobs, r.cfg.HoldGroups(ctx) != nil)
	c := r.chunk(push.PurposeFirst)
	for _, j := range jobs {
		r.gather(ctx, c, j)
	}
	c.flush(ctx)
	for _, j := range jobs {
		j.pending.Done(nil)
	}
}

// hold waits until what it asks is fresh, or returns why ctx ended.
func (r *Route) hold(ctx context.Context, fresh func(context.Context) error) error {
	held := false
	for {
		err := fresh(ctx)
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

// dropRecalled notes where the messages stand and ends those that are recalled already. It comes before their recipients
// are decided, so that a recall either finds a message here or finds it decided.
func (r *Route) dropRecalled(ctx context.Context, jobs []*job) []*job {
	if len(jobs) == 0 {
		return nil
	}
	refs := make([]registry.MessageRef, len(jobs))
	for i, j := range jobs {
		refs[i] = registry.MessageRef{App: j.msg.App, Key: j.msg.Key, Origin: j.msg.Origin, Body: j.msg.BodySum()}
	}
	left := jobs[:0]
	for i, recalled := range ask(ctx, r, refs, r.reg.Messages) {
		switch j := jobs[i]; { //nolint:gosec // one answer per job
		case recalled.err != nil:
			r.giveUp(ctx, j, recalled.err)
			j.pending.Done(nil)
		case recalled.answer:
			r.filter(ctx, j, push.ReasonRecalled)
		default:
			left = append(left, j)
		}
	}
	return left
}

// filter ends a message for all its recipients.
func (r *Route) filter(ctx context.Context, j *job, reason push.Reason) {
	for _, user := range j.msg.Recipients {
		r.record(ctx, j, r.event(j.msg, j.msg.Key, user, "filter", reason))
	}
	if len(j.msg.Recipients) == 0 {
		r.record(ctx, j, r.event(j.msg, j.msg.Key, "", "filter", reason))
	}
	j.pending.Done(nil)
}

func (r *Route) record(ctx context.Context, j *job, e *schemasv1.Event) {
	r.events.Record(ctx, e, j.pending.Add())
}

func (r *Route) event(msg *message.Message, key, user, disposition string, reason push.Reason) *schemasv1.Event {
	return &schemasv1.Event{App: msg.App, MsgKey: key, User: user, Disposition: disposition, Reason: string(reason),
		TimeMs: r.cfg.Now().UnixMilli(), ReceivedMs: msg.RecordTime.UnixMilli(),
		Sender: msg.From, Conversation: msg.Conversation(), MsgSeq: msg.Seq}
}
