package route

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// fixedLimit bounds, in bytes, the parts of a notification that are never cut. Above it no platform can take them.
const fixedLimit = 64 << 10

// job is a message on its way to recipients.
type job struct {
	source  *stream.Record // the record that the job came from: the chat record, or one that holds or recalls it
	rec     *stream.Record // the chat record, as it stood
	msg     *message.Message
	policy  Policy           // of its app
	purpose string           // push.PurposeFirst or push.PurposeRecall
	part    part             // its recipients: buckets of its group, or runs of the accounts that it names
	big     bool             // it is fanned out
	pending *outcome.Pending // of source
	buried  bool             // source went to its dead topic
}

// pending joins everything that is derived from a record, and acknowledges it.
func (r *Route) pending(rec *stream.Record) *outcome.Pending {
	return outcome.NewPending(rec.Ack, func(err error) {
		rec.Drop()
		r.log.Error("record left to be read again", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
			zap.Int64("offset", rec.Offset), zap.Error(err))
	})
}

// open parses the chat record of rec, which is rec itself or stands in it. What is unreadable, or filtered as a whole,
// is settled here and gives no job. A recall is filtered by nothing: what it replaces was shown.
func (r *Route) open(ctx context.Context, rec, chat *stream.Record, purpose string) *job {
	pending := r.pending(rec)
	msg, err := message.Parse(chat.Value, Envelope(chat, r.cfg.DefaultApp))
	if err == nil {
		err = refuse(msg, r.cfg.Apps)
	}
	if err != nil {
		r.dead(ctx, rec, pending, msg, err)
		return nil
	}
	j := &job{source: rec, rec: chat, msg: msg, policy: r.cfg.Apps[msg.App], purpose: purpose, pending: pending}
	if purpose == push.PurposeFirst {
		maxAge := r.cfg.MaxAge
		if _, _, sentBack := chat.SentBack(); sentBack { // an operator wants it sent, and knows that it is old
			maxAge = 0
		}
		if reason := msg.Filter(r.cfg.Now(), maxAge); reason != "" {
			r.filter(ctx, j, reason)
			return nil
		}
	}
	return j
}

// Envelope tells the parser where a record stood. What an operator sent back is as old as it was, and keeps its name.
func Envelope(rec *stream.Record, defaultApp string) message.Envelope {
	env := message.Envelope{DefaultApp: defaultApp, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Time: rec.Time, ContentType: rec.ContentType()}
	if first, origin, ok := rec.SentBack(); ok {
		env.Time, env.First = first, origin
	}
	return env
}

// refuse says why a readable message can never be sent to anybody, or nil.
func refuse(msg *message.Message, apps map[string]Policy) error {
	if _, known := apps[msg.App]; !known {
		return &message.Invalid{Reason: push.ReasonUnknownApp, Field: "App", Problem: "is not configured"}
	}
	if msg.Uncut() > fixedLimit {
		return &message.Invalid{Reason: push.ReasonTooLarge, Field: "OfflinePushInfo",
			Problem: "what is never cut, all but the text, is larger than any platform takes"}
	}
	return nil
}

// dead ends a record that can never be sent. msg is nil where it is unreadable.
func (r *Route) dead(ctx context.Context, rec *stream.Record, pending *outcome.Pending, msg *message.Message, cause error) {
	r.bury(ctx, rec, pending, msg, cause)
	pending.Done(nil)
}

// bury puts a record's bytes into its dead topic and says why.
func (r *Route) bury(ctx context.Context, rec *stream.Record, pending *outcome.Pending, msg *message.Message, cause error) {
	reason, problem := describe(cause)
	now := r.cfg.Now()
	r.log.Warn("record to the dead topic", zap.String("reason", string(reason)), zap.String("problem", problem),
		zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset))
	r.pub.Publish(ctx, stream.DeadInput(r.cfg.Topics, rec, reason, problem, now), pending.Add())
	event := &schemasv1.Event{MsgKey: "at:" + rec.Origin(), Disposition: "dead", Reason: string(reason), Answer: problem,
		TimeMs: now.UnixMilli(), ReceivedMs: rec.Time.UnixMilli()}
	if msg != nil {
		event = r.event(msg, msg.Key, "", "dead", reason)
		event.Answer = problem
	}
	r.events.Record(ctx, event, pending.Add())
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
