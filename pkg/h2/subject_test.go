package h2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

// client is one connection's client, as the pools of pkg/apns use it.
type client interface {
	http.RoundTripper
	Available() int
	InFlight() int
	Close() error
	Err() error
}

// options is what a case asks of its client; zero = as the subject likes.
type options struct {
	ping  time.Duration // of silence, after which the peer is pinged
	pong  time.Duration // for its answer
	write time.Duration // for the peer to take what is written

}

// subject is an HTTP/2 client that the suite runs on.
type subject struct {
	name string
	// conn makes a client of a connection that is set up.
	conn func(t *testing.T, conn net.Conn, o options) client
	// transport makes a client that dials, and ends with the test.
	transport func(t *testing.T, config *tls.Config) http.RoundTripper
	// unprocessed says whether the error promises that the server has not processed the request.
	unprocessed func(error) bool
	// tells is set where an ended connection's errors have golang.org/x/net/http2's types, and Available and Err agree.
	tells bool
}

// knownShort skips a test on the subject that is known not to do what it asks.
func (s subject) knownShort(t *testing.T, other subject, why string) {
	t.Helper()
	if s.name == other.name {
		t.Skip(other.name + " " + why)
	}
}

// subjects run the same suite: what net/http does shows that the suite asks for HTTP/2 and not for our ways.
var subjects = []subject{std, own}

// underLock is why net/http can't be shown some things: it writes under a lock, which a bubble's clock does not pass over.
const underLock = "waits for a write under a lock, and in a bubble no time passes for it"

// takesNone fails the test where a connection still takes requests.
func (s subject) takesNone(t *testing.T, c client) {
	t.Helper()
	if available, err := c.Available(), c.Err(); err == nil && (available != 0 || s.tells) || available != 0 && s.tells {
		t.Errorf("takes requests still: %d available, error %v", available, err)
	}
}

// play runs a test on every subject, in a bubble of its own.
func play(t *testing.T, test func(t *testing.T, s subject)) {
	t.Helper()
	each(t, func(t *testing.T, s subject) {
		synctest.Test(t, func(t *testing.T) { test(t, s) })
	})
}

// inTurn is play for tests that measure the process's memory: nothing else runs meanwhile.
func inTurn(t *testing.T, test func(t *testing.T, s subject)) {
	t.Helper()
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, s) })
		})
	}
}

// each runs a test on every subject.
func each(t *testing.T, test func(t *testing.T, s subject)) {
	t.Helper()
	t.Parallel()
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// std is net/http's own client.
var std = subject{
	name: "std",
	conn: func(t *testing.T, conn net.Conn, o options) client {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			Protocols:   protocols,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: o.ping, PingTimeout: o.pong, WriteByteTimeout: o.write,
			},
			DisableCompression: true,
		}
		c, err := transport.NewClientConn(t.Context(), "http", "peer.test:80")
		if err != nil {
			t.Fatal(err)
		}
		return c
	},
	transport: func(t *testing.T, config *tls.Config) http.RoundTripper {
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	},
	unprocessed: func(err error) bool {
		// net/http keeps the types of these to itself.
		return err != nil && slices.ContainsFunc([]string{"graceful shutdown GOAWAY", "REFUSED_STREAM", "conn not usable"}, func(text string) bool {
			return strings.Contains(err.Error(), text)
		})
	},
}

// own is this package's client.
var own = subject{
	name: "h2",
	conn: func(_ *testing.T, conn net.Conn, o options) client {
		return h2.NewConn(conn, h2.Settings{
			PingAfter: o.ping, PingTimeout: o.pong, WriteTimeout: o.write,
			Indexed: []string{"x-often"},
		})
	},
	transport: func(t *testing.T, config *tls.Config) http.RoundTripper {
		transport := h2.NewTransport(&h2.Dialer{TLS: config}, h2.Limits{}, h2.Settings{FirstStreams: 1})
		t.Cleanup(transport.Close)
		return transport
	},
	unprocessed: func(err error) bool { return errors.Is(err, h2.ErrNotProcessed) },
	tells:       true,
}
