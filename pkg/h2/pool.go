package h2

import (
	"context"
	"net"
	"net/http"
	"time"
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

// DialFunc sets up a connection for HTTP/2, and returns when ctx ends at the latest.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Pool is a few connections to one server. Safe for concurrent use.
type Pool struct{}

// NewPool makes a pool that opens its first connection with the first request.
func NewPool(dial DialFunc, limits Limits, settings Settings) *Pool {
	return &Pool{}
}

// RoundTrip is [Pool.Do] without the connection.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	response, _, err := p.Do(r)
	return response, err
}

// Do sends a request on a connection that has a stream for it, and waits for one where none has. It returns the connection
// that carried the request; nil where none did. A request that its connection could not take is sent on another one, and
// one that the server has not processed is sent once more.
func (p *Pool) Do(*http.Request) (*http.Response, *Conn, error) { return nil, nil, errSkeleton }

// Retire takes a connection out of use: it finishes what it carries. It says whether the connection was in use.
func (p *Pool) Retire(*Conn) bool { return false }

// RetireAll takes every connection out of use.
func (p *Pool) RetireAll() {}

// PoolStats is a pool at one moment.
type PoolStats struct {
	Conns    int // that take requests
	InFlight int // requests on them
	Waiting  int // requests that wait for a stream
	Busiest  int // most requests in flight since the last look at whether to shrink
}

// Stats looks at the pool.
func (p *Pool) Stats() PoolStats { return PoolStats{} }

// Close cuts every connection; requests end with [ErrClosed]. It returns when no goroutine is left.
func (p *Pool) Close() {}
