package apns

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/crew"
)

// sender is [push.Sender] of one credential.
type sender struct {
	bundleID string
	client   *apns2.Client
	pool     *pool
	signer   authorizer
	lingers  bool // see transport
	crew     *crew.Crew[exchange]
}

// newSender makes a sender. now is the clock of what it is told by the server; time-outs are by the true one.
func newSender(dialer *dialer, bundleID string, signer authorizer, cfg platformConfig, now func() time.Time) *sender {
	pool := newPool(dialer.connect(cfg.Transport), dialer.timing, cfg.Connections, now)
	lingers := cfg.Transport == transportStd
	return &sender{
		bundleID: bundleID,
		pool:     pool,
		signer:   signer,
		lingers:  lingers,
		client: &apns2.Client{
			Host: dialer.host,
			HTTPClient: &http.Client{
				Transport:     &transport{pool: pool, signer: signer, now: now, lingers: lingers},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		},
		crew: crew.New[exchange](cfg.Concurrency),
	}
}

// Send delivers a batch; see [push.Sender]. A token that is none of Apple's is dropped without a request.
func (s *sender) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	s.crew.Run(ctx, len(batch), func(i int, x *exchange) {
		if s.lingers {
			x = new(exchange)
		}
		x.Context = ctx
		s.push(x, batch[i])
		x.report(i, report)
	}, func(i int, err error) {
		if errors.Is(err, crew.ErrClosed) {
			err = errClosed
		}
		report(i, classify(answer{err: err}))
	})
}

// push sends one notification: once, and a second time only where the server has not processed it. Its outcome is left in
// the exchange and not returned, because the stack below a request is to stay small: tens of thousands wait at a time.
func (s *sender) push(x *exchange, n *push.Notification) {
	if x.refused = x.prepare(n, s.bundleID); x.refused != nil {
		return
	}
	s.exchange(x)
	if s.again(x) {
		s.exchange(x)
	}
}

func (s *sender) exchange(x *exchange) {
	x.answer = answer{}
	// What apns2 answers is known from the exchange, and its error would quote the token.
	_, err := s.client.PushWithContext(x, &x.notification)
	if err != nil && x.answer.status == 0 && x.answer.err == nil {
		x.answer.err = errors.New("apns2 made no request")
	}
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
	s.pool.close()
	s.crew.Close()
}
