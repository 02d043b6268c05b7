package devices

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	loadDevices     = 1_000_000
	loadPerUser     = 1.25 // devices of a user: every fourth has two
	loadAPNsShare   = 0.5
	fcmTokenLength  = 142 // as FCM gives them out
	apnsTokenLength = 64
)

// BenchmarkRebuild rebuilds a registry of 1,000,000 devices from a real Kafka into a real Redis, and prints how long
// that took and what a device takes there. It fails where a device is missing, never for a time.
func BenchmarkRebuild(b *testing.B) {
	brokers := os.Getenv("PUSHFLEET_TEST_KAFKA")
	if brokers == "" || os.Getenv("PUSHFLEET_TEST_REDIS") == "" || os.Getenv("PUSHFLEET_TEST_BENCH") == "" {
		b.Skip("needs real servers and minutes: run make bench")
	}
	redis, err := redistest.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer redis.Close()
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: strings.Split(brokers, ",")})
	defer cluster.Close()
	cfg := config()
	cfg.Topics.Prefix = "rebuild" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	layout := stream.Layout{Topics: cfg.Topics, Platforms: []push.Platform{"apns"}, Delays: []time.Duration{time.Minute}, Partitions: 4}
	if _, err := cluster.Apply(b.Context(), layout); err != nil {
		b.Fatal(err)
	}
	fill(b, cluster, cfg.Topics)
	reg, err := registry.Open(registry.Config{Addrs: []string{redis.Addr()}}, registry.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	empty := usedMemory(b, redis)
	for b.Loop() {
		began := time.Now()
		if err := NewRebuilder(reg, cluster, cfg, "bench", zap.NewNop()).Rebuild(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		bytes := float64(usedMemory(b, redis)-empty) / loadDevices
		b.ReportMetric(took.Seconds(), "s/rebuild")
		b.ReportMetric(loadDevices/took.Seconds(), "devices/s")
		b.ReportMetric(bytes, "redis-bytes/device")
	}
	for i := range 1000 {
		n := i * (loadDevices / 1000)
		devices, err := reg.Devices(b.Context(), "demo", loadUser(n))
		if err != nil || len(devices) == 0 {
			b.Fatalf("user %d has %d devices, %v", n, len(devices), err)
		}
	}
}

// loadUser is whose device the n-th is.
func loadUser(n int) string { return fmt.Sprintf("user-%07d", int(float64(n)/loadPerUser)) }

// fill writes a state of each device to the registry topic, with names as long as they are in life: a device is a UUID.
func fill(b *testing.B, cluster *stream.Cluster, topics stream.Topics) {
	b.Helper()
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, length int) string {
		s := make([]byte, length)
		for i := range s {
			s[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(s)
	}
	const hexadecimal, letters = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	at := time.Now().Add(-time.Hour)
	var failed atomic.Int64
	for n := range loadDevices {
		s := registry.State{App: "demo", User: loadUser(n), EventTime: at.Add(time.Duration(n) * time.Millisecond),
			Device:  text(hexadecimal, 8) + "-" + text(hexadecimal, 4) + "-" + text(hexadecimal, 4) + "-" + text(hexadecimal, 4) + "-" + text(hexadecimal, 12),
			Binding: push.Binding{Platform: "apns", Credential: "ios", Language: "en", Version: 1}}
		if random.Float64() < loadAPNsShare {
			s.Binding.Token = text(hexadecimal, apnsTokenLength)
		} else {
			s.Binding.Platform, s.Binding.Credential, s.Binding.Token = "fcm", "android", text(letters, fcmTokenLength)
		}
		pub.Publish(b.Context(), State(topics, s.Record()), func(err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), time.Minute)
	defer cancel()
	if err := pub.Close(ctx); err != nil || failed.Load() > 0 {
		b.Fatalf("%d states not written, %v", failed.Load(), err)
	}
}

// usedMemory is what Redis' data takes, in bytes.
func usedMemory(b *testing.B, redis *redistest.Server) int {
	b.Helper()
	info, err := redis.Do(b.Context(), "info", "memory")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("Redis does not say how much memory it uses")
	return 0
}
