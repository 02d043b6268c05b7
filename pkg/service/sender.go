package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// errNoTopic says that this process was given no way to the gateways, as a preview is not.
var errNoTopic = errors.New("service: this process hands nothing to gateways")

// sender is [push.Sender] of one app.
type sender struct {
	driver *driver
	slots  chan struct{} // one for each record on its way
}

// answer is what became of one item of a batch.
type answer struct {
	i       int
	outcome push.Outcome
}

// Send hands a record for each notification to the offline topic; see [push.Sender]. Reports come from the caller's
// goroutine, so that none of them holds up whoever says that a record is durable.
func (s *sender) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	ctx, done := s.driver.begin(ctx)
	defer done()
	answers := make(chan answer, len(batch)) // room for all: whoever answers never waits, nor after the end of Send
	handed := 0
	var handing sync.WaitGroup
	handing.Go(func() { handed = s.hand(ctx, batch, answers) })

	reported := make([]bool, len(batch))
	take := func(a answer) {
		reported[a.i] = true
		report(a.i, a.outcome)
	}
	for left := len(batch); left > 0 && ctx.Err() == nil; left-- {
		select {
		case a := <-answers:
			take(a)
		case <-ctx.Done():
		}
	}
	handing.Wait()
	for len(answers) > 0 {
		take(<-answers)
	}
	for i := range batch {
		if !reported[i] {
			report(i, failed(ctx.Err(), i < handed))
		}
	}
}

// hand gives the records away and says how many it tried, from the first on: the rest met the end of ctx.
func (s *sender) hand(ctx context.Context, batch []*push.Notification, answers chan<- answer) int {
	for i, n := range batch {
		request, impossible := s.driver.Render(n, time.Time{})
		if impossible == nil && s.driver.offline == nil {
			impossible = &push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Err: errNoTopic}
		}
		if impossible != nil {
			answers <- answer{i, *impossible}
			continue
		}
		if !s.acquire(ctx) {
			return i
		}
		s.driver.offline(ctx, n.App, n.User, n.Device, request.Body, func(err error) {
			<-s.slots
			answers <- answer{i, handedOver(err)}
		})
	}
	return len(batch)
}

// acquire waits for a slot. false = ctx ended first.
func (s *sender) acquire(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func handedOver(err error) push.Outcome {
	if err == nil {
		return push.Outcome{Disposition: push.Delivered}
	}
	return failed(err, true)
}

// failed is what an error leads to. A log that did not say that it has a record may have it all the same.
func failed(err error, handed bool) push.Outcome {
	o := push.Outcome{Disposition: push.Retry, Reason: push.ReasonNetwork, Scope: push.ScopeProvider, Ambiguous: handed, Err: err}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		o.Reason = push.ReasonTimeout
	case errors.Is(err, context.Canceled): // the fleet's own doing
		o.Reason, o.Scope = push.ReasonTimeout, push.ScopeDevice
	}
	return o
}
