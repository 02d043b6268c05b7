package stream

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

// cpu is what this process has used. The embedded broker is part of it; on a real one (PUSHFLEET_TEST_KAFKA) it is the
// client alone.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// report adds the processor time of a record, which is what the budgets are about.
func report(b *testing.B, began time.Duration) {
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N), "cpu-ns/record")
}

func benchLab(b *testing.B) *lab {
	b.Helper()
	l := &lab{}
	if addrs := testAddrs(); addrs != nil {
		l.addrs = addrs
	} else {
		broker, err := embedded.Start(embedded.Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(broker.Close)
		l.fake, l.addrs = broker, []string{broker.Addr()}
	}
	l.cluster = OpenCluster(ClusterConfig{Brokers: l.addrs})
	b.Cleanup(l.cluster.Close)
	return l
}

// paced calls fn n times, at most rate a second.
func paced(n, rate int, fn func(i int)) {
	began := time.Now()
	for i := range n {
		for due := int(time.Since(began).Seconds() * float64(rate)); i >= due; due = int(time.Since(began).Seconds() * float64(rate)) {
			time.Sleep(time.Millisecond)
		}
		fn(i)
	}
}

const benchRate = 8000

func benchTopic(b *testing.B, l *lab, partitions int) string {
	b.Helper()
	name := fmt.Sprintf("bench-%d-%d", partitions, time.Now().UnixNano())
	if _, err := l.cluster.client.CreateTopics(b.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: name, NumPartitions: partitions, ReplicationFactor: 1},
	}}); err != nil {
		b.Fatal(err)
	}
	return name
}

func benchValue() []byte {
	value := make([]byte, 600)
	for i := range value {
		value[i] = byte('a' + i%17)
	}
	return value
}

func BenchmarkProduce(b *testing.B) {
	for _, partitions := range []int{4, 64} {
		b.Run(fmt.Sprintf("Publisher/partitions=%d", partitions), func(b *testing.B) {
			l := benchLab(b)
			topic := benchTopic(b, l, partitions)
			p := l.cluster.NewPublisher(PublisherConfig{})
			value := benchValue()
			began := cpu()
			b.ResetTimer()
			paced(b.N, benchRate, func(i int) {
				p.Publish(b.Context(), Message{Topic: topic, Partition: ByKey, Key: fmt.Appendf(nil, "u%d", i), Value: value}, func(error) {})
			})
			if err := p.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			report(b, began)
			b.ReportMetric(float64(b.N)/float64(p.Stats().Requests), "records/request")
		})
		b.Run(fmt.Sprintf("Writer/partitions=%d", partitions), func(b *testing.B) {
			l := benchLab(b)
			topic := benchTopic(b, l, partitions)
			w := &kafka.Writer{
				Addr: l.cluster.addr, Topic: topic, Balancer: kafka.Murmur2Balancer{}, BatchTimeout: 5 * time.Millisecond,
				RequiredAcks: kafka.RequireAll, Compression: kafka.Snappy, Async: true, Transport: l.cluster.transport,
			}
			value := benchValue()
			began := cpu()
			b.ResetTimer()
			paced(b.N, benchRate, func(i int) {
				if err := w.WriteMessages(b.Context(), kafka.Message{Key: fmt.Appendf(nil, "u%d", i), Value: value}); err != nil {
					b.Fatal(err)
				}
			})
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			report(b, began)
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, partitions := range []int{4, 64} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			l := benchLab(b)
			topic := benchTopic(b, l, partitions)
			s, err := l.cluster.NewSource(SourceConfig{Group: topic, Lanes: []Lane{{Topics: []string{topic}}}})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			got := make(chan int, 1024)
			running.Go(func() {
				_ = s.Run(ctx, func(_ context.Context, batch []*Record) {
					for _, r := range batch {
						r.Ack()
					}
					got <- len(batch)
				})
			})
			p := l.cluster.NewPublisher(PublisherConfig{})
			value := benchValue()
			b.ResetTimer()
			began := cpu()
			paced(b.N, benchRate, func(i int) {
				p.Publish(b.Context(), Message{Topic: topic, Partition: ByKey, Key: fmt.Appendf(nil, "u%d", i), Value: value}, func(error) {})
			})
			for n := 0; n < b.N; n += <-got {
			}
			report(b, began)
			b.ReportMetric(float64(b.N)/float64(s.Stats().Fetches), "records/fetch")
			b.StopTimer()
			cancel()
			running.Wait()
			if err := p.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkDecode is a full batch of records of 600 bytes, without the network.
func BenchmarkDecode(b *testing.B) {
	values := make([]string, 500)
	for i := range values {
		values[i] = string(benchValue())
	}
	batch := encode(b, 2, values...)
	b.ReportAllocs()
	for b.Loop() {
		d := reading{of: topicPartition{"t", 0}, win: newWindow(0, 1000, testLane()), from: 0, givenUp: -1, end: 1 << 62, epoch: -1}.decode(batch)
		if len(d.records) != 500 {
			b.Fatal(d.err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/record")
}
