package apns

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
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

// BenchmarkSend compares the sender with apns2 as it comes, on one server in the same process that answers 200 and
// keeps no ledger. CPU is that of both sides; the difference between the two rows is the client's.
func BenchmarkSend(b *testing.B) {
	f := serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	const inFlight = 400
	batch := numbered(inFlight)

	b.Run("sender", func(b *testing.B) {
		defer cpu(b)()
		for sent := 0; sent < b.N; sent += inFlight {
			f.sender.Send(context.Background(), batch[:min(inFlight, b.N-sent)], func(_ int, o push.Outcome) {
				if o.Disposition != push.Delivered {
					b.Errorf("got %+v", o)
				}
			})
		}
	})

	b.Run("apns2", func(b *testing.B) {
		client := apns2.NewTokenClient(&token.Token{AuthKey: f.key, KeyID: keyID, TeamID: teamID})
		client.Host = f.url
		client.HTTPClient.Transport = &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: f.roots}}
		defer client.CloseIdleConnections()
		if _, err := client.Push(stock(batch[0])); err != nil {
			b.Fatal(err)
		}
		defer cpu(b)()
		var next atomic.Int64
		var workers sync.WaitGroup
		for range inFlight {
			workers.Go(func() {
				for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
					if answer, err := client.Push(stock(batch[i%inFlight])); err != nil || !answer.Sent() {
						b.Errorf("got %v, %v", answer, err)
					}
				}
			})
		}
		workers.Wait()
	})
}

// stock is a notification as a caller of apns2 alone would build it.
func stock(n *push.Notification) *apns2.Notification {
	r, _ := render(n, bundle)
	out := r.notification(n.Token)
	out.Payload = r.payload
	return out
}

// cpu starts to count; the returned function reports what a push cost.
func cpu(b *testing.B) func() {
	b.ReportAllocs()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ResetTimer()
	before := used()
	return func() {
		b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu-µs/op")
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
