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
	failed   error // why nothing more is asked
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
	if c.failed != nil {
		j.pending.Add()(c.failed)
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
	decisions, err := insist(ctx, c.route, func() ([]registry.Decision, error) { return c.ask(ctx, c.requests) })
	for i, j := range c.owners {
		if err != nil {
			j.pending.Add()(err)
			continue
		}
		c.emit(ctx, j, c.requests[i].User, decisions[i])
	}
	c.failed, c.requests, c.owners = err, c.requests[:0], c.owners[:0]
}
