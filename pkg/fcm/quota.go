package fcm

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// defaultQuota is what Google gives a project, in messages a minute.
	defaultQuota = 600_000
	// defaultRampUp is the shortest time in which Google wants to see traffic grow from nothing to its most.
	defaultRampUp = time.Minute
	// minute is FCM's window, in seconds.
	minute = 60
	// A new or idle project starts with a tenth of its rate, or with modestRate, which is no spike to anyone.
	idleShare  = 10
	modestRate = 100
	// A burst is what a tenth of a second allows.
	burstShare = 10
	// measured is how long use is counted before the rate moves.
	measured = time.Second
)

// errQuota says that a notification's time ended while it waited for its project's quota. It was not sent.
var errQuota = errors.New("the project's share of FCM's quota is used up")

// quota is the rate at which this process may send to one project, whatever the number of its credentials: a token
// bucket whose rate grows where it is used, by so much a second that it takes the time of the ramp from the start to
// the whole, and falls back as slowly where it is not. Google asks for both: it refuses what is above the quota, and
// spikes in general. Safe for concurrent use.
type quota struct {
	rampUp time.Duration // 0 = the whole rate at once
	bucket *rate.Limiter

	mu    sync.Mutex
	whole float64 // messages a second; 0 = no bound
	start float64 // of a project that has been idle
	slope float64 // a second more, each second
	rate  float64
	asked float64 // since
	since time.Time
}

// newQuota has no bound yet.
func newQuota(rampUp time.Duration) *quota {
	return &quota{rampUp: rampUp, bucket: rate.NewLimiter(rate.Inf, math.MaxInt32)} // a bucket begins full
}

// bound allows at most so many messages a minute; of several bounds the lowest holds. 0 = no bound.
func (q *quota) bound(perMinute float64) {
	whole := perMinute / minute
	q.mu.Lock()
	defer q.mu.Unlock()
	if whole == 0 || q.whole != 0 && q.whole <= whole {
		return
	}
	q.whole, q.start, q.slope = whole, whole, 0
	if q.rampUp > 0 {
		q.start = min(whole, max(whole/idleShare, modestRate))
		q.slope = (whole - q.start) / q.rampUp.Seconds()
	}
	q.move(q.start, time.Now())
}

// move sets the rate. The lock is held.
func (q *quota) move(to float64, now time.Time) {
	q.rate = to
	q.bucket.SetBurstAt(now, burst(to))
	q.bucket.SetLimitAt(now, rate.Limit(to))
}

func burst(perSecond float64) int { return max(1, int(perSecond/burstShare)) }

// take waits until one more message may be sent. Its error is the context's, or errQuota where the context's time ended
// or would have ended first: then it waits that long all the same, so that what cannot be sent is held back where it
// comes from.
func (q *quota) take(ctx context.Context) error {
	q.ask(time.Now())
	if q.bucket.Wait(ctx) == nil {
		return nil
	}
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errQuota
	}
	return ctx.Err()
}

// ask counts one message that is to be sent, and moves the rate.
func (q *quota) ask(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.whole == 0 {
		return
	}
	q.asked++
	if q.since.IsZero() {
		q.since = now
	}
	passed := now.Sub(q.since)
	if passed < measured {
		return
	}
	// Twice what is asked for is room enough: more would let a quiet project make a spike.
	change := q.slope * passed.Seconds()
	if q.asked < q.rate*passed.Seconds()/2 {
		change = -change
	}
	q.asked, q.since = 0, now
	if to := min(max(q.rate+change, q.start), q.whole); to != q.rate {
		q.move(to, now)
	}
}
