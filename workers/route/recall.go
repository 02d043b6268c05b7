package route

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// HandleReceipts takes a batch of im.receipts and acts on the recalls among it; everything else, what is unreadable
// included, is the devices role's, and acknowledged here at once. It returns as Handle does.
func (r *Route) HandleReceipts(ctx context.Context, batch []*stream.Record) {
	for _, rec := range batch {
		receipt, err := registry.ParseReceipt(rec.Value, r.cfg.Now())
		if _, known := r.cfg.Apps[receipt.App]; err != nil || !known || receipt.Kind != registry.ReceiptRecall {
			rec.Ack()
			continue
		}
		r.recall(ctx, rec, receipt)
	}
}

// recall marks a message as taken back, which withdraws what is queued, and replaces what is shown. What the log does not
// hold any more is only marked.
func (r *Route) recall(ctx context.Context, rec *stream.Record, receipt registry.Receipt) {
	pending := r.pending(rec)
	defer pending.Done(nil)
	ref := registry.MessageRef{App: receipt.App}
	ref.Key, ref.Content = message.SplitKey(receipt.MsgKey)
	origins := ask(ctx, r, []registry.MessageRef{ref}, func(ctx context.Context, refs []registry.MessageRef) ([][]string, error) {
		origins, err := r.reg.Recall(ctx, refs[0], receipt.Time)
		return [][]string{origins}, err
	})[0]
	switch {
	case errors.Is(origins.err, errUnanswerable):
		r.bury(ctx, rec, pending, nil, origins.err)
		return
	case origins.err != nil:
		pending.Add()(origins.err)
		return
	}
	r.events.Record(ctx, &schemasv1.Event{App: receipt.App, MsgKey: receipt.MsgKey, Disposition: "filter", Reason: string(push.ReasonRecalled),
		TimeMs: r.cfg.Now().UnixMilli(), ReceivedMs: rec.Time.UnixMilli()}, pending.Add())
	c := r.chunk(push.PurposeRecall)
	for _, origin := range origins.answer {
		chat, err := r.reread(ctx, origin)
		if err != nil {
			pending.Add()(err)
			return
		}
		for _, j := range r.shown(ctx, rec, chat, ref, pending) {
			r.gather(ctx, c, j)
		}
		c.flush(ctx) // what one origin holds is forgotten before the next
	}
}

// shown is the job of replacing a message, with its recipients; none where it is not the message that is recalled, or
// where its recipients are reached through push.fanout. chat is nil where the log has it no more.
func (r *Route) shown(ctx context.Context, rec, chat *stream.Record, ref registry.MessageRef, pending *outcome.Pending) []*job {
	if chat == nil {
		return nil
	}
	msg, err := message.Parse(chat.Value, Envelope(chat, r.cfg.DefaultApp))
	if err != nil || msg.App != ref.App || msg.Key != ref.Key {
		r.log.Warn("another record stands where the recalled message stood", zap.String("origin", chat.Origin()))
		return nil
	}
	j := &job{source: rec, rec: chat, msg: msg, policy: r.cfg.Apps[msg.App], purpose: push.PurposeRecall, pending: pending}
	done := pending.Add() // address closes the job that ends there
	left := r.address(ctx, []*job{j}, r.cfg.HoldGroups(ctx) != nil)
	if len(left) > 0 {
		done(nil)
	}
	return left
}

// reread reads a chat record by its origin, as topic/partition/offset; nil where the log has it no more.
func (r *Route) reread(ctx context.Context, origin string) (*stream.Record, error) {
	topic, partition, offset, ok := place(origin)
	if !ok || topic != r.cfg.Topics.Messages() {
		r.log.Error("recalled message stands in no topic of this fleet", zap.String("origin", origin))
		return nil, nil //nolint:nilnil // as a record that is gone
	}
	return insist(ctx, r, func() (*stream.Record, error) {
		rec, err := r.chat.ReadRecord(ctx, topic, partition, offset)
		if errors.Is(err, stream.ErrGone) {
			r.log.Info("recalled message is not in the log any more; it is withdrawn where it waits", zap.String("origin", origin))
			return nil, nil //nolint:nilnil // the recall only marks
		}
		return rec, err
	})
}

// place reads an origin.
func place(origin string) (topic string, partition int32, offset int64, ok bool) {
	parts := strings.Split(origin, "/")
	if len(parts) != 3 {
		return "", 0, 0, false
	}
	p, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return "", 0, 0, false
	}
	offset, err = strconv.ParseInt(parts[2], 10, 64)
	return parts[0], int32(p), offset, err == nil
}
