package apns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// spread is how many requests a connection carries before another one is opened beside it.
	spread = 100
	// A connection that could not be set up is tried again after 0.1 to 5 s: Apple takes rapid reconnecting for an attack.
	firstRedial, lastRedial = 100 * time.Millisecond, 5 * time.Second
	// replaceEvery bounds how often connections are replaced because of what the server said on them. It is shorter than
	// the pause after which a refused credential is tried again, so that no trial runs on a connection that is spoilt.
	replaceEvery = 20 * time.Second
)

// pool holds the connections of one credential: Apple binds a connection to the first key that is used on it. A request
// is only started where a stream is free, so that the server's limit holds. A new connection carries one request
// until the first answer, because Apple allows one stream until it has seen a valid token; and one connection is opened
// at a time, some time after the one before, so a cold start does not become a stampede. What load asked for once and
// asks for no more is closed. Safe for concurrent use.
type pool struct {
	connect connect
	limit   int // of connections
	timing  timing
	now     func() time.Time // for replaceEvery; what concerns the network keeps the true time
	waiting waiters
	refused atomic.Bool // the certificate, on the connection that was set up last

	ctx   context.Context // of dialing; ends with close
	stop  context.CancelFunc
	dials sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    []*conn            // may take requests
	alive    map[*conn]struct{} // those, and the ones that only finish what they carry
	dialing  bool
	redial   *backoff.ExponentialBackOff
	redialAt time.Time // until then dialing fails with dialErr
	dialErr  error
	replaced time.Time   // by now
	grown    time.Time   // when the newest connection was set up
	busiest  int         // most requests in flight since the last look
	shrink   *time.Timer // of the next look; nil with one connection or none
}

// conn is one connection; its fields are under the pool's lock.
type conn struct {
	client   client
	inFlight int  // requests, from acquire to release
	limit    int  // of streams, as far as it was seen; 0 = not yet
	answered bool // the first answer came
	retired  bool // takes no requests any more
}

func newPool(connect connect, timing timing, limit int, now func() time.Time) *pool {
	redial := backoff.NewExponentialBackOff()
	redial.InitialInterval, redial.MaxInterval = firstRedial, lastRedial
	ctx, stop := context.WithCancel(context.Background())
	return &pool{
		connect: connect,
		limit:   limit,
		now:     now,
		timing:  timing,
		ctx:     ctx,
		stop:    stop,
		alive:   make(map[*conn]struct{}),
		redial:  redial,
	}
}

// acquire returns a connection that has a stream for the caller, who has to use it in one RoundTrip and then to release
// the connection. It waits until ctx ends, or a connection can't be set up.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	defer p.waiting.wake() // one that leaves the queue lets the next one look
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c, err := p.try(); c != nil || err != nil {
			return c, err
		}
		woken := p.waiting.add()
		if c, err := p.try(); c != nil || err != nil { // what changed before the caller was in the queue
			p.waiting.remove(woken)
			return c, err
		}
		select {
		case <-woken:
		case <-ctx.Done():
			p.waiting.remove(woken)
			return nil, ctx.Err()
		}
	}
}

// try returns neither connection nor error where the caller has to wait.
func (p *pool) try() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	found := p.pickLocked()
	var err error
	if found == nil || found.inFlight >= spread {
		err = p.growLocked()
	}
	if found != nil {
		found.inFlight++
		p.busiest = max(p.busiest, p.inFlightLocked())
		return found, nil
	}
	if len(p.conns) > 0 {
		return nil, nil
	}
	return nil, err
}

// pickLocked finds the connection that carries least and has a stream. The others are asked only where the one that
// carries least has none: asking takes the connection's lock.
func (p *pool) pickLocked() *conn {
	if len(p.conns) == 0 {
		return nil
	}
	least := slices.MinFunc(p.conns, byLoad)
	if least.free() {
		return least
	}
	var found *conn
	for _, c := range p.conns {
		if c != least && c.free() && (found == nil || c.inFlight < found.inFlight) {
			found = c
		}
	}
	return found
}

func byLoad(a, b *conn) int { return a.inFlight - b.inFlight }

// free says whether the server's limit leaves a stream. Requests are counted here and not by net/http's Reserve: where
// the limit shrinks below the reservations, it waits for a stream to end while the reservations wait for it. What is too
// many here, because a stream ends a little later than its request or the limit shrank, waits in the connection.
func (c *conn) free() bool {
	if !c.answered {
		return c.inFlight == 0
	}
	if available := c.client.Available(); available > 0 {
		c.limit = available + c.client.InFlight()
	}
	return c.inFlight < max(c.limit, 1)
}

