package route

import (
	"context"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// HandleFanout takes a batch of push.fanout: messages to many, each with a range of its recipients, or not divided yet. It
// returns as Handle does, and waits for memberships as well. Each bucket's members are read, decided and forgotten before
// the next, so that what it holds grows neither with the group nor with the range.
func (r *Route) HandleFanout(ctx context.Context, batch []*stream.Record) {
	err := r.hold(ctx, r.cfg.Hold)
	if err == nil {
		err = r.hold(ctx, r.cfg.HoldGroups)
	}
	if err != nil {
		for _, rec := range batch {
			rec.Drop()
		}
		return
	}
	for _, rec := range batch {
		r.fanOut(ctx, rec)
	}
}

// fanOut sends one message to the recipients in its range, or divides it. A record that is unreadable, or whose message
// cannot be sent any more, was written by another version of this program, or by nobody here: it goes to a dead topic like
// any input.
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
	if f.Purpose == push.PurposeFirst && len(r.dropRecalled(ctx, []*job{j})) == 0 {
		return
	}
	if f.Buckets > 0 {
		j.big, j.part = true, part{f.First, f.Last, f.Buckets}
	} else if len(r.address(ctx, []*job{j}, false)) == 0 {
		return
	}
	c := r.chunk(f.Purpose)
	r.gather(ctx, c, j)
	c.flush(ctx)
	j.pending.Done(nil)
}
