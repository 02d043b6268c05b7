package pushtest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Traffic counts connections and streams. The zero value is ready. Safe for concurrent use.
type Traffic struct {
	mu          sync.Mutex
	connections int // open now
	streams     int // open now
	counts      TrafficCounts
}

// TrafficCounts sums up the traffic since its last reset.
type TrafficCounts struct {
	Connections              int `json:"connections"`                 // open at the reset, or accepted since
	MostStreams              int `json:"most_streams"`                // at once, on all connections
	MostStreamsPerConnection int `json:"most_streams_per_connection"` // at once, on one connection
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
}

type connectionKey struct{}

// connection is one client connection's open streams, under the traffic's lock.
type connection struct{ streams int }

// connected is the server's ConnContext: it lets a connection's streams be counted.
func (t *Traffic) connected(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// changed is the server's ConnState.
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
		conn, _ := r.Context().Value(connectionKey{}).(*connection)
		t.add(conn, 1)
		defer t.add(conn, -1)
		next.ServeHTTP(w, r)
	})
}

func (t *Traffic) add(conn *connection, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams += n
	conn.streams += n
	t.counts.MostStreams = max(t.counts.MostStreams, t.streams)
	t.counts.MostStreamsPerConnection = max(t.counts.MostStreamsPerConnection, conn.streams)
}
