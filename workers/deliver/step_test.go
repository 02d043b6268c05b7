package deliver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

var (
	now    = time.UnixMilli(1_790_000_000_000)
	policy = outcome.Policy{Delays: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}, MaxAttempts: 4}
)

// follows is what a row of the table says about a step.
type follows struct {
	Disposition push.Disposition
	Reason      push.Reason
	Topic       string
	Attempt     int
	NotBefore   time.Duration // from now; 0 = none
	Refused     time.Time
	Mark        registry.MarkState
	Unmarked    bool
	Reject      bool
}

func TestWhatFollowsAnOutcome(t *testing.T) {
	t.Parallel()
	unavailable := push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "503 ServiceUnavailable"}
	waitFor := func(d time.Duration) push.Outcome {
		o := unavailable
		o.RetryAfter = d
		return o
	}
	down := unavailable
	down.Scope = push.ScopeProvider
	ambiguous := push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true}
	for name, test := range map[string]struct {
		outcome push.Outcome
		attempt int
		age     time.Duration // since route wrote it
		grace   time.Duration // of a token that is called unregistered
		refused time.Duration // ago, when it was called so first; 0 = never
		expires time.Duration
		want    follows
	}{
		"delivered": {
			outcome: push.Outcome{Disposition: push.Delivered}, attempt: 1,
			want: follows{Disposition: push.Delivered, Attempt: 1, Mark: registry.MarkDone},
		},
		"first failure waits the first delay": {
			outcome: unavailable, attempt: 1,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.10s", Attempt: 2, Mark: registry.MarkRetry},
		},
		"third failure waits the third delay": {
			outcome: unavailable, attempt: 3,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.10m", Attempt: 4, Mark: registry.MarkRetry},
		},
		"last attempt failed": {
			outcome: unavailable, attempt: 4,
			want: follows{Disposition: push.Dead, Reason: push.ReasonAttemptsExhausted, Topic: "push.apns.dead", Attempt: 4, Mark: registry.MarkDead},
		},
		"provider wishes for less than the delay": {
			outcome: waitFor(2 * time.Second), attempt: 1,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.10s", Attempt: 2, Mark: registry.MarkRetry},
		},
		"provider wishes for more than the delay": {
			outcome: waitFor(90 * time.Second), attempt: 1,
			want: follows{
				Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.1m", Attempt: 2,
				NotBefore: 90 * time.Second, Mark: registry.MarkRetry,
			},
		},
		"provider is down: no attempt charged": {
			outcome: down, attempt: 1, age: 5 * time.Second,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.10s", Attempt: 1, Mark: registry.MarkReleased},
		},
		"provider is down for long: the wait grows with it": {
			outcome: down, attempt: 1, age: 4 * time.Minute,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.1m", Attempt: 1, Mark: registry.MarkReleased},
		},
		"provider is down at the last attempt: it is not the last": {
			outcome: down, attempt: 4, age: time.Hour, expires: 48 * time.Hour,
			want: follows{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Topic: "push.apns.retry.10m", Attempt: 4, Mark: registry.MarkReleased},
		},
		"provider is down until after the message's end": {
			outcome: down, attempt: 2, age: 20 * time.Minute, expires: time.Minute,
			want: follows{Disposition: push.Filter, Reason: push.ReasonExpired, Attempt: 2, Mark: registry.MarkDone},
		},
		"it may have been delivered: an attempt": {
			outcome: ambiguous, attempt: 1, age: time.Hour,
			want: follows{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Topic: "push.apns.retry.10s", Attempt: 2, Mark: registry.MarkRetry},
		},
		"message would expire before the next attempt": {
			outcome: unavailable, attempt: 1, expires: 5 * time.Second,
			want: follows{Disposition: push.Filter, Reason: push.ReasonExpired, Attempt: 1, Mark: registry.MarkDone},
		},
		"another worker sends it: no attempt charged": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonLeased}, attempt: 4,
			want: follows{Disposition: push.Retry, Reason: push.ReasonLeased, Topic: "push.apns.retry.10s", Attempt: 4, Unmarked: true},
		},
		"credential refused: parked, no attempt charged": {
			outcome: push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused}, attempt: 2,
			want: follows{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Topic: "push.apns.parked", Attempt: 2, Mark: registry.MarkReleased},
		},
		"quota of the credential: no attempt charged": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Scope: push.ScopeCredential, RetryAfter: 90 * time.Second}, attempt: 4,
			want: follows{
				Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Topic: "push.apns.retry.1m", Attempt: 4,
				NotBefore: 90 * time.Second, Mark: registry.MarkReleased,
			},
		},
		"device throttled: an attempt": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled}, attempt: 1,
			want: follows{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, Topic: "push.apns.retry.10s", Attempt: 2, Mark: registry.MarkRetry},
		},
		"paused: parked, no attempt charged": {
			outcome: push.Outcome{Disposition: push.Park, Reason: push.ReasonPaused}, attempt: 2,
			want: follows{Disposition: push.Park, Reason: push.ReasonPaused, Topic: "push.apns.parked", Attempt: 2, Mark: registry.MarkReleased},
		},
		"token is called unregistered for the first time, by a provider that errs: asked again later, no attempt charged": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered}, attempt: 4, grace: 20 * time.Minute,
			want: follows{
				Disposition: push.Retry, Reason: push.ReasonUnregistered, Topic: "push.apns.retry.10m", Attempt: 4,
				NotBefore: 20 * time.Minute, Refused: now, Mark: registry.MarkReleased,
			},
		},
		"and once more within the grace": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered}, attempt: 1, grace: 20 * time.Minute, refused: 19 * time.Minute,
			want: follows{
				Disposition: push.Retry, Reason: push.ReasonUnregistered, Topic: "push.apns.retry.1m", Attempt: 1,
				Refused: now.Add(-19 * time.Minute), Mark: registry.MarkReleased,
			},
		},
		"and after it": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered}, attempt: 1, grace: 20 * time.Minute, refused: 20 * time.Minute,
			want: follows{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Attempt: 1, Refused: now.Add(-20 * time.Minute), Mark: registry.MarkDone, Reject: true},
		},
		"a message that ends before the grace does leaves the token alone": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered}, attempt: 1, grace: 2 * time.Hour,
			want: follows{Disposition: push.Filter, Reason: push.ReasonExpired, Attempt: 1, Refused: now, Mark: registry.MarkDone},
		},
		"a bad token has no grace": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken}, attempt: 1, grace: time.Hour,
			want: follows{Disposition: push.DropToken, Reason: push.ReasonBadToken, Attempt: 1, Mark: registry.MarkDone, Reject: true},
		},
		"token is gone": {
			outcome: push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered}, attempt: 1,
			want: follows{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Attempt: 1, Mark: registry.MarkDone, Reject: true},
		},
		"can never be sent": {
			outcome: push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}, attempt: 1,
			want: follows{Disposition: push.Dead, Reason: push.ReasonTooLarge, Topic: "push.apns.dead", Attempt: 1, Mark: registry.MarkDead},
		},
		"device came to the foreground": {
			outcome: push.Outcome{Disposition: push.Filter, Reason: push.ReasonForeground}, attempt: 1,
			want: follows{Disposition: push.Filter, Reason: push.ReasonForeground, Attempt: 1, Mark: registry.MarkDone},
		},
		"a newer attempt is under way: its mark stays": {
			outcome: push.Outcome{Disposition: push.Filter, Reason: push.ReasonSuperseded}, attempt: 1,
			want: follows{Disposition: push.Filter, Reason: push.ReasonSuperseded, Attempt: 1, Unmarked: true},
		},
		"a forgotten case loses nothing": {
			outcome: push.Outcome{}, attempt: 1,
			want: follows{Disposition: push.Retry, Topic: "push.apns.retry.10s", Attempt: 2, Mark: registry.MarkRetry},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expires := time.Hour
			if test.expires > 0 {
				expires = test.expires
			}
			n := &push.Notification{Platform: "apns", Expires: now.Add(expires)}
			meta := stream.Meta{Attempt: test.attempt, FirstSeen: now.Add(-test.age)}
			if test.refused > 0 {
				meta.Refused = now.Add(-test.refused)
			}
			policy := policy
			policy.Grace = test.grace
			s := next(test.outcome, n, meta, now, stream.Topics{}, policy)
			got := follows{
				Disposition: s.disposition, Reason: s.reason, Topic: s.topic, Attempt: s.meta.Attempt,
				Unmarked: s.unmarked, Reject: s.reject, Refused: s.meta.Refused,
			}
			if !s.unmarked {
				got.Mark = s.mark
			}
			if !s.meta.NotBefore.IsZero() {
				got.NotBefore = s.meta.NotBefore.Sub(now)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("what follows (-want +got):\n%s", diff)
			}
		})
	}
}
