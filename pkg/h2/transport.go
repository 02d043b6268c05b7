package h2

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// maxServers bounds the servers that a transport has connections to.
const maxServers = 64

// Transport is an [http.RoundTripper] for https, with a [Pool] for each server. Safe for concurrent use.
type Transport struct {
	dialer   *Dialer
	limits   Limits
	settings Settings

	mu     sync.Mutex
	closed bool
	pools  map[string]*Pool // by a URL's host
}

// NewTransport makes a transport that opens a connection with the first request to a server.
func NewTransport(dialer *Dialer, limits Limits, settings Settings) *Transport {
	return &Transport{dialer: dialer, limits: limits, settings: settings, pools: make(map[string]*Pool)}
}

// RoundTrip sends a request as [Pool.Do] does.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	p, err := t.pool(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // it is not wanted
		}
		return nil, &Error{Cause: err, NotProcessed: true}
	}
	return p.RoundTrip(r)
}

func (t *Transport) pool(r *http.Request) (*Pool, error) {
	if r.URL == nil || r.URL.Scheme != "https" || r.URL.Hostname() == "" {
		return nil, errors.New("the request is not for a server of https")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := t.pools[r.URL.Host]; {
	case t.closed:
		return nil, ErrClosed
	case p != nil:
		return p, nil
	case len(t.pools) >= maxServers:
		return nil, errors.New("connections to too many servers")
	}
	address, err := httpguts.PunycodeHostPort(r.URL.Host)
	if err != nil {
		return nil, errors.New("no valid host in the request")
	}
	if r.URL.Port() == "" {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "443")
	}
	dial := func(ctx context.Context) (net.Conn, error) { return t.dialer.Dial(ctx, address) }
	p := NewPool(dial, t.limits, t.settings)
	t.pools[r.URL.Host] = p
	return p, nil
}

// CloseIdleConnections closes the connections that carry nothing.
func (t *Transport) CloseIdleConnections() {
	for _, p := range t.all() {
		p.CloseIdleConnections()
	}
}

// Close cuts every connection; requests end with [ErrClosed]. It returns when no goroutine is left.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for _, p := range t.all() {
		p.Close()
	}
}

func (t *Transport) all() []*Pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.pools))
}
