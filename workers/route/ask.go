package route

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// lastingTries is how often a call is repeated whose error asking again does not heal; then the culprit is looked for.
const lastingTries = 5

// errUnanswerable says that Redis answers what nobody can read, and will again: see registry.Lasting.
var errUnanswerable = errors.New("registry: what it holds about this cannot be read")

// reply is the answer to one request, or why there is none: errUnanswerable, or why ctx ended.
type reply[A any] struct {
	answer A
	err    error
}

// ask repeats a call until the registry answers or ctx ends. Where an error lasts it divides the requests, so that the one
// that cannot be answered holds up no other.
func ask[Q, A any](ctx context.Context, r *Route, requests []Q, call func(context.Context, []Q) ([]A, error)) []reply[A] {
	replies := make([]reply[A], len(requests))
	halve(ctx, r, requests, replies, lastingTries, call)
	return replies
}

func halve[Q, A any](ctx context.Context, r *Route, requests []Q, replies []reply[A], tries int, call func(context.Context, []Q) ([]A, error)) {
	if len(requests) == 0 {
		return
	}
	lasting := 0
	answers, err := insist(ctx, r, func() ([]A, error) {
		answers, err := call(ctx, requests)
		if registry.Lasting(err) {
			if lasting++; lasting == tries {
				r.log.Error("registry cannot answer", zap.Int("requests", len(requests)), zap.Error(err))
				return nil, errUnanswerable
			}
		}
		return answers, err
	})
	switch {
	case errors.Is(err, errUnanswerable) && len(requests) > 1:
		half := len(requests) / 2
		halve(ctx, r, requests[:half], replies[:half], 1, call)
		halve(ctx, r, requests[half:], replies[half:], 1, call)
	default:
		for i := range replies {
			replies[i].err = err
			if err == nil {
				replies[i].answer = answers[i]
			}
		}
	}
}

// insist repeats a call until it succeeds, cannot be answered, or ctx ends.
func insist[T any](ctx context.Context, r *Route, call func() (T, error)) (T, error) {
	for failed := 0; ; failed++ {
		answer, err := call()
		if err == nil || errors.Is(err, errUnanswerable) {
			return answer, err
		}
		if failed == 0 {
			r.log.Warn("no answer; route holds", zap.Error(err))
		}
		if err := pause(ctx, r.cfg.HoldPause); err != nil {
			return answer, err
		}
	}
}

// giveUp leaves a job's record to be read again, where ctx ended; where the registry cannot answer for it, the record goes
// to its dead topic, once, and what was decided of it stays so.
func (r *Route) giveUp(ctx context.Context, j *job, err error) {
	if !errors.Is(err, errUnanswerable) {
		j.pending.Add()(err)
		return
	}
	if !j.buried {
		j.buried = true
		r.bury(ctx, j.source, j.pending, j.msg, err)
	}
}

// undecided gives up one recipient.
func (r *Route) undecided(ctx context.Context, j *job, user string, err error) {
	r.giveUp(ctx, j, err)
	if errors.Is(err, errUnanswerable) {
		r.record(ctx, j, r.event(j.msg, j.msg.Key, user, "dead", push.ReasonInvalidMessage))
	}
}
