package pushtest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// maxBearers bounds the memory of the bearer tokens that are told apart.
const maxBearers = 100_000

// Traffic counts connections, streams and the tokens that clients authorize with. The zero value is ready. Safe for
// concurrent use.
type Traffic struct {
	mu          sync.Mutex
	connections int // open now
	streams     int // open now
	counts      TrafficCounts
	bearers     map[string]struct{}
}

// TrafficCounts sums up the traffic since its last reset.
type TrafficCounts struct {
	Connections              int `json:"connections"`                 // open at the reset, or accepted since
	MostStreams              int `json:"most_streams"`                // at once, on all connections
	MostStreamsPerConnection int `json:"most_streams_per_connection"` // at once, on one connection
	Bearers                  int `json:"bearers"`                     // different tokens that were good when they first came: JWTs, access tokens
	RefusedStreams           int `json:"refused_streams"`             // above the limit that the client had been told
	GoAways                  int `json:"go_aways"`                    // connections that were told to end
}

// Counts sums up.
func (t *Traffic) Counts() TrafficCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// Reset starts counting anew, from the connections and streams that are open.
func (t *Traffic) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = TrafficCounts{Connections: t.connections, MostStreams: t.streams}
	t.bearers = nil
}

// Bearer counts a token that authorized a request, once.
func (t *Traffic) Bearer(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.bearers[token]; known || len(t.bearers) >= maxBearers {
		return
	}
	if t.bearers == nil {
		t.bearers = make(map[string]struct{})
	}
	t.bearers[token] = struct{}{}
	t.counts.Bearers++
}

// Refused counts a stream that was refused because there were too many.
func (t *Traffic) Refused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.RefusedStreams++
}

// WentAway counts a GOAWAY.
func (t *Traffic) WentAway() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.GoAways++
}

// Flow is the traffic of one connection. Safe for concurrent use.
type Flow struct {
	traffic *Traffic
	streams int // open now, under the traffic's lock
}

// Connect counts a connection that was accepted, until its [Flow.Disconnect].
func (t *Traffic) Connect() *Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connections++
	t.counts.Connections++
	return &Flow{traffic: t}
}

// Disconnect ends the connection, and the streams that it still has.
func (f *Flow) Disconnect() {
	f.traffic.mu.Lock()
	defer f.traffic.mu.Unlock()
	f.traffic.connections--
	f.traffic.streams -= f.streams
	f.streams = 0
}

// Add counts n streams as opened, or as closed where n is negative.
func (f *Flow) Add(n int) {
	t := f.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams += n
	f.streams += n
	t.counts.MostStreams = max(t.counts.MostStreams, t.streams)
	t.counts.MostStreamsPerConnection = max(t.counts.MostStreamsPerConnection, f.streams)
}

type flowKey struct{}

// connected is the net/http server's ConnContext: it lets a connection's streams be counted.
func (t *Traffic) connected(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, flowKey{}, &Flow{traffic: t})
}

// changed is the net/http server's ConnState.
func (t *Traffic) changed(_ net.Conn, state http.ConnState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch state {
	case http.StateNew:
		t.connections++
		t.counts.Connections++
	case http.StateClosed, http.StateHijacked:
		t.connections--
	}
}

// count wraps a handler so that its running requests count as streams.
func (t *Traffic) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flow, _ := r.Context().Value(flowKey{}).(*Flow)
		flow.Add(1)
		defer flow.Add(-1)
		next.ServeHTTP(w, r)
	})
}
