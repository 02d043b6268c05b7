package route

import (
	"context"
	"errors"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

var errNoGroup = errors.New("fan-out record: its message is not for a whole group")

// HandleFanout takes a batch of push.fanout: messages to big groups, each with a range of buckets. It returns as Handle
// does. Each bucket's members are read, decided and forgotten before the next, so that what it holds grows neither with
// the group nor with the range.
func (r *Route) HandleFanout(ctx context.Context, batch []*stream.Record) {
	if err := r.hold(ctx); err != nil {
		for _, rec := range batch {
			rec.Drop()
		}
		return
	}
	for _, rec := range batch {
		r.fanOut(ctx, rec)
	}
}

// fanOut sends one message to the members in its range. A record that is unreadable, or whose message cannot be sent any
// more, was written by another version of this program, or by nobody here: it goes to a dead topic like any input.
func (r *Route) fanOut(ctx context.Context, rec *stream.Record) {
	f, err := stream.DecodeFanout(rec.Value)
	if err != nil {
		r.dead(ctx, rec, r.pending(rec), nil, err)
		return
	}
	j := r.open(ctx, rec, f.Chat, f.Purpose)
	if j == nil {
		return
	}
	if !j.toGroup() { // whoever wrote it divided a message that names its recipients
		r.dead(ctx, rec, j.pending, j.msg, errNoGroup)
		return
	}
	j.big, j.group = true, part{f.First, f.Last, f.Buckets}
	if f.Purpose == push.PurposeFirst && len(r.dropRecalled(ctx, []*job{j})) == 0 {
		return
	}
	c := r.chunk(f.Purpose)
	r.gather(ctx, c, j)
	c.flush(ctx)
	j.pending.Done(nil)
}
