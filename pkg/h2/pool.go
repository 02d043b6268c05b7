package h2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Limits are a pool's size and pace. The zero value of a field stands for its default.
type Limits struct {
	Conns  int           // most connections; default 4
	Spread int           // requests that a connection carries before another one is opened beside it; default 100
	Grow   time.Duration // from one connection to the next beside it; default 200 ms
	Shrink time.Duration // of less load, before a connection is closed that it does not need; default 10 min
	Dial   time.Duration // for a connection's set-up; default 10 s
	// A connection that could not be set up is tried again after FirstRedial to LastRedial; default 0.1 to 5 s.
	FirstRedial, LastRedial time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Conns:       cmp.Or(l.Conns, 4),
		Spread:      cmp.Or(l.Spread, 100),
		Grow:        cmp.Or(l.Grow, 200*time.Millisecond),
		Shrink:      cmp.Or(l.Shrink, 10*time.Minute),
		Dial:        cmp.Or(l.Dial, 10*time.Second),
		FirstRedial: cmp.Or(l.FirstRedial, 100*time.Millisecond),
		LastRedial:  cmp.Or(l.LastRedial, 5*time.Second),
	}
}

// DialFunc sets up a connection for HTTP/2, and returns when ctx ends at the latest.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Pool is a few connections to one server. A request is only started where a stream is free. Where none is, it waits in
// the pool's queue, and goes to the first connection that has one. One connection is opened at a time, some time after
// the one before, and none before the one before is known to work, so a cold start does not become a stampede. What load
// asked for once and asks for no more is closed. Safe for concurrent use.
type Pool struct {
	dial   DialFunc
	limits Limits
	make   *maker

	ctx     context.Context // of dialing; ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // connections, and what sets them up

	mu       sync.Mutex
	closed   bool
	conns    []*Conn            // may take requests
	alive    map[*Conn]struct{} // those, and the ones that only finish what they carry
	waiting  queue
	dialing  bool
	redial   *backoff.ExponentialBackOff
	redialAt time.Time // until then dialing fails with dialErr
	dialErr  error
	grown    time.Time   // when the newest connection was set up
	busiest  int         // most requests in flight since the last look
	shrink   *time.Timer // of the next look; nil with one connection or none
	pace     *time.Timer // of the next connection that may be opened; nil = nobody waits for it
}

// NewPool makes a pool that opens its first connection with the first request.
func NewPool(dial DialFunc, limits Limits, settings Settings) *Pool {
	limits = limits.withDefaults()
	redial := backoff.NewExponentialBackOff()
	redial.InitialInterval, redial.MaxInterval = limits.FirstRedial, limits.LastRedial
	ctx, stop := context.WithCancel(context.Background())
	return &Pool{
		dial: dial, limits: limits, make: newMaker(settings),
		ctx: ctx, stop: stop,
		alive:  make(map[*Conn]struct{}),
		redial: redial,
	}
}

// RoundTrip is [Pool.Do] without the connection.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	response, _, err := p.Do(r)
	return response, err
}

// Do sends a request on a connection that has a stream for it, and waits for one where none has. It returns the connection
// that carried the request; nil where none did. A request that its connection could not take is sent on another one, and
// one that the server has not processed is sent once more.
func (p *Pool) Do(r *http.Request) (*http.Response, *Conn, error) {
	s, err := p.make.stream(r)
	if err != nil {
		return nil, nil, err
	}
	for t := new(tries); ; {
		p.submit(s)
		s.await(r.Context(), p.cancel)
		if s.status == 0 && s.conn != nil {
			p.judge(s)
		}
		if !p.again(t, s, r) {
			break
		}
		if s.id == 0 {
			s.renew()
			continue
		}
		next := p.make.again(s, r)
		if next == nil {
			break
		}
		s = next
	}
	s.close()
	carrier := s.conn
	response, err := s.answer(r)
	return response, carrier, err
}

// tries count how often a request was begun anew.
type tries struct {
	moved  int // because its connection could not take it
	resent int // because the server had not processed it
}

func (p *Pool) again(t *tries, s *stream, r *http.Request) bool {
	switch {
	case s.status != 0 || s.conn == nil || !errors.Is(s.err, ErrNotProcessed) || errors.Is(s.err, errRequestTooLarge) || r.Context().Err() != nil:
		return false
	case s.id == 0:
		t.moved++
		return t.moved <= p.limits.Conns
	}
	t.resent++
	return t.resent <= 1
}

// judge is told of a stream that got no answer. A connection whose first request got none is as if it could not be set up.
func (p *Pool) judge(s *stream) {
	if s.id == 0 || errors.Is(s.err, context.Canceled) || s.conn.hasAnswered() {
		return
	}
	p.mu.Lock()
	used := p.dropLocked(s.conn)
	if used {
		p.failedLocked(fmt.Errorf("first request of a connection: %w", s.err))
	}
	p.mu.Unlock()
	if used {
		s.conn.Retire()
	}
}

