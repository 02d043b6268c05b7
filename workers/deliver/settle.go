package deliver

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// mark is a settled item on its last steps: the mark in the registry, the event, the acknowledgement.
type mark struct {
	registry.Mark
	skip  bool // nothing to mark: the event only
	event *schemasv1.Event
	rec   *stream.Record // nil: a lease given back, nothing follows
	it    *item          // whose device waits for the mark; nil: none does
}

// finish settles an item: first what follows is made durable, then the notification is marked, then the event is
// written, then the record is acknowledged. A crash between any two leaves the record to be read again, and the mark
// decides whether that leads to a second attempt.
func (d *Deliver) finish(ctx context.Context, it *item, o push.Outcome) {
	d.conclude(ctx, it, o, next(o, it.n, it.meta, d.cfg.Now(), d.cfg.Topics, d.cfg.Policy))
}

// poisoned ends an item that the registry can never judge. It leaves no mark: that could not be written either.
func (d *Deliver) poisoned(ctx context.Context, it *item, cause error) {
	o := push.Outcome{Disposition: push.Dead, Reason: push.ReasonInvalidMessage, Answer: "registry", Err: cause}
	s := next(o, it.n, it.meta, d.cfg.Now(), d.cfg.Topics, d.cfg.Policy)
	s.unmarked = true
	d.conclude(ctx, it, o, s)
}

// postpone sends an item to a retry topic without an attempt: its device is to be left alone for so long.
func (d *Deliver) postpone(ctx context.Context, it *item, wait time.Duration) {
	o := push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled}
	s := step{disposition: o.Disposition, reason: o.Reason, meta: it.meta}
	s.meta.Reason, s.unmarked = o.Reason, true
	d.conclude(ctx, it, o, s.after(wait, it.n, d.cfg.Now(), d.cfg.Topics, d.cfg.Policy))
}

// conclude takes the steps that follow an outcome.
func (d *Deliver) conclude(ctx context.Context, it *item, o push.Outcome, s step) {
	now := d.cfg.Now()
	if o.Err != nil && s.disposition != push.Retry {
		d.log.Warn("notification not sent", zap.String("id", it.n.ID), zap.String("platform", string(d.cfg.Platform)),
			zap.String("disposition", s.disposition.String()), zap.String("reason", string(s.reason)), zap.String("answer", o.Answer), zap.Error(o.Err))
	}
	m := mark{skip: s.unmarked, rec: it.rec, it: it, event: outcome.EventOf(it.n, it.meta, s.disposition, s.reason, o.Answer, now)}
	m.event.AdmittedMs, m.event.DueMs = millis(it.admitted), millis(s.due)
	m.Mark = d.markOf(it, s.mark)
	m.Reason, m.MayShow = s.reason, o.Ambiguous
	d.marks.promise()
	follow := func(err error) {
		defer d.marks.keep()
		if err != nil {
			d.left(it.rec, err)
			d.release(it)
			return
		}
		d.marks.put(m)
	}
	switch {
	case s.reject:
		d.pub.Publish(ctx, rejected(d.cfg.Topics, it.n, s.reason, o.InvalidSince, now), follow)
	case s.topic != "":
		d.pub.Publish(ctx, stream.Message{Topic: s.topic, Key: it.rec.Key, Value: stream.EncodeNotification(it.n),
			Headers: s.meta.Headers(), Partition: -1}, follow)
	default:
		follow(nil)
	}
}

// millis is 0 for the zero time, which is how an event says that there is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (d *Deliver) markOf(it *item, state registry.MarkState) registry.Mark {
	return registry.Mark{App: it.n.App, User: it.n.User, ID: it.n.ID, Owner: d.cfg.Owner, Attempt: it.meta.Attempt,
		Redrive: it.meta.Redrive, State: state}
}

// unlease gives an admitted item's lease back, so that its next owner need not wait for its end. mayShow says that the
// attempt was on its way when it was given up.
func (d *Deliver) unlease(it *item, mayShow bool) {
	m := mark{Mark: d.markOf(it, registry.MarkReleased)}
	m.MayShow = mayShow
	d.marks.put(m)
}

