package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"time"
)

// errCertificate says that the server does not take the certificate that was shown to it.
var errCertificate = errors.New("apns: the server refused the certificate")

// timing is the pace of a pool.
type timing struct {
	dial   time.Duration // for a connection's set-up, TLS included
	ping   time.Duration // of silence after which a connection is pinged
	pong   time.Duration // for the answer to a ping, and for the kernel to take a write
	grow   time.Duration // from one connection to the next beside it
	shrink time.Duration // of less load, before a connection is closed that it does not need
}

// appleTiming notices within 30 s that a peer has vanished. Apple takes rapid connecting and disconnecting for an
// attack: a burst that is over within grow does not open a third connection, and a pause does not close one.
var appleTiming = timing{
	dial: 10 * time.Second, ping: 15 * time.Second, pong: 15 * time.Second,
	grow: 200 * time.Millisecond, shrink: 10 * time.Minute,
}

// dialer sets up connections to one server.
type dialer struct {
	host   string // base address
	tls    tls.Config
	timing timing
}

// newDialer takes a base address that was checked before. It shows certificate, where there is one.
func newDialer(host string, roots *x509.CertPool, certificate *tls.Certificate, timing timing) *dialer {
	d := &dialer{host: host, timing: timing, tls: tls.Config{
		ServerName:       hostName(host),
		RootCAs:          roots,
		MinVersion:       tls.VersionTLS12,
		NextProtos:       []string{"h2"},
		VerifyConnection: wantHTTP2,
		// What is ready is joined into one write. Small records are for readers that wait for a page's first bytes.
		DynamicRecordSizingDisabled: true,
	}}
	if certificate != nil {
		d.tls.Certificates = []tls.Certificate{*certificate}
	}
	return d
}

func hostName(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Hostname()
}

// address is host:port.
func (d *dialer) address() string {
	if u, err := url.Parse(d.host); err == nil && u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(hostName(d.host), "443")
}

func wantHTTP2(state tls.ConnectionState) error {
	if state.NegotiatedProtocol != "h2" {
		return errors.New("the server does not speak HTTP/2")
	}
	return nil
}

// dial ends with ctx, whatever it waits for.
func (d *dialer) dial(ctx context.Context) (*tls.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", d.address())
	if err != nil {
		return nil, err
	}
	secure := tls.Client(raw, &d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the first error says more
		return nil, err
	}
	return secure, nil
}

// refusesCertificate knows a TLS alert by which the server says that it does not take the certificate. With TLS 1.3 it
// comes after the handshake, as the error of the first request. crypto/tls keeps the alert's type to itself; should the
// texts change, the error counts as the network's.
func refusesCertificate(err error) bool {
	var alert *net.OpError
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		return false
	}
	switch alert.Err.Error() {
	case "tls: bad certificate", "tls: unsupported certificate", "tls: revoked certificate", "tls: expired certificate",
		"tls: unknown certificate", "tls: unknown certificate authority", "tls: certificate required", "tls: access denied":
		return true
	}
	return false
}
