package fcm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

const (
	// dialLimit lets a host that drops packets show as a network error before the notifications' own deadlines end.
	dialLimit = 5 * time.Second
	// A connection without traffic for pingAfter is asked whether it lives, and given up pingLimit later.
	pingAfter = 15 * time.Second
	pingLimit = 10 * time.Second
	// writeLimit gives up a connection that does not take what waits for it.
	writeLimit = 10 * time.Second
	// idleLimit closes connections that a burst opened.
	idleLimit = 5 * time.Minute
)

// client is the HTTP/2 client under the SDK and under the token requests. It opens one connection, and another one only
// where the streams of those it has are taken.
type client interface {
	http.RoundTripper
	// Close ends every connection, whatever runs on it.
	Close()
}

// newClient makes the client that the configuration names. It trusts the authorities of a PEM file, or the system's
// where it is "".
func newClient(transport, caFile string) (client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{http2.NextProtoTLS}}
	if caFile != "" {
		pool, err := readAuthorities(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if transport == transportH2 {
		return newH2(config), nil
	}
	return newTransport(config), nil
}

const (
	// maxConnections carry 20,000 sends at a time where the server allows 100 streams on each, as Google's do.
	maxConnections = 200
	// growAfter is from one connection to the next: 1,000 callers at a cold start open two or three where answers take 20 ms,
	// and the sends that the configuration allows by default have theirs within half a second.
	growAfter = 100 * time.Millisecond
)

// indexed are the fields that are the same in every request: HPACK makes a byte of each. The access token is the longest
// of them; only whole fields match in the table, so nobody can guess it piece by piece.
var indexed = []string{"authorization", "content-type", "user-agent", "x-firebase-client", "x-goog-api-client", "x-goog-api-format-version"}

// newH2 is pkg/h2's client.
func newH2(config *tls.Config) *h2.Transport {
	return h2.NewTransport(
		&h2.Dialer{TLS: config, Proxy: http.ProxyFromEnvironment},
		h2.Limits{Conns: maxConnections, Spread: maxConcurrency, Grow: growAfter, Shrink: idleLimit, Dial: dialLimit},
		h2.Settings{
			PingAfter: pingAfter, PingTimeout: pingLimit, WriteTimeout: writeLimit,
			MaxResponse: maxAnswerBytes, Bare: []int{http.StatusOK}, Indexed: indexed,
		})
}

// transport is golang.org/x/net/http2's client; net/http's own would open a connection for each of the first requests.
type transport struct {
	*http2.Transport

	writers sync.WaitGroup // of its connections

	mu     sync.Mutex
	open   map[*connection]struct{}
	closed bool
}

func newTransport(config *tls.Config) *transport {
	t := &transport{open: make(map[*connection]struct{})}
	t.Transport = &http2.Transport{
		TLSClientConfig:    config,
		DialTLSContext:     t.dial,
		DisableCompression: true, // answers are too small for it
		ReadIdleTimeout:    pingAfter,
		PingTimeout:        pingLimit,
		IdleConnTimeout:    idleLimit,
		MaxHeaderListSize:  64 << 10,
	}
	return t
}

func readAuthorities(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate in PEM", file)
	}
	return pool, nil
}

// dial opens a connection. Its errors end the chain: a time-out of ours is not one of the caller's.
func (t *transport) dial(ctx context.Context, network, addr string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	dialer := tls.Dialer{Config: config}
	opened, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %v", addr, err) //nolint:errorlint // callers tell a failed dial by its own type, not by what is inside
	}
	secure := opened.(*tls.Conn)
	if protocol := secure.ConnectionState().NegotiatedProtocol; protocol != http2.NextProtoTLS {
		_ = secure.Close()
		return nil, fmt.Errorf("dial %s: the server speaks %q, not HTTP/2", addr, protocol)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = secure.Close()
		return nil, errClosed
	}
	conn := newConnection(secure, t)
	t.open[conn] = struct{}{}
	return conn, nil
}

// errClosed says that the driver was closed.
var errClosed = errors.New("the FCM client is closed")

// Close ends every connection, whatever runs on it.
func (t *transport) Close() {
	t.mu.Lock()
	t.closed = true
	open := t.open
	t.open = nil
	t.mu.Unlock()
	for conn := range open {
		_ = conn.Close() // nothing is left to lose
	}
	t.writers.Wait()
}
