package callback

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	// A failed callback is repeated when about as much time has passed as the receiver has been failing for, within these
	// bounds, half less or more by chance: a receiver that fails now and then costs a second, and one that is down for hours is
	// asked once a minute by each callback under way.
	firstPause   = time.Second
	longestPause = time.Minute
	// refusals of a whole batch before the culprit is looked for: a receiver that is being replaced may refuse for a moment.
	refusals = 3
)

// send tells batches until ctx ends.
func (c *Callback) send(ctx context.Context) {
	for {
		select {
		case b := <-c.batches:
			c.tell(ctx, b, refusals)
		case <-ctx.Done():
			return
		}
	}
}

// tell repeats until a batch is accepted, is a dead letter, or is not this process's any more. What is refused tries times
// is divided, until the one event is found that the receiver does not take.
func (c *Callback) tell(ctx context.Context, b *batch, tries int) {
	body := b.body(c.cfg.App)
	for b.ctx.Err() == nil {
		began := time.Now()
		a := c.post(ctx, body)
		if a.result != Accepted && ctx.Err() != nil { // it says nothing of the receiver
			b.end(context.Cause(ctx))
			return
		}
		c.cfg.Observe(c.cfg.App, a.result, len(b.items), time.Since(began))
		down := c.note(a)
		switch {
		case a.result == Accepted:
			b.end(nil)
			return
		case a.result == Refused:
			if tries--; tries <= 0 {
				c.divide(ctx, b, a)
				return
			}
		case c.cfg.Now().Sub(b.oldest()) > c.cfg.MaxAge:
			c.bury(ctx, b, push.ReasonCallbackExpired, a)
			return
		}
		if err := wait(ctx, b.ctx, max(pause(down), a.retryAfter)); err != nil {
			b.end(err)
			return
		}
	}
	b.end(context.Cause(b.ctx))
}

// wait returns why one of the contexts ended before.
func wait(ctx, other context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-other.Done():
		return context.Cause(other)
	}
}

func (c *Callback) divide(ctx context.Context, b *batch, a answer) {
	if len(b.items) == 1 {
		c.bury(ctx, b, push.ReasonCallbackRefused, a)
		return
	}
	for _, half := range b.halves() {
		c.tell(ctx, half, 1)
	}
}

// bury makes a batch a dead letter: its body as it was posted, so that redrive has it posted again.
func (c *Callback) bury(ctx context.Context, b *batch, reason push.Reason, a answer) {
	first := b.items[0].rec
	seen, origin := b.oldest(), first.Origin()
	if at, place, ok := first.SentBack(); ok {
		seen, origin = at, place
	}
	now := c.cfg.Now()
	letter := stream.DeadInput(c.cfg.Topics, &stream.Record{Topic: c.cfg.Topics.Callbacks(), Time: now, Key: []byte(c.cfg.App), Value: b.body(c.cfg.App),
		Headers: []stream.Header{{Key: stream.HeaderOrigin, Value: []byte(origin)},
			{Key: stream.HeaderFirstSeen, Value: strconv.AppendInt(nil, seen.UnixMilli(), 10)}}}, reason, a.text, now)
	c.pub.Publish(ctx, letter, func(err error) {
		if err == nil {
			c.cfg.Observe(c.cfg.App, Dead, len(b.items), 0)
		}
		b.end(err)
	})
	c.log.Warn("callback to the dead topic", zap.String("app", c.cfg.App), zap.String("reason", string(reason)),
		zap.String("answer", a.text), zap.Int("events", len(b.items)))
}

// note says for how long the receiver has been failing, and logs when that begins and ends.
func (c *Callback) note(a answer) time.Duration {
	now := c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.result == Accepted && !c.failing.IsZero():
		c.log.Info("callbacks are accepted", zap.String("app", c.cfg.App), zap.Duration("after", now.Sub(c.failing)))
		c.failing = time.Time{}
	case a.result != Accepted && c.failing.IsZero():
		c.log.Warn("callbacks are not accepted; they wait", zap.String("app", c.cfg.App), zap.String("answer", a.text))
		c.failing = now
	}
	if c.failing.IsZero() {
		return 0
	}
	return now.Sub(c.failing)
}

// pause is how long to wait after a failure of a receiver that has been failing for so long.
func pause(down time.Duration) time.Duration {
	wait := min(max(down, firstPause), longestPause)
	return wait/2 + rand.N(wait)
}
