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
	unmarked    bool      // the registry knows already
	due         time.Time // of a repetition; zero = there is none
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
		if o.Reason == push.ReasonUnregistered && policy.Grace > 0 {
			if s.meta.Refused.IsZero() {
				s.meta.Refused = now
			}
			if left := s.meta.Refused.Add(policy.Grace).Sub(now); left > 0 { // it has to say so again
				s.disposition, s.mark = push.Retry, registry.MarkReleased
				return s.after(left, n, now, topics, policy)
			}
		}
		s.reject, s.mark = true, registry.MarkDone
	case push.Park:
		s.topic, s.mark = topics.Parked(n.Platform), registry.MarkReleased
	case push.Dead:
		return dead(o.Reason)
	default:
		if o.Reason == push.ReasonLeased { // another attempt is under way: this one was none
			s.topic, s.unmarked, s.due = topics.Retry(n.Platform, policy.Delays[0]), true, now.Add(policy.Delays[0])
			return s
		}
		if o.Scope != push.ScopeDevice && !o.Ambiguous { // an outage, or a quota, is not the notification's fault
			s.mark = registry.MarkReleased
			return s.follow(policy.Waited(age(meta, now), o.RetryAfter), o.RetryAfter, n, now, topics)
		}
		if meta.Attempt >= policy.MaxAttempts {
			return dead(push.ReasonAttemptsExhausted)
		}
		s.mark = registry.MarkRetry
		if s = s.follow(policy.Delay(meta.Attempt, o.RetryAfter), o.RetryAfter, n, now, topics); s.topic != "" {
			s.meta.Attempt++
		}
	}
	return s
}

// after is a repetition when so much time has passed.
func (s step) after(wait time.Duration, n *push.Notification, now time.Time, topics stream.Topics, policy outcome.Policy) step {
	return s.follow(policy.Hop(wait), wait, n, now, topics)
}

// follow is a repetition by the retry topic of a delay, no sooner than after wait. What would come too late ends.
func (s step) follow(delay, wait time.Duration, n *push.Notification, now time.Time, topics stream.Topics) step {
	if !n.Expires.After(now.Add(max(delay, wait))) {
		s.disposition, s.reason, s.mark, s.unmarked = push.Filter, push.ReasonExpired, registry.MarkDone, false
		return s
	}
	s.topic, s.meta.NotBefore, s.due = topics.Retry(n.Platform, delay), time.Time{}, now.Add(max(delay, wait))
	if wait > delay {
		s.meta.NotBefore = now.Add(wait)
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
