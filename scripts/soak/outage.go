package main

import (
	"context"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// platforms are those that the users have, with the time within which their lag has to be gone after an outage. FCM asks
// senders to come back slowly.
var platforms = []struct {
	name push.Platform
	bar  time.Duration
}{{"apns", time.Minute}, {"fcm", 3 * time.Minute}}

// recovery is how a platform came back, from an outage or a pause.
type recovery struct {
	platform push.Platform
	bar      time.Duration
	highest  int64         // records in its lanes, unread
	lanes    time.Duration // from its return until less was unread than comes in half a second; 0 = it never was
	waiting  time.Duration // until the last record had left its retry and parked topics; 0 = it never had
}

// took is how long it was until no lag was left; 0 = some is left.
func (r recovery) took() time.Duration {
	if r.lanes == 0 || r.waiting == 0 {
		return 0
	}
	return max(r.lanes, r.waiting)
}

const (
	lagEvery = 500 * time.Millisecond
	patience = 10 * time.Minute
)

const down = `faults:
- {name: apns, platform: apns, do: answer, status: 503, reason: ServiceUnavailable}
- {name: fcm, platform: fcm, do: answer, status: 503, reason: UNAVAILABLE}
`

// recover takes both providers down and back, under load, and returns when no lag is left, or when patience is over.
func (f *fleet) recover(ctx context.Context, o options) ([]recovery, error) {
	if err := f.suffer(down); err != nil {
		return nil, err
	}
	if err := f.pass(ctx, o.outage); err != nil {
		return nil, err
	}
	if err := f.suffer(""); err != nil {
		return nil, err
	}
	return f.readUp(ctx, o)
}

// readUp looks at the lag of every platform from now until none is left, or until patience is over.
func (f *fleet) readUp(ctx context.Context, o options) ([]recovery, error) {
	back := time.Now()
	all := make([]recovery, len(platforms))
	for open := len(all); open > 0 && time.Since(back) < patience; {
		if err := f.pass(ctx, lagEvery); err != nil {
			return nil, err
		}
		open = 0
		for i, p := range platforms {
			r := &all[i]
			r.platform, r.bar = p.name, p.bar
			lanes, waiting, err := f.lag(ctx, p.name)
			if err != nil {
				return nil, err
			}
			r.highest = max(r.highest, lanes)
			since := time.Since(back)
			r.lanes = first(r.lanes, since, lanes <= int64(o.rate/len(platforms)/2))
			r.waiting = first(r.waiting, since, waiting == 0)
			if r.took() == 0 {
				open++
			}
		}
	}
	return all, nil
}

// first is when something began to be so, 0 = it is not.
func first(since, now time.Duration, is bool) time.Duration {
	switch {
	case !is:
		return 0
	case since == 0:
		return now
	}
	return since
}

// drain returns when the whole load is worked off, or when patience is over: what is missing then is counted. It looks
// twice, for a record that moves between a lane and a retry topic from one question to the next is in neither's lag.
func (f *fleet) drain(ctx context.Context) error {
	for began, empty := time.Now(), 0; empty < 2 && time.Since(began) < patience; {
		left, err := f.unread(ctx, "route", f.topics.Messages())
		if err != nil {
			return err
		}
		for _, p := range platforms {
			lanes, waiting, err := f.lag(ctx, p.name)
			if err != nil {
				return err
			}
			left += lanes + waiting
		}
		empty++
		if left > 0 {
			empty = 0
		}
		if err := f.pass(ctx, lagEvery); err != nil {
			return err
		}
	}
	return nil
}
