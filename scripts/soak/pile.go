package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	// pauseReaches is when every process has read what an operator said, a second ago.
	pauseReaches = 5 * time.Second
	// pilePace is by how many times the load the records that wait come on top of it: quick, and no more than route can
	// pass on, so that APNs' load stays the same.
	pilePace = 4
	// settle is what the processes have to give back the memory that making the records took. Go gives it back late, and
	// compared are minutes under the same load.
	settle = time.Minute
	// pileFrom is far beyond the numbers of the load's messages: nothing is a duplicate.
	pileFrom = 1_000_000_000
)

// pile pauses FCM as an operator would, makes so many records wait for it while the load goes on, and looks at memory
// while they do. FCM stays paused.
func (f *fleet) pile(ctx context.Context, o options, l *load) ([]memory, error) {
	if err := f.operate(ctx, "pause", "--platform", "fcm"); err != nil {
		return nil, err
	}
	if err := f.pass(ctx, pauseReaches); err != nil {
		return nil, err
	}
	enough := l.more(ctx, f, pilePace*o.rate, func(n int) stream.Message {
		return message(f.topics, (2*n+1)%users, pileFrom+n, time.Now()) // users of FCM
	})
	defer enough()
	for began := time.Now(); ; {
		lanes, _, err := f.lag(ctx, "fcm")
		if err != nil {
			return nil, err
		}
		if lanes >= int64(o.waiting) {
			say("%d records wait", lanes)
			break
		}
		if time.Since(began) > patience {
			return nil, fmt.Errorf("%d records wait after %s", lanes, patience)
		}
		if err := f.pass(ctx, lagEvery); err != nil {
			return nil, err
		}
	}
	enough()
	if err := f.pass(ctx, settle); err != nil {
		return nil, err
	}
	return f.watch(ctx, o.hold)
}

// resume lets FCM go on, and returns how it came back when no lag is left on any platform; it is an error when some is
// left after patience.
func (f *fleet) resume(ctx context.Context, o options) (*recovery, error) {
	if err := f.operate(ctx, "resume", "--platform", "fcm"); err != nil {
		return nil, err
	}
	all, err := f.readUp(ctx, o)
	if err != nil {
		return nil, err
	}
	var resumed *recovery
	for i, r := range all {
		if r.took() == 0 {
			return nil, fmt.Errorf("lag of %s is left %s after FCM was resumed", r.platform, patience)
		}
		if r.platform == "fcm" {
			resumed = &all[i]
		}
	}
	return resumed, nil
}

// pace is how many of the records that waited left the lanes each second, beside the load. The lanes must have been read up.
func (r recovery) pace() float64 { return float64(r.highest) / r.lanes.Seconds() }
