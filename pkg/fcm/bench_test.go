package fcm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// BenchmarkSend compares the sender with the SDK's SendEach as it comes, against one simulator in a process of its own:
// cpu-µs/op is what this process spent on a message. SendEach has 50 in flight, whatever one wants; more cost more,
// because each garbage collection walks through every stack.
func BenchmarkSend(b *testing.B) {
	simulator := startProcess(b, 0)

	for _, inFlight := range []int{50, 500} {
		b.Run(fmt.Sprintf("sender/in-flight=%d", inFlight), func(b *testing.B) {
			sender := simulator.connect(b, map[string]any{"concurrency": inFlight})
			batch := numbered(500)
			deliverAll(b, sender, batch[:1]) // opens the connection and fetches the access token
			defer cpu(b)()
			for left := b.N; left > 0; left -= len(batch) {
				deliverAll(b, sender, batch[:min(left, len(batch))])
			}
		})
	}

	b.Run("SendEach", func(b *testing.B) {
		client := simulator.stock(b)
		batch := make([]*messaging.Message, 500)
		for i, n := range numbered(len(batch)) {
			batch[i] = stockMessage(n)
		}
		sendEach(b, client, batch[:1])
		defer cpu(b)()
		for left := b.N; left > 0; left -= len(batch) {
			sendEach(b, client, batch[:min(left, len(batch))])
		}
	})
}

// BenchmarkLatency is a provider that takes 50 ms for an answer: what one process sends a second.
func BenchmarkLatency(b *testing.B) {
	const inFlight = 2000
	sender := startProcess(b, 50*time.Millisecond).connect(b, map[string]any{"concurrency": inFlight})
	batch := numbered(inFlight)
	deliverAll(b, sender, batch)
	done := cpu(b)
	began := time.Now()
	deliverAll(b, sender, repeated(batch, b.N))
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "sends/s")
	done()
}

// BenchmarkInFlight holds as many sends at once as the configuration allows, and tells the process's resident memory.
func BenchmarkInFlight(b *testing.B) {
	const inFlight = 20_000
	sender := startProcess(b, 8*time.Second).connect(b, map[string]any{"concurrency": inFlight})
	debug.FreeOSMemory()
	batch := numbered(inFlight)
	for b.Loop() {
		measure := time.AfterFunc(6*time.Second, func() { b.ReportMetric(resident(b), "MB") }) // all have left by then
		deliverAll(b, sender, batch)
		measure.Stop()
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

// cpu starts to count; the returned function reports what a send cost this process.
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

// resident is this process's memory in MB, as Linux counts it; 0 elsewhere.
func resident(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Log(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1024
}
