package deliver

import (
	"context"
	"math"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/workers/control"
)

// govern decides, until ctx ends, whether records are fetched, and starts what was held back once it may go on.
func (d *Deliver) govern(ctx context.Context) {
	tick := time.NewTicker(governEvery)
	defer tick.Stop()
	for {
		d.regulate(ctx)
		select {
		case <-tick.C:
		case <-d.wake:
		case <-ctx.Done():
			return
		}
	}
}

// regulate is one look at everything. A provider that is down, and one that an operator has stopped, gets no further
// records; those that were read wait in their pools. Where a probe is due and nothing is there, records are fetched for it.
func (d *Deliver) regulate(ctx context.Context) {
	atHand := d.ready.len()
	pools := d.all()
	for _, p := range pools {
		p.purge()
		atHand += p.held()
	}
	state := d.provider.State()
	probe := state == gobreaker.StateHalfOpen && atHand == 0
	if !d.stops.PlatformPaused(d.cfg.Platform) && (state == gobreaker.StateClosed || probe) {
		d.fetch.Resume()
	} else {
		d.fetch.Pause()
	}
	for _, p := range pools {
		p.start(ctx)
		p.announce(ctx)
	}
}

// nudge has govern look at once.
func (d *Deliver) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Deliver) providerChanged(to gobreaker.State) {
	log := d.log.Info
	if to == gobreaker.StateOpen {
		log = d.log.Error
	}
	log("provider's circuit changed", zap.String("platform", string(d.cfg.Platform)), zap.Stringer("state", to))
	d.nudge()
}

// permits is how many sends the provider may get now: none while it is down or stopped, one to probe it.
func (d *Deliver) permits() int {
	if d.stops.PlatformPaused(d.cfg.Platform) {
		return 0
	}
	switch d.provider.State() {
	case gobreaker.StateClosed:
		return math.MaxInt
	case gobreaker.StateHalfOpen:
		if !d.probing.Load() {
			return 1
		}
	}
	return 0
}

// allow asks the provider's circuit for one attempt, whose answer is told to what is returned.
func (d *Deliver) allow() (func(error), error) {
	done, err := d.provider.Allow()
	if err != nil || d.provider.State() != gobreaker.StateHalfOpen {
		return done, err
	}
	d.probing.Store(true)
	return func(err error) {
		done(err)
		d.probing.Store(false)
		d.nudge()
	}, nil
}

// all is the pools there are.
func (d *Deliver) all() []*pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	pools := make([]*pool, 0, len(d.pools))
	for _, p := range d.pools {
		pools = append(pools, p)
	}
	return pools
}

// Reset forgets what was held against the credentials that a target covers, because an operator or a new key says that
// things are different now: the next attempts show whether that is so. It is safe for concurrent use.
func (d *Deliver) Reset(t control.Target) {
	for _, p := range d.all() {
		if t.Covers(d.cfg.Platform, p.cred.app, p.cred.name) {
			p.reset()
		}
	}
	d.nudge()
}

// State is what an operator may see of a pool.
type State struct {
	Provider    gobreaker.State
	Stopped     bool // by an operator
	Credentials []CredentialState
}

// CredentialState is what an operator may see of one credential.
type CredentialState struct {
	App, Credential string
	Circuit         gobreaker.State
	Paused          bool // by an operator
	Braked          bool // rejected tokens are not believed
	Limit           int  // of sends in flight
	Flying, Waiting int
}

// State returns the state as of now. It is safe for concurrent use.
func (d *Deliver) State() State {
	s := State{Provider: d.provider.State(), Stopped: d.stops.PlatformPaused(d.cfg.Platform)}
	for _, p := range d.all() {
		s.Credentials = append(s.Credentials, p.state())
	}
	return s
}

// parkedFor is the outcome of a record that is parked without being sent.
func parkedFor(reason push.Reason) push.Outcome {
	return push.Outcome{Disposition: push.Park, Reason: reason}
}
