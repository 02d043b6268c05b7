package fcm_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/drivertest"
)

// BenchmarkSend compares the sender with the SDK's SendEach as it comes, against one simulator in a process of its own:
// cpu-µs/op is what this process spent on a message. SendEach has 50 in flight, whatever one wants; more cost more,
// because each garbage collection walks through every stack.
func BenchmarkSend(b *testing.B) {
	simulator := startProcess(b, 0)

	b.Run("SendEach", func(b *testing.B) {
		client := simulator.stock(b)
		batch := make([]*messaging.Message, 500)
		for i, n := range numbered(len(batch)) {
			batch[i] = stockMessage(n)
		}
		sendEach(b, client, batch[:1])
		sendEach(b, client, batch)
		defer drivertest.Cost(b, "sends/s")()
		for left := b.N; left > 0; left -= len(batch) {
			sendEach(b, client, batch[:min(left, len(batch))])
		}
	})

	for _, transport := range transports {
		for _, inFlight := range []int{50, defaultInFlight} {
			b.Run(fmt.Sprintf("%s/in-flight=%d", transport, inFlight), func(b *testing.B) {
				sender := simulator.connect(b, map[string]any{"transport": transport, "concurrency": inFlight})
				batch := numbered(500)
				deliverAll(b, sender, batch) // opens the connection and fetches the access token
				defer drivertest.Cost(b, "sends/s")()
				for left := b.N; left > 0; left -= len(batch) {
					deliverAll(b, sender, batch[:min(left, len(batch))])
				}
			})
		}
	}
}

// defaultInFlight is what the configuration has by default.
const defaultInFlight = 500

// BenchmarkLatency is a provider that takes 50 ms for an answer: what one process sends a second.
func BenchmarkLatency(b *testing.B) {
	const inFlight = 2000
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			sender := startProcess(b, 50*time.Millisecond).connect(b, map[string]any{"transport": transport, "concurrency": inFlight})
			batch := numbered(inFlight)
			deliverAll(b, sender, batch)
			defer drivertest.Cost(b, "sends/s")()
			deliverAll(b, sender, repeated(batch, b.N))
		})
	}
}

// BenchmarkInFlight tells what the process holds with as many sends at once as the configuration allows: MB when the
// first answer comes, peak-MB at most, which is after that, since they all come at once. Its memory stays with a process,
// so each transport needs one of its own.
func BenchmarkInFlight(b *testing.B) {
	const inFlight = 20_000
	const latency = 30 * time.Second // of which 20 go by until the 200 connections are open that this takes
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			sender := startProcess(b, latency).connect(b, map[string]any{"transport": transport, "concurrency": inFlight})
			batch := repeated(numbered(500), inFlight)
			ctx, cancel := context.WithTimeout(b.Context(), 4*latency)
			defer cancel()
			for b.Loop() {
				var first sync.Once
				sender.Send(ctx, batch, func(_ int, o push.Outcome) {
					first.Do(func() {
						b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
						b.ReportMetric(drivertest.Resident(b, "VmRSS:"), "MB")
					})
					if o.Disposition != push.Delivered {
						b.Errorf("got %+v", o)
					}
				})
			}
			b.ReportMetric(drivertest.Resident(b, "VmHWM:"), "peak-MB")
		})
	}
}

// BenchmarkColdStart counts the connections that 1,000 callers open who come at once and find none.
func BenchmarkColdStart(b *testing.B) {
	for _, transport := range transports {
		b.Run(transport, func(b *testing.B) {
			most := 0
			for b.Loop() {
				w := newWorld(b, fcmtest.Config{Latency: 20 * time.Millisecond}, map[string]any{"transport": transport, "concurrency": 1000})
				deliverAll(b, w.sender, numbered(1000))
				most = max(most, w.Control().Traffic.Counts().Connections)
			}
			b.ReportMetric(float64(most), "connections")
		})
	}
}

func BenchmarkRender(b *testing.B) {
	driver := open(b, settings(nil, nil, anyKey))
	n := hello()
	b.ReportAllocs()
	for b.Loop() {
		driver.Render(n, now)
	}
}

// numbered is notifications for as many devices.
func numbered(count int) []*push.Notification {
	batch := make([]*push.Notification, count)
	for i := range batch {
		batch[i] = hello()
		batch[i].Token = fmt.Sprintf("token-%d", i)
	}
	return batch
}

func repeated(batch []*push.Notification, count int) []*push.Notification {
	all := make([]*push.Notification, count)
	for i := range all {
		all[i] = batch[i%len(batch)]
	}
	return all
}

func deliverAll(b *testing.B, s push.Sender, batch []*push.Notification) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed atomic.Pointer[push.Outcome]
	s.Send(ctx, batch, func(_ int, o push.Outcome) {
		if o.Disposition != push.Delivered {
			failed.Store(&o)
		}
	})
	if o := failed.Load(); o != nil {
		b.Fatalf("got %+v", *o)
	}
}

func sendEach(b *testing.B, client *messaging.Client, batch []*messaging.Message) {
	got, err := client.SendEach(context.Background(), batch)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range got.Responses {
		if r.Error != nil {
			b.Fatal(r.Error)
		}
	}
}

// stock is the SDK as it comes, apart from the address.
func (p *process) stock(b *testing.B) *messaging.Client {
	b.Setenv("SSL_CERT_FILE", filepath.Join(p.dir, "ca.pem"))
	app, err := firebase.NewApp(b.Context(), &firebase.Config{ProjectID: project},
		option.WithEndpoint(p.url+"/v1"),
		option.WithScopes("https://www.googleapis.com/auth/firebase.messaging"),
		option.WithAuthCredentialsFile(option.ServiceAccount, filepath.Join(p.dir, "sa.json")))
	if err != nil {
		b.Fatal(err)
	}
	client, err := app.Messaging(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// stockMessage is n as a caller of the SDK alone would build it.
func stockMessage(n *push.Notification) *messaging.Message {
	ttl := n.Expires.Sub(now)
	return &messaging.Message{
		Token: n.Token,
		Data: map[string]string{
			"body": n.Body, "badge": strconv.Itoa(n.Badge), "ext": n.Ext, "thread": n.Thread, "msg_key": n.MsgKey,
		},
		Android: &messaging.AndroidConfig{Priority: "high", TTL: &ttl},
	}
}
