package apns

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// BenchmarkSend compares the sender with apns2 as it comes, on a simulator that is a process of its own: cpu-µs/op is the
// client's alone.
func BenchmarkSend(b *testing.B) {
	for _, load := range []struct {
		latency  time.Duration
		inFlight int
	}{
		{0, 400},
		{50 * time.Millisecond, defaultConcurrency},
	} {
		b.Run("latency="+load.latency.String()+"/apns2", func(b *testing.B) {
			p := startSimulator(b, load.latency)
			client := apns2.NewTokenClient(&token.Token{AuthKey: p.key(b), KeyID: keyID, TeamID: teamID})
			client.Host = p.URL
			client.HTTPClient.Transport = &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots(b)}}
			b.Cleanup(client.CloseIdleConnections)
			batch := numbered(load.inFlight)
			if _, err := client.Push(stock(batch[0])); err != nil {
				b.Fatal(err)
			}
			defer cost(b)()
			var next atomic.Int64
			var workers sync.WaitGroup
			for _, n := range batch {
				workers.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if answer, err := client.Push(stock(n)); err != nil || !answer.Sent() {
							b.Errorf("got %v, %v", answer, err)
						}
					}
				})
			}
			workers.Wait()
		})
		b.Run("latency="+load.latency.String()+"/sender", func(b *testing.B) {
			s := startSimulator(b, load.latency).sender(b, load.inFlight, defaultConnections)
			sendAll(b, s, 1)
			defer cost(b)()
			sendAll(b, s, b.N)
		})
	}
}

// BenchmarkMemory tells what the process holds at most with 20,000 pushes in flight.
func BenchmarkMemory(b *testing.B) {
	p := startSimulator(b, 50*time.Millisecond)
	s := p.sender(b, maxConcurrency, maxConcurrency/1000)
	s.pool.timing.grow = 0
	for s.pool.open() < s.pool.limit { // each carries one push until its first answer
		sendAll(b, s, 5000)
	}
	p.slow(b, 5*time.Second)
	for b.Loop() {
		sendAll(b, s, maxConcurrency)
	}
	s.pool.mu.Lock()
	b.ReportMetric(float64(s.pool.busiest), "in-flight")
	s.pool.mu.Unlock()
	b.ReportMetric(peakResident(b), "peak-MB")
}

// peakResident is the most memory that this process ever had, in MB.
func peakResident(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Maxrss) / 1024
}

// sendAll sends n notifications in batches, as deliver does.
func sendAll(b *testing.B, s *sender, n int) {
	b.Helper()
	const size = 100
	batch := numbered(size)
	var callers sync.WaitGroup
	var next atomic.Int64
	for range cap(s.slots)/size + 1 {
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

// cost starts to count; the returned function reports what a push cost this process, and how many a second there were.
func cost(b *testing.B) func() {
	b.ReportAllocs()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ResetTimer()
	before, began := used(), time.Now()
	return func() {
		b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "pushes/s")
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
