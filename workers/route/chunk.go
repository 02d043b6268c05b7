package route

import (
	"context"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// decideChunk bounds one pipeline to Redis: about 200 KB of requests, 3 ms of Redis' time.
const decideChunk = 500

// chunk gathers recipients, across messages, for one pipeline to Redis, and hands on what is decided of them.
type chunk struct {
	route    *Route
	ask      func(context.Context, []registry.DecideRequest) ([]registry.Decision, error)
	emit     func(context.Context, *job, string, registry.Decision)
	requests []registry.DecideRequest
	owners   []*job
}

func (r *Route) chunk(purpose string) *chunk {
	c := &chunk{route: r, ask: r.reg.Decide, emit: r.emit}
	if purpose == push.PurposeRecall {
		c.ask, c.emit = r.reg.Shown, r.replace
	}
	return c
}

// add takes one more recipient. After ctx ended the job is left to be read again.
func (c *chunk) add(ctx context.Context, j *job, user string) {
	if ctx.Err() != nil {
		j.pending.Add()(context.Cause(ctx))
		return
	}
	c.requests = append(c.requests, j.request(user))
	c.owners = append(c.owners, j)
	if len(c.requests) == decideChunk {
		c.flush(ctx)
	}
}

// flush decides what was gathered and hands it on, in order.
func (c *chunk) flush(ctx context.Context) {
	if len(c.requests) == 0 {
		return
	}
	for i, decision := range ask(ctx, c.route, c.requests, c.ask) {
		j, user := c.owners[i], c.requests[i].User
		if decision.err != nil {
			c.route.undecided(ctx, j, user, decision.err)
			continue
		}
		c.emit(ctx, j, user, decision.answer)
	}
	c.requests, c.owners = c.requests[:0], c.owners[:0]
}
