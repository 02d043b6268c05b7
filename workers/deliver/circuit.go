package deliver

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const (
	// refusedFor is how long a refused credential's records are parked unsent; then one notification probes.
	refusedFor = 30 * time.Second

	// A provider is down where so many answers in a row say so, or so many, and half of all, in the window. The window
	// is longer than a send's time-out: an answer counts at the time of its request.
	downWindow = 30 * time.Second
	downBucket = 3 * time.Second
	downAtOnce = 20
	downShare  = 0.5
	// downFor is the pause until one notification probes a provider that is down.
	downFor = 5 * time.Second
)

// circuit lets attempts through or not. What it is told of an attempt that began before its last change counts nothing.
type circuit = gobreaker.TwoStepCircuitBreaker[struct{}]

// What a circuit is told of an attempt, besides nil for a success.
var (
	errFailed  = errors.New("failed")
	errNothing = errors.New("says nothing") // neither success nor failure: the next one probes
)

func saysNothing(err error) bool { return errors.Is(err, errNothing) }

// newCredentialCircuit opens at the first refusal: a key that is refused once is refused every time.
func newCredentialCircuit() *circuit {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout: refusedFor, IsExcluded: saysNothing,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 0 },
	})
}

// newProviderCircuit is a platform's. changed is called with every new state, under the circuit's lock.
func newProviderCircuit(changed func(gobreaker.State)) *circuit {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout: downFor, Interval: downWindow, BucketPeriod: downBucket, IsExcluded: saysNothing,
		ReadyToTrip:   providerIsDown,
		OnStateChange: func(_ string, _, to gobreaker.State) { changed(to) },
	})
}

func providerIsDown(c gobreaker.Counts) bool {
	answered := float64(c.TotalSuccesses) + float64(c.TotalFailures)
	return c.ConsecutiveFailures >= downAtOnce ||
		c.TotalFailures >= downAtOnce && float64(c.TotalFailures) >= downShare*answered
}

// ofCredential is what an outcome says of the credential.
func ofCredential(o push.Outcome) error {
	switch {
	case o.Disposition == push.Park && o.Scope == push.ScopeCredential:
		return errFailed
	case o.Disposition == push.Retry && o.Scope != push.ScopeDevice, o.Ambiguous, o.Reason == push.ReasonTimeout:
		return errNothing
	}
	return nil
}

// ofProvider is what an outcome says of the provider: any answer but its own failure shows that it is there.
func ofProvider(o push.Outcome) error {
	switch {
	case o.Disposition == push.Retry && o.Scope == push.ScopeProvider:
		return errFailed
	case o.Answer == "" && o.Disposition != push.Delivered:
		return errNothing
	}
	return nil
}