// move hands an item to the lane of the platform that its device uses now.
func (d *Deliver) move(ctx context.Context, it *item, b push.Binding) {
	n := rebound(it.n, b)
	n.Platform = b.Platform
	d.release(it)
	d.pub.Publish(ctx, stream.Message{Topic: d.cfg.Topics.Work(n.Platform, it.meta.Lane), Key: it.rec.Key,
		Value: stream.EncodeNotification(n), Headers: it.meta.Headers(), Partition: -1}, func(err error) {
		if err != nil {
			d.left(it.rec, err)
			return
		}
		it.rec.Ack()
	})
}

// rebound is a notification to where its device's pushes go now. A call needs a token of its own; where the device has
// none any more, it rings as an alert that may break through.
func rebound(n *push.Notification, b push.Binding) *push.Notification {
	c := *n
	c.Token, c.Credential, c.Version = b.Token, b.Credential, b.Version
	switch {
	case c.Type != push.TypeVoIP:
	case b.VoIPToken != "":
		c.Token = b.VoIPToken
	default:
		c.Type = push.TypeAlert
		if c.Interruption == "" {
			c.Interruption = "time-sensitive"
		}
	}
	return &c
}

// repeat acknowledges an item that was settled before, and says so again: the first saying may have been lost with the
// process that settled it.
func (d *Deliver) repeat(ctx context.Context, it *item, a registry.Admission) {
	d.release(it)
	e := outcome.EventOf(it.n, it.meta, a.Reason.Disposition(), a.Reason, "", d.cfg.Now())
	d.events.Record(ctx, e, d.acknowledge(it.rec))
}

// settle writes marks, then events, then acknowledges. The device's next notification waits for the mark: it may be the
// same one, written twice where Kafka's answer was lost, and without the mark it would be sent twice.
func (d *Deliver) settle(ctx context.Context, batch []mark) {
	marks := make([]registry.Mark, 0, len(batch))
	for _, m := range batch {
		if !m.skip {
			marks = append(marks, m.Mark)
		}
	}
	if len(marks) > 0 {
		d.write(ctx, marks)
	}
	for _, m := range batch {
		if m.it != nil {
			d.release(m.it)
		}
		if m.rec != nil {
			d.events.Record(ctx, m.event, d.acknowledge(m.rec))
		}
	}
}

// write marks, and gives up after a while: what was published is durable, and the offset is committed next.
func (d *Deliver) write(ctx context.Context, marks []registry.Mark) {
	var err error
	for range markTries {
		if err = d.reg.Settle(ctx, marks); err == nil {
			return
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			return
		}
	}
	d.log.Error("notifications not marked; a crash in the next moments could send them again", zap.Int("notifications", len(marks)), zap.Error(err))
}

func (d *Deliver) acknowledge(rec *stream.Record) func(error) {
	return func(err error) {
		if err != nil {
			d.left(rec, err)
			return
		}
		rec.Ack()
	}
}

// rejection is the token_rejected event of im.devices.
type rejection struct {
	App, User, Device, Event string
	EventTime                int64
	Version                  int64
	Reason                   push.Reason
	PushType                 push.Type `json:",omitempty"` // whose token: a call's, where it says so
}

// rejected tells the registry that a version of a binding is dead. Its time is the one from which the provider knew,
// where it said so: a token that was registered again later is spared.
func rejected(topics stream.Topics, n *push.Notification, reason push.Reason, since, now time.Time) stream.Message {
	if since.IsZero() {
		since = now
	}
	r := rejection{App: n.App, User: n.User, Device: n.Device, Event: "token_rejected", EventTime: since.UnixMilli(),
		Version: n.Version, Reason: reason}
	if n.Type == push.TypeVoIP {
		r.PushType = n.Type
	}
	value, err := json.Marshal(r)
	if err != nil {
		panic("a struct of strings and integers did not marshal: " + err.Error())
	}
	return stream.Message{Topic: topics.Devices(), Key: stream.UserKey(n.App, n.User), Value: value, Partition: -1}
}
