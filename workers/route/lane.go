package route

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// newLimiters gives each app with a rate a bucket of one second's pushes.
func newLimiters(apps map[string]Policy) map[string]*rate.Limiter {
	limiters := make(map[string]*rate.Limiter)
	for name, p := range apps {
		if p.Rate > 0 {
			limiters[name] = rate.NewLimiter(rate.Limit(p.Rate), int(math.Ceil(p.Rate)))
		}
	}
	return limiters
}

// lane is where a push of the job goes: where the message belongs by its kind and the size of its group, or bulk while
// its app is above its rate. Pushes that belong in bulk anyway take nothing of the rate.
func (r *Route) lane(j *job, now time.Time) push.Lane {
	lane := j.msg.Lane()
	if j.big {
		lane = j.msg.FanoutLane()
	}
	if lane == push.LaneBulk {
		return lane
	}
	if limiter := r.limiters[j.msg.App]; limiter != nil && !limiter.AllowN(now, 1) {
		return push.LaneBulk
	}
	return lane
}
