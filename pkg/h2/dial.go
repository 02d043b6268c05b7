package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
)

// Dialer sets up TLS connections that speak HTTP/2. Safe for concurrent use.
type Dialer struct {
	// TLS is what to present and whom to trust; nil = the system's authorities. TLS is 1.2 at least, h2 the only
	// protocol, and the server's name that of the address, where it is not set.
	TLS *tls.Config
	// Proxy names the proxy to go through by CONNECT, as [http.ProxyFromEnvironment] does; nil = none.
	Proxy func(*http.Request) (*url.URL, error)
	// Net opens the connection below, to server or proxy; nil = [net.Dialer].
	Net func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial sets up a connection to host:port. It ends with ctx, whatever it waits for. Its error is a [*DialError].
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return nil, &DialError{Address: address, Cause: errSkeleton}
}
