package apns

import (
	"context"
	"crypto/tls"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/drivertest"
)

// transports are the settings of the sender that are tested and measured.
var transports = []string{transportH2, transportStd}

// BenchmarkSend compares the sender with apns2 as it comes and with h2load, a client in C that does no more than HTTP/2,
// on a simulator that is a process of its own: cpu-µs/op is the client's alone.
func BenchmarkSend(b *testing.B) {
	for _, load := range []struct {
		latency  time.Duration
		inFlight int
	}{
		{0, 400},
		{50 * time.Millisecond, defaultConcurrency},
	} {
		name := "latency=" + load.latency.String() + "/"
		b.Run(name+"apns2", func(b *testing.B) { benchmarkStock(b, load.latency, load.inFlight) })
		for _, transport := range transports {
			b.Run(name+transport, func(b *testing.B) {
				s := startSimulator(b, load.latency).sender(b, transport, load.inFlight, defaultConnections)
				sendAll(b, s, load.inFlight, load.inFlight)
				defer drivertest.Cost(b, "pushes/s")()
				sendAll(b, s, load.inFlight, b.N)
			})
		}
		if load.latency == 0 {
			b.Run(name+"h2load", func(b *testing.B) { benchmarkH2load(b, load.inFlight) })
		}
	}
}

// benchmarkStock is apns2 with the transport that it comes with.
func benchmarkStock(b *testing.B, latency time.Duration, inFlight int) {
	p := startSimulator(b, latency)
	client := apns2.NewTokenClient(&token.Token{AuthKey: p.key(b), KeyID: keyID, TeamID: teamID})
	client.Host = p.URL
	client.HTTPClient.Transport = &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots(b)}}
	b.Cleanup(client.CloseIdleConnections)
	batch := numbered(inFlight)
	push := func(count int64) {
		var next atomic.Int64
		var workers sync.WaitGroup
		for _, n := range batch {
			workers.Go(func() {
				for next.Add(1) <= count {
					if answer, err := client.Push(stock(n)); err != nil || !answer.Sent() {
						b.Errorf("got %v, %v", answer, err)
					}
				}
			})
		}
		workers.Wait()
	}
	push(1) // alone: the connection takes one until the first answer
	push(int64(inFlight))
	defer drivertest.Cost(b, "pushes/s")()
	push(int64(b.N))
}

// BenchmarkOneConnection is what one connection carries where Apple takes 50 ms to answer and allows 1,000 streams.
func BenchmarkOneConnection(b *testing.B) {
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			s := startSimulator(b, 50*time.Millisecond).sender(b, transport, 1000, 1)
			sendAll(b, s, 1000, 1000)
			defer drivertest.Cost(b, "pushes/s")()
			sendAll(b, s, 1000, b.N)
		})
	}
}

// BenchmarkInFlight tells what the process holds with 20,000 pushes in flight: MB when the first answer comes, peak-MB at
// most, which is after that, since they all come at once. Its memory stays with a process, so each transport needs one of
// its own.
func BenchmarkInFlight(b *testing.B) {
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			p := startSimulator(b, 50*time.Millisecond)
			s := p.sender(b, transport, maxConcurrency, maxConcurrency/1000)
			s.pool.timing.grow = 0
			for s.pool.open() < s.pool.limit { // each carries one push until its first answer
				sendAll(b, s, 5000, 5000)
			}
			p.slow(b, 8*time.Second)
			batch := numbered(500)
			for b.Loop() {
				var first sync.Once
				var callers sync.WaitGroup
				for range maxConcurrency / len(batch) {
					callers.Go(func() {
						s.Send(context.Background(), batch, func(_ int, o push.Outcome) {
							first.Do(func() {
								b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
								b.ReportMetric(drivertest.Resident(b, "VmRSS:"), "MB")
							})
							if o.Disposition != push.Delivered {
								b.Errorf("got %+v", o)
							}
						})
					})
				}
				callers.Wait()
			}
			b.ReportMetric(drivertest.Resident(b, "VmHWM:"), "peak-MB")
		})
	}
}

// BenchmarkColdStart counts the connections that 1,000 callers open who come at once and find none, where the
// configuration allows 100.
func BenchmarkColdStart(b *testing.B) {
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			most := 0
			for b.Loop() {
				f := start(b, options{
					simulator: apnstest.Config{Latency: 20 * time.Millisecond},
					platform:  map[string]any{"transport": transport, "connections": maxConnections, "concurrency": 1000},
				})
				for _, o := range f.send(b, context.Background(), numbered(1000)...) {
					if o.Disposition != push.Delivered {
						b.Fatalf("got %+v", o)
					}
				}
				most = max(most, f.Control().Traffic.Counts().Connections)
			}
			b.ReportMetric(float64(most), "connections")
		})
	}
}

// sendAll sends n notifications in batches, as deliver does, so many at a time and some more that wait.
func sendAll(b *testing.B, s *sender, inFlight, n int) {
	b.Helper()
	const size = 100
	batch := numbered(size)
	var callers sync.WaitGroup
	var next atomic.Int64
	for range inFlight/size + 1 {
		callers.Go(func() {
			for {
				end := next.Add(size)
				now := min(size, n-int(end-size))
				if now <= 0 {
					return
				}
				s.Send(context.Background(), batch[:now], func(_ int, o push.Outcome) {
					if o.Disposition != push.Delivered {
						b.Errorf("got %+v", o)
					}
				})
			}
		})
	}
	callers.Wait()
}

// stock is a notification as a caller of apns2 alone would build it.
func stock(n *push.Notification) *apns2.Notification {
	r, _ := render(n, bundle)
	return &apns2.Notification{
		ApnsID: r.id, CollapseID: r.collapseID, DeviceToken: n.Token, Topic: r.topic, Expiration: r.expiration,
		Priority: r.priority, PushType: r.pushType, Payload: r.payload,
	}
}

func BenchmarkRender(b *testing.B) {
	n := notification()
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := render(n, bundle); refused != nil {
			b.Fatal(refused)
		}
	}
}
