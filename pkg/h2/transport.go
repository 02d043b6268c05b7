package h2

import "net/http"

// Transport is an [http.RoundTripper] for https, with a [Pool] for each server. Safe for concurrent use.
type Transport struct{}

// NewTransport makes a transport that opens a connection with the first request to a server.
func NewTransport(dialer *Dialer, limits Limits, settings Settings) *Transport {
	return &Transport{}
}

// RoundTrip sends a request as [Pool.Do] does.
func (t *Transport) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSkeleton }

// CloseIdleConnections closes the connections that carry nothing.
func (t *Transport) CloseIdleConnections() {}

// Close cuts every connection; requests end with [ErrClosed]. It returns when no goroutine is left.
func (t *Transport) Close() {}
