package apns

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// paced is f with a sender that has a pace of its own.
func (f *fixture) paced(t *testing.T, cfg platformConfig, change func(*timing)) *fixture {
	t.Helper()
	pace := appleTiming
	change(&pace)
	key, err := credential.LoadP8(filepath.Join(f.dir, "AuthKey.p8"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(newDialer(f.url, f.roots, nil, pace), bundle, newSigner(key.Key, teamID, keyID, time.Now), cfg, time.Now)
	t.Cleanup(s.close)
	other := *f
	other.sender = s
	return &other
}

func (f *fixture) pool() *pool { return f.sender.(*sender).pool }

// open counts the connections that may take requests.
func (p *pool) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// eventually polls until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func TestAThousandCallersAtAColdStartOpenFewConnections(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		for _, streams := range []int{100, 1000} {
			f := start(t, options{
				transport: transport,
				simulator: apnstest.Config{MaxStreams: streams, Latency: 20 * time.Millisecond},
				platform:  map[string]any{"connections": maxConnections, "concurrency": 1000},
			})
			for i, o := range f.send(t, soon(t), numbered(1000)...) {
				if o.Disposition != push.Delivered {
					t.Fatalf("%d streams: notification %d: got %+v", streams, i, o)
				}
			}
			if got := f.Control().Traffic.Counts(); got.Connections > 4 || got.RefusedStreams > 0 {
				t.Errorf("%d streams: got %+v, want at most 4 connections and no refused stream", streams, got)
			}
		}
	})
}

func TestANewConnectionCarriesOneRequestUntilItsAnswer(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport, simulator: apnstest.Config{FirstStreams: 1000}}).paced(t, platformConfig{Transport: transport, Connections: 2, Concurrency: 10}, func(*timing) {})
		p := f.pool()
		first, err := p.acquire(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := p.try(); c != nil || err != nil {
			t.Errorf("before the answer: got %v, %v, want to wait", c, err)
		}
		p.release(first, nil, true)
		for range 50 {
			if c, err := p.try(); c != first || err != nil {
				t.Fatalf("after the answer: got %v, %v, want the connection", c, err)
			}
		}
	})
}

func TestTheNextConnectionWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport}).paced(t, platformConfig{Transport: transport, Connections: 3, Concurrency: 600}, func(pace *timing) { pace.grow = time.Hour })
		f.send(t, soon(t), numbered(3000)...)
		if got := f.Control().Traffic.Counts().Connections; got != 1 {
			t.Errorf("got %d connections within the time between two, want 1", got)
		}
	})
}

func TestConnectionsFollowTheLoad(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport, simulator: apnstest.Config{Latency: 20 * time.Millisecond}}).
			paced(t, platformConfig{Transport: transport, Connections: 3, Concurrency: 600}, func(pace *timing) {
				pace.grow, pace.shrink = time.Millisecond, 100*time.Millisecond
			})
		f.send(t, soon(t), numbered(1)...)
		if got := f.pool().open(); got != 1 {
			t.Errorf("one push: %d connections", got)
		}
		f.send(t, soon(t), numbered(3000)...)
		if got := f.Control().Traffic.Counts().Connections; got != 3 {
			t.Errorf("600 pushes at a time: %d connections, want all 3", got)
		}
		eventually(t, "one connection is left", func() bool { return f.pool().open() == 1 })
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("on the connection that is left: got %+v", o)
		}
		if got := f.Control().Traffic.Counts().Connections; got != 3 {
			t.Errorf("%d connections, want no new one", got)
		}
	})
}

func TestAPeerThatFallsSilentIsNoticed(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		stopped := make(chan struct{})
		f := frameServer{onEnd: func(connection int, framer *http2.Framer, stream uint32) {
			if connection == 0 && stream > 1 {
				<-stopped // and so answers no ping either
				return
			}
			answer200(framer, stream)
		}}.start(t, transport).paced(t, platformConfig{Transport: transport, Connections: 1, Concurrency: 10}, func(pace *timing) {
			pace.ping, pace.pong = 500*time.Millisecond, 500*time.Millisecond
		})
		defer close(stopped)
		f.send(t, soon(t), notification())
		if o := f.send(t, soon(t), notification())[0]; o.Reason != push.ReasonAmbiguous || !o.Ambiguous {
			t.Errorf("what was being sent: got %+v", o)
		}
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("on a new connection: got %+v", o)
		}
	})
}

func TestACertificateThatIsNotTakenParks(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := frameServer{
			onEnd: func(_ int, framer *http2.Framer, stream uint32) { answer200(framer, stream) },
			tls:   func(cfg *tls.Config) { cfg.ClientAuth = tls.RequireAnyClientCert },
		}.start(t, transport)
		for i := range 3 {
			o := f.send(t, soon(t), notification())[0]
			if o.Disposition != push.Park || o.Reason != push.ReasonCredentialRefused || o.Scope != push.ScopeCredential || o.Ambiguous {
				t.Errorf("push %d: got %+v", i, o)
			}
		}
	})
}

func TestARetryAfterIsUnderstood(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"7", "", 7 * time.Second},
		{"0", "", 0},
		{"-7", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{"99999999999999999999", "", 0},
		{"2147483647", "", maxRetryAfter},
		{"Mon, 23 Nov 2026 12:00:30 GMT", "", 30 * time.Second},
		{"Mon, 23 Nov 2026 12:00:30 GMT", "Mon, 23 Nov 2026 12:00:20 GMT", 10 * time.Second}, // by the server's clock
		{"Mon, 23 Nov 2026 12:00:30 GMT", "yesterday", 30 * time.Second},
		{"Mon, 23 Nov 2026 11:59:00 GMT", "", 0},
		{"Mon, 23 Nov 2076 12:00:00 GMT", "", maxRetryAfter},
	} {
		header := make(http.Header)
		header.Set("Retry-After", test.value)
		header.Set("Date", test.date)
		if got := retryAfter(header, now); got != test.want {
			t.Errorf("Retry-After %q at %q: got %s, want %s", test.value, test.date, got, test.want)
		}
	}
}
