package apns

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// idleWorker is how long a worker waits for the next notification before it ends.
const idleWorker = 10 * time.Second

// sender is [push.Sender] of one credential. Its workers are started as needed and live on, so that their stacks need
// not grow anew for each notification.
type sender struct {
	bundleID string
	client   *apns2.Client
	pool     *pool
	signer   authorizer

	jobs   chan job
	slots  chan struct{} // one per worker
	closed chan struct{}
}

type job struct {
	ctx     context.Context
	n       *push.Notification
	i       int
	report  func(i int, o push.Outcome)
	pending *sync.WaitGroup
}

func (j *job) done(o *push.Outcome) {
	defer j.pending.Done()
	j.report(j.i, *o)
}

// newSender makes a sender. now is the clock of what it is told by the server; time-outs are by the true one.
func newSender(dialer *dialer, bundleID string, signer authorizer, cfg platformConfig, now func() time.Time) *sender {
	pool := newPool(dialer, cfg.Connections, now)
	return &sender{
		bundleID: bundleID,
		pool:     pool,
		signer:   signer,
		client: &apns2.Client{
			Host: dialer.host,
			HTTPClient: &http.Client{
				Transport:     &transport{pool: pool, signer: signer, now: now},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		},
		jobs:   make(chan job),
		slots:  make(chan struct{}, cfg.Concurrency),
		closed: make(chan struct{}),
	}
}

// Send delivers a batch; see [push.Sender]. A token that is none of Apple's is dropped without a request.
func (s *sender) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	var pending sync.WaitGroup
	pending.Add(len(batch))
	for i, n := range batch {
		j := job{ctx: ctx, n: n, i: i, report: report, pending: &pending}
		if err := s.hand(j); err != nil {
			o := classify(answer{err: err})
			j.done(&o)
		}
	}
	pending.Wait()
}

// hand gives a job to a worker that is idle, or to a new one, or waits for one.
func (s *sender) hand(j job) error {
	select {
	case s.jobs <- j:
		return nil
	default:
	}
	select {
	case s.jobs <- j:
	case s.slots <- struct{}{}:
		go s.work(j)
	case <-j.ctx.Done():
		return j.ctx.Err()
	case <-s.closed:
		return errClosed
	}
	return nil
}

func (s *sender) work(j job) {
	defer func() { <-s.slots }()
	idle := time.NewTimer(idleWorker)
	defer idle.Stop()
	for {
		j.done(s.push(j.ctx, j.n))
		idle.Reset(idleWorker)
		select {
		case j = <-s.jobs:
		case <-idle.C:
			return
		case <-s.closed:
			return
		}
	}
}

func (s *sender) push(ctx context.Context, n *push.Notification) *push.Outcome {
	x, refused := s.prepare(n)
	if refused != nil {
		return refused
	}
	s.exchange(ctx, n.Token, x)
	if s.again(x) {
		s.exchange(ctx, n.Token, x)
	}
	return x.outcome()
}

// prepare gives the outcome instead where nothing is to be sent.
func (s *sender) prepare(n *push.Notification) (*exchange, *push.Outcome) {
	if err := checkToken(n.Token); err != nil {
		return nil, &push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Err: err}
	}
	r, refused := render(n, s.bundleID)
	if refused != nil {
		return nil, refused
	}
	return &exchange{request: r}, nil
}

func (s *sender) exchange(ctx context.Context, token string, x *exchange) {
	x.answer = answer{}
	// What apns2 answers is known from the exchange, and its error would quote the token.
	_, err := s.client.PushWithContext(context.WithValue(ctx, exchangeKey{}, x), &apns2.Notification{DeviceToken: token, Payload: placeholder})
	if err != nil && x.answer.status == 0 && x.answer.err == nil {
		x.answer.err = errors.New("apns2 made no request")
	}
}

func (x *exchange) outcome() *push.Outcome {
	o := classify(x.answer)
	return &o
}

// again does what an answer asks for besides its outcome, and says whether the notification may be tried once more at
// once: the server has not processed it, and something is better now.
func (s *sender) again(x *exchange) bool {
	a := &x.answer
	switch {
	case a.status == 0:
		return a.unprocessed()
	case a.status == http.StatusForbidden && a.reason == apns2.ReasonExpiredProviderToken:
		// A connection that has carried an expired token may refuse every later one, and all have carried the same: they
		// are replaced also where there is no newer token to try.
		s.signer.expired(x.bearer)
		return s.pool.replace(x.conn, true)
	case a.status == http.StatusForbidden && a.reason == reasonUnrelatedKeyID,
		a.status == http.StatusBadRequest && a.reason == apns2.ReasonIdleTimeout:
		return s.pool.replace(x.conn, false)
	case a.status == http.StatusTooManyRequests && a.reason == apns2.ReasonTooManyProviderTokenUpdates:
		return s.signer.tooManyUpdates(x.bearer)
	}
	return false
}

// close cuts the connections and returns when no worker is left.
func (s *sender) close() {
	close(s.closed)
	s.pool.close()
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
}
