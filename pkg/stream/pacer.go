package stream

import "time"

// rateMemory is how far back a pacer looks.
const rateMemory = 100 * time.Millisecond

// batchRate is the rate of records, per second, from which on waiting pays in full: a request costs about as much as 30
// records, so at that rate one every 10 ms is a fifth of the cost, and one every 20 ms a tenth.
const batchRate = 8000.0

// pacer turns the rate of records into a pause, so that they travel in batches under load and at once when it is idle.
type pacer struct {
	last time.Time
	rate float64 // records per second
}

// observe is called after each request.
func (p *pacer) observe(now time.Time, records int) {
	elapsed := max(now.Sub(p.last), time.Microsecond)
	p.last = now
	share := min(1, float64(elapsed)/float64(rateMemory))
	p.rate += (float64(records)/elapsed.Seconds() - p.rate) * share
}

// pause is the share of longest that the rate asks for.
func (p *pacer) pause(longest time.Duration) time.Duration {
	return time.Duration(min(1, p.rate/batchRate) * float64(longest))
}
