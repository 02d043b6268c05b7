package h2

import (
	"errors"
	"net"
	"net/http"
)

var errSkeleton = errors.New("not built yet")

// Conn is one HTTP/2 connection to a server. Safe for concurrent use.
type Conn struct {
	nc net.Conn
}

// NewConn starts HTTP/2 on a connection that was set up for it, and owns it from then on. The connection must be closed
// at the end.
func NewConn(nc net.Conn, settings Settings) *Conn {
	_ = settings.withDefaults()
	return &Conn{nc: nc}
}

// RoundTrip sends a request, once, and returns its response when it is whole, or an [*Error]. It waits for a stream where
// none is free. A response that breaks off after its header is returned too, and the error comes with its body.
func (c *Conn) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSkeleton }

// Available is how many requests the connection could start at once; 0 where it takes no more of them.
func (c *Conn) Available() int { return 0 }

// InFlight is how many requests it carries, those that wait for a stream included.
func (c *Conn) InFlight() int { return 0 }

// Err is nil as long as the connection takes requests; then it is why not.
func (c *Conn) Err() error { return nil }

// Retire lets the connection take no more requests, and closes it when those that it carries have ended.
func (c *Conn) Retire() {}

// Close cuts the connection; requests on it end with an error. It returns when its goroutines have ended.
func (c *Conn) Close() error { return c.nc.Close() }