// growLocked starts to open a connection where there may be one more. The error is that of a set-up that failed so
// recently that it is not tried again yet.
func (p *pool) growLocked() error {
	if p.dialing || len(p.conns) >= p.limit || slices.ContainsFunc(p.conns, func(c *conn) bool { return !c.answered }) {
		return nil
	}
	now := time.Now()
	if len(p.conns) > 0 && now.Sub(p.grown) < p.timing.grow {
		return nil // what has a connection waits; each request that ends looks again
	}
	if now.Before(p.redialAt) {
		return p.dialErr
	}
	p.dialing = true
	p.dials.Go(p.dial)
	return nil
}

func (p *pool) dial() {
	ctx, cancel := context.WithTimeout(p.ctx, p.timing.dial)
	defer cancel()
	p.refused.Store(false)
	client, err := p.connect(ctx, func() { p.refused.Store(true) })
	p.mu.Lock()
	p.dialing = false
	closed := p.closed
	switch {
	case err != nil:
		p.failedLocked("connect", err)
	case !closed:
		c := &conn{client: client}
		p.conns = append(p.conns, c)
		p.alive[c] = struct{}{}
		p.grown = time.Now()
		p.watchLocked()
	}
	p.mu.Unlock()
	if err == nil && closed {
		_ = client.Close() // it was never used
	}
	p.waiting.wake()
}

// failedLocked keeps the next set-up waiting. Those who get the error only see its text: a deadline of the set-up is
// not one of theirs.
func (p *pool) failedLocked(doing string, err error) {
	p.dialErr = errors.New(doing + ": " + err.Error())
	if refusesCertificate(err) || p.refused.Load() {
		p.dialErr = fmt.Errorf("%w: %s", errCertificate, p.dialErr.Error())
	}
	p.redialAt = time.Now().Add(p.redial.NextBackOff())
}

// release is told how the one RoundTrip of an acquired connection ended: err is nil where an answer came, sent says
// whether the payload was begun. A connection that takes no request any more, because the server ended it or it broke,
// is retired; so is one whose first request got no answer, as if it could not be set up.
func (p *pool) release(c *conn, err error, sent bool) {
	p.mu.Lock()
	c.inFlight--
	switch {
	case err == nil && !c.answered:
		c.answered = true
		p.redial.Reset()
	case err == nil || c.retired || errors.Is(err, context.Canceled):
	case !c.answered:
		p.failedLocked("first request of a connection", err)
		p.retireLocked(c)
	case !sent && !ended(err) && !aboutStream(err):
		p.retireLocked(c)
	}
	unused := p.unusedLocked(c)
	p.mu.Unlock()
	closeAll(unused)
	p.waiting.wake()
}

// replace retires a connection on which the server refused a token, with all the others where what it said concerns them
// alike, and says whether the request may be tried again, on another one. It is not where connections were replaced less
// than replaceEvery ago and this is a newer one.
func (p *pool) replace(c *conn, all bool) bool {
	p.mu.Lock()
	again := c.retired
	spoilt := []*conn{c}
	if now := p.now(); !again && now.Sub(p.replaced) >= replaceEvery {
		p.replaced = now
		if all {
			spoilt = append(spoilt, p.conns...)
		}
		for _, c := range spoilt {
			p.retireLocked(c)
		}
		again = true
	}
	var unused []*conn
	for _, c := range spoilt {
		unused = append(unused, p.unusedLocked(c)...)
	}
	p.mu.Unlock()
	closeAll(unused)
	return again
}

// retireLocked takes a connection out of use.
func (p *pool) retireLocked(c *conn) {
	c.retired = true
	p.conns = slices.DeleteFunc(p.conns, func(other *conn) bool { return other == c })
}

// unusedLocked returns a connection that nobody needs any more, once, for closeAll.
func (p *pool) unusedLocked(c *conn) []*conn {
	if _, open := p.alive[c]; !open || !c.retired || c.inFlight > 0 {
		return nil
	}
	delete(p.alive, c)
	return []*conn{c}
}

// close cuts every connection; requests on them end with an error.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.stop()
	if p.shrink != nil {
		p.shrink.Stop()
	}
	var open []*conn
	for c := range p.alive {
		c.retired = true
		open = append(open, c)
	}
	clear(p.alive)
	p.conns = nil
	p.mu.Unlock()
	closeAll(open)
	p.waiting.wake()
	p.dials.Wait()
}

// closeAll is called without the pool's lock: closing writes to the network. Its error is about a connection that
// nobody needs any more.
func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.client.Close()
	}
}
