package outcome

import "time"

// Policy says when a failed attempt is repeated, and how often.
type Policy struct {
	Delays      []time.Duration // of the retry topics, ascending, at least one
	MaxAttempts int
	// Grace is how long after a provider's first word that a token is unregistered it is asked again, before the token
	// is dropped; 0 = its first word counts.
	Grace time.Duration
}

// Delay chooses the retry topic after an attempt (1 = the first), where the provider wished for a pause (0 = none).
func (p Policy) Delay(attempt int, wish time.Duration) time.Duration {
	delay := p.Delays[min(max(attempt, 1), len(p.Delays))-1]
	if wish > delay {
		return p.Hop(wish)
	}
	return delay
}

// Waited chooses the retry topic of a notification that waits for a provider to come back, for age so far: about as
// long again, so that an outage of any length is asked about a few times and not thousands.
func (p Policy) Waited(age, wish time.Duration) time.Duration { return p.Hop(max(age, wish)) }

// Hop chooses the delay towards a time that lies left ahead: the longest that does not overshoot, else the shortest.
// What is left after it takes another hop.
func (p Policy) Hop(left time.Duration) time.Duration {
	hop := p.Delays[0]
	for _, d := range p.Delays {
		if d <= left {
			hop = d
		}
	}
	return hop
}
