package deliver

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const (
	limitWindow   = time.Second            // how often the limit is looked at, about
	limitFloor    = 10                     // the limit falls to a tenth of the most, at least to 1
	limitRise     = 20                     // and rises by a twentieth of the most in a window
	limitCutQuota = 0.5                    // what is left of it where the provider says that it is too much
	limitCutSlow  = 0.8                    // or where answers are slow, or do not come
	slowTimes     = 3                      // slow is three times what was usual,
	slowAbove     = 500 * time.Millisecond // and so much longer
	usualRise     = 1.05                   // what is usual follows a provider that got slower, in a window
)

// concurrency is how many sends of one credential may be in flight: additive increase, multiplicative decrease. It
// begins at the most, for what is usual is that the provider takes it. Its owner guards it.
type concurrency struct {
	most, least float64
	limit       float64
	usual       time.Duration // mean time of an answer in good windows; 0 = not known

	began      time.Time // of the window
	sum        time.Duration
	n          int
	full       bool // the limit was reached
	quota, bad bool
}

func newConcurrency(most int) concurrency {
	return concurrency{most: float64(most), least: max(float64(most)/limitFloor, 1), limit: float64(most)}
}

// places is the limit.
func (c *concurrency) places() int { return int(c.limit) }

// note takes an answer that took so long, while flying sends were in flight.
func (c *concurrency) note(now time.Time, o push.Outcome, took time.Duration, flying int) {
	if c.began.IsZero() {
		c.began = now
	}
	c.full = c.full || flying >= c.places()
	switch {
	case o.Reason == push.ReasonProviderThrottled:
		c.quota = true
	case o.Reason == push.ReasonTimeout && o.Scope == push.ScopeProvider:
		c.bad = true
	case o.Answer != "" || o.Disposition == push.Delivered:
		c.sum += took
		c.n++
	}
	if now.Sub(c.began) >= limitWindow {
		c.decide()
		*c = concurrency{most: c.most, least: c.least, limit: c.limit, usual: c.usual, began: now}
	}
}

func (c *concurrency) decide() {
	slow := false
	if c.n > 0 {
		mean := c.sum / time.Duration(c.n)
		slow = c.usual > 0 && mean > slowTimes*c.usual && mean > c.usual+slowAbove
		if risen := time.Duration(float64(c.usual) * usualRise); c.usual == 0 || mean < risen {
			c.usual = mean
		} else {
			c.usual = risen
		}
	}
	switch {
	case c.quota:
		c.limit *= limitCutQuota
	case c.bad, slow:
		c.limit *= limitCutSlow
	case c.full:
		c.limit += c.most / limitRise
	}
	c.limit = min(max(c.limit, c.least), c.most)
}
