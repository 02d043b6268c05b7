package apns

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

// The transports, as the configuration names them.
const (
	transportH2  = "h2"  // pkg/h2
	transportStd = "std" // net/http
)

// client is an HTTP/2 connection, as a pool uses it. Safe for concurrent use.
type client interface {
	// RoundTrip sends one request. It may wait for a stream.
	RoundTrip(*http.Request) (*http.Response, error)
	// Available is how many requests the connection could start at once; 0 where it takes no more of them.
	Available() int
	// InFlight is how many requests it carries.
	InFlight() int
	// Close cuts the connection.
	Close() error
}

// connect sets up a connection and ends with its context, whatever it waits for. refused is told, now or when the
// connection is in use, that the server does not take the certificate, where a request's error might not say so.
type connect func(ctx context.Context, refused func()) (client, error)

// connect is the way of a transport.
func (d *dialer) connect(transport string) connect {
	if transport == transportH2 {
		return d.connectH2
	}
	return d.connectStd
}

// connectH2 makes a connection of pkg/h2, through the environment's proxy where it names one.
func (d *dialer) connectH2(ctx context.Context, refused func()) (client, error) {
	through := h2.Dialer{TLS: &d.tls, Proxy: http.ProxyFromEnvironment}
	secure, err := through.Dial(ctx, d.address())
	if err != nil {
		var failed *h2.DialError
		if errors.As(err, &failed) && refusesCertificate(failed.Cause) {
			refused()
		}
		return nil, err
	}
	return h2.NewConn(secure, d.settings()), nil
}

// settings are those of such a connection. Apple asks to leave path and authorization out of HPACK's table, and ids after
// the first: what enters it is what every push of a credential has.
func (d *dialer) settings() h2.Settings {
	return h2.Settings{
		MaxResponse:  maxAnswer,
		PingAfter:    d.timing.ping,
		PingTimeout:  d.timing.pong,
		WriteTimeout: d.timing.pong,
		Bare:         []int{http.StatusOK},
		Indexed:      []string{"apns-topic", "apns-push-type", "apns-priority"},
	}
}

// connectStd makes a connection of net/http's. It takes it for HTTP/2 without encryption, because that happens below, in
// the dialer: on a connection of another type than crypto/tls's own net/http would speak HTTP/1.
func (d *dialer) connectStd(ctx context.Context, refused func()) (client, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			secure, err := d.dial(ctx)
			if err != nil {
				return nil, err
			}
			return newWire(secure, d.timing.pong, func(err error) {
				if refusesCertificate(err) {
					refused()
				}
			}), nil
		},
		Protocols:          protocols,
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: d.timing.ping,
			PingTimeout:     d.timing.pong,
			// Apple asks to leave path and authorization out of HPACK's table, and ids after the first. net/http cannot
			// tell fields apart, so nothing goes into it: about a sixth of the client's CPU went into entries used once.
			MaxEncoderHeaderTableSize: 1,
		},
	}
	opened, err := transport.NewClientConn(ctx, "http", d.address())
	if err != nil {
		return nil, err
	}
	return opened, nil
}