// submit gives a stream to a connection, queues it, or ends it.
func (p *Pool) submit(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		s.end(ErrClosed)
	case p.waiting.length >= p.make.settings.MaxQueued:
		s.end(ErrBusy)
	default:
		p.waiting.push(s)
		p.dispatchLocked()
	}
}

// end ends a stream that no connection has.
func (s *stream) end(cause error) {
	s.ended, s.err = true, s.fails(cause)
	s.done <- struct{}{}
}

// cancel ends a stream for the caller.
func (p *Pool) cancel(s *stream, cause error) {
	p.mu.Lock()
	carrier := s.conn
	if carrier == nil && !s.ended {
		p.waiting.remove(s)
		s.end(cause)
	}
	p.mu.Unlock()
	if carrier != nil {
		carrier.cancel(s, cause)
	}
}

// dispatchLocked gives the streams that wait to connections that have room, and has one more opened where that helps.
func (p *Pool) dispatchLocked() {
	for p.waiting.length > 0 {
		taker := p.offerLocked(p.waiting.first)
		var err error
		if taker == nil || taker.load.Load() > int64(p.limits.Spread) {
			err = p.growLocked()
		}
		if taker == nil && err != nil && len(p.conns) == 0 {
			for p.waiting.length > 0 {
				p.waiting.pop().end(err)
			}
		}
		if taker == nil {
			return
		}
	}
}

// offerLocked finds the connection that carries least and has a stream.
func (p *Pool) offerLocked(s *stream) *Conn {
	var least *Conn
	total, min := int64(1), int64(0)
	for _, c := range p.conns {
		load := c.load.Load()
		if total += load; least == nil || load < min {
			least, min = c, load
		}
	}
	if least == nil || !least.offer(s) {
		i := slices.IndexFunc(p.conns, func(c *Conn) bool { return c != least && c.offer(s) })
		if i < 0 {
			return nil
		}
		least = p.conns[i]
	}
	p.busiest = max(p.busiest, int(total))
	return least
}

// changed is told by a connection that streams became free, or that it takes no more of them.
func (p *Pool) changed(c *Conn) {
	answered, err := c.state()
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.redial.Reset()
	}
	if err != nil && p.dropLocked(c) && !answered {
		p.failedLocked(err)
	}
	p.dispatchLocked()
}

// gone is told that a connection's goroutines have ended.
func (p *Pool) gone(c *Conn) {
	p.mu.Lock()
	delete(p.alive, c)
	p.mu.Unlock()
	p.running.Done()
}

// dropLocked takes a connection out of use, and says whether it was in use.
func (p *Pool) dropLocked(c *Conn) bool {
	i := slices.Index(p.conns, c)
	if i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
	return i >= 0
}

// Retire takes a connection out of use: it finishes what it carries. It says whether the connection was in use.
func (p *Pool) Retire(c *Conn) bool {
	p.mu.Lock()
	used := p.dropLocked(c)
	p.mu.Unlock()
	if used {
		c.Retire()
	}
	return used
}

// RetireAll takes every connection out of use.
func (p *Pool) RetireAll() { p.retire(func(*Conn) bool { return true }) }

// CloseIdleConnections closes those that carry nothing.
func (p *Pool) CloseIdleConnections() { p.retire(func(c *Conn) bool { return c.load.Load() == 0 }) }

func (p *Pool) retire(which func(*Conn) bool) {
	p.mu.Lock()
	var out []*Conn
	for _, c := range p.conns {
		if which(c) {
			out = append(out, c)
		}
	}
	for _, c := range out {
		p.dropLocked(c)
	}
	p.mu.Unlock()
	for _, c := range out {
		c.Retire()
	}
}

// PoolStats is a pool at one moment.
type PoolStats struct {
	Conns    int // that take requests
	InFlight int // requests on them
	Waiting  int // requests that wait for a stream
	Busiest  int // most requests in flight since the last look at whether to shrink
}

// Stats looks at the pool.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStats{Conns: len(p.conns), InFlight: p.inFlightLocked(), Waiting: p.waiting.length, Busiest: p.busiest}
}

// Close cuts every connection; requests end with [ErrClosed]. It returns when no goroutine is left.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.stop()
	for _, timer := range []*time.Timer{p.shrink, p.pace} {
		if timer != nil {
			timer.Stop()
		}
	}
	for p.waiting.length > 0 {
		p.waiting.pop().end(ErrClosed)
	}
	p.conns = nil
	alive := slices.Collect(maps.Keys(p.alive))
	p.mu.Unlock()
	for _, c := range alive {
		c.cut()
	}
	p.running.Wait()
}
