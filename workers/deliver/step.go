package deliver

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// step is what follows an outcome: where the record goes next, if anywhere, how the notification is marked, and what
// the event says.
type step struct {
	disposition push.Disposition
	reason      push.Reason
	topic       string // of the record that follows; "" = none
	meta        stream.Meta
	reject      bool // tell the registry that the token is dead
	mark        registry.MarkState
	unmarked    bool // the registry knows already
}

// next decides what follows an outcome; it changes nothing.
func next(o push.Outcome, n *push.Notification, meta stream.Meta, now time.Time, topics stream.Topics, policy outcome.Policy) step {
	s := step{disposition: o.Disposition, reason: o.Reason, meta: meta}
	s.meta.Reason, s.meta.Answer = o.Reason, o.Answer
	dead := func(reason push.Reason) step {
		s.disposition, s.reason = push.Dead, reason
		s.meta.Reason, s.meta.NotBefore = reason, time.Time{}
		s.topic, s.mark = topics.Dead(n.Platform), registry.MarkDead
		return s
	}
	switch o.Disposition {
	case push.Delivered:
		s.mark = registry.MarkDone
	case push.Filter:
		// A newer attempt is under way: its mark must stay, or it would end as done and nobody would be pushed.
		s.mark, s.unmarked = registry.MarkDone, o.Reason == push.ReasonSuperseded
	case push.DropToken:
		s.reject, s.mark = true, registry.MarkDone
	case push.Park:
		s.topic, s.mark = topics.Parked(n.Platform), registry.MarkReleased
	case push.Dead:
		return dead(o.Reason)
	default:
		if o.Reason == push.ReasonLeased { // another attempt is under way: this one was none
			s.topic, s.unmarked = topics.Retry(n.Platform, policy.Delays[0]), true
			return s
		}
		charged, delay := meta.Attempt+1, policy.Delay(meta.Attempt, o.RetryAfter)
		s.mark = registry.MarkRetry
		if o.Scope == push.ScopeProvider && !o.Ambiguous { // an outage is not the notification's fault
			charged, delay = meta.Attempt, policy.Waited(age(meta, now), o.RetryAfter)
			s.mark = registry.MarkReleased
		}
		if charged > policy.MaxAttempts {
			return dead(push.ReasonAttemptsExhausted)
		}
		if !n.Expires.After(now.Add(max(delay, o.RetryAfter))) { // it would be too late
			s.disposition, s.reason, s.mark = push.Filter, push.ReasonExpired, registry.MarkDone
			return s
		}
		s.topic = topics.Retry(n.Platform, delay)
		s.meta.Attempt, s.meta.NotBefore = charged, time.Time{}
		if o.RetryAfter > delay {
			s.meta.NotBefore = now.Add(o.RetryAfter)
		}
	}
	return s
}

// age is how long a notification has been under way.
func age(meta stream.Meta, now time.Time) time.Duration {
	if meta.FirstSeen.IsZero() {
		return 0
	}
	return now.Sub(meta.FirstSeen)
}
