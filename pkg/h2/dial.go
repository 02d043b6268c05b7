package h2

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Dialer sets up TLS connections that speak HTTP/2. Safe for concurrent use.
type Dialer struct {
	// TLS is what to present and whom to trust; nil = the system's authorities. TLS is 1.2 at least, h2 the only
	// protocol, and the server's name that of the address, where it is not set.
	TLS *tls.Config
	// Proxy names the proxy to go through by CONNECT, as [http.ProxyFromEnvironment] does; nil = none. Proxies speak
	// http or https.
	Proxy func(*http.Request) (*url.URL, error)
	// Net opens the connection below, to server or proxy; nil = [net.Dialer].
	Net func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial sets up a connection to host:port. It ends with ctx, whatever it waits for. Its error is a [*DialError].
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, address)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return nil, &DialError{Address: address, Cause: err}
	}
	return conn, nil
}

func (d *Dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	below, err := d.below(ctx, address)
	if err != nil {
		return nil, err
	}
	secure, err := handshake(ctx, below, d.config(host))
	if err != nil {
		return nil, err
	}
	if protocol := secure.ConnectionState().NegotiatedProtocol; protocol != "h2" {
		_ = secure.Close() // the first error says more
		return nil, errors.New("the server does not speak HTTP/2")
	}
	return secure, nil
}

func (d *Dialer) config(host string) *tls.Config {
	config := new(tls.Config)
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	config.NextProtos = []string{"h2"}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ServerName == "" {
		config.ServerName = host
	}
	// The writer joins what is ready into one write. Small records are for readers that wait for a page's first bytes.
	config.DynamicRecordSizingDisabled = true
	return config
}

// handshake closes the connection below where it fails.
func handshake(ctx context.Context, below net.Conn, config *tls.Config) (*tls.Conn, error) {
	secure := tls.Client(below, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = below.Close() // the first error says more
		return nil, err
	}
	return secure, nil
}

// below is a connection to the server, directly or through a proxy.
func (d *Dialer) below(ctx context.Context, address string) (net.Conn, error) {
	proxy, err := d.proxy(address)
	if err != nil {
		return nil, errors.New("the address of the proxy to go through is not valid") // err quotes it, password and all
	}
	if proxy == nil {
		return d.open(ctx, address)
	}
	conn, err := d.tunnel(ctx, proxy, address)
	if err != nil { // its text only: a TLS alert of the proxy's is not the server's word
		return nil, errors.New("through the proxy " + proxy.Host + ": " + err.Error())
	}
	return conn, nil
}

func (d *Dialer) proxy(address string) (*url.URL, error) {
	if d.Proxy == nil {
		return nil, nil
	}
	return d.Proxy(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: address}, Header: make(http.Header)})
}

func (d *Dialer) open(ctx context.Context, address string) (net.Conn, error) {
	if d.Net != nil {
		return d.Net(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// tunnel is a connection to the server that a proxy passes on.
func (d *Dialer) tunnel(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	port, known := map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	if !known {
		return nil, fmt.Errorf("proxies of the scheme %q are not supported", proxy.Scheme)
	}
	if proxy.Port() != "" {
		port = proxy.Port()
	}
	conn, err := d.open(ctx, net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if proxy.Scheme == "https" {
		config := d.config(proxy.Hostname())
		config.ServerName, config.NextProtos, config.Certificates, config.GetClientCertificate = proxy.Hostname(), nil, nil, nil
		if conn, err = handshake(ctx, conn, config); err != nil {
			return nil, err
		}
	}
	if err := connect(ctx, conn, proxy.User, address); err != nil {
		_ = conn.Close() // the first error says more
		return nil, err
	}
	return conn, nil
}

// maxProxyAnswer bounds the header of a proxy's answer, in bytes.
const maxProxyAnswer = 16 << 10

// connect asks a proxy to pass the connection on to address.
func connect(ctx context.Context, conn net.Conn, user *url.Userinfo, address string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	r.Header.Set("User-Agent", "") // none
	if user != nil {
		password, _ := user.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	response, err := http.ReadResponse(in, r)
	if err != nil {
		return err
	}
	response.Body.Close()
	switch {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("CONNECT is answered by %s", response.Status)
	case in.Buffered() > 0:
		return errors.New("bytes before TLS began")
	case !stop():
		return ctx.Err()
	}
	return nil
}
