package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

// scanAll reads a topic whole, by partition.
func (l *lab) scanAll(topic string) map[int32][]string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := map[int32][]string{}
	if err := l.cluster.Scan(ctx, topic, nil, func(r *Record) bool {
		out[r.Partition] = append(out[r.Partition], string(r.Value))
		return true
	}); err != nil {
		l.t.Fatal(err)
	}
	return out
}

// inOrder says whether every value appears, and first appearances are in order.
func inOrder(got []string, want []string) error {
	seen := map[string]bool{}
	next := 0
	for _, v := range got {
		if seen[v] {
			continue
		}
		seen[v] = true
		if next >= len(want) || v != want[next] {
			return fmt.Errorf("%q appeared where %q was expected", v, want[min(next, len(want)-1)])
		}
		next++
	}
	if next != len(want) {
		return fmt.Errorf("%d of %d appeared", next, len(want))
	}
	return nil
}

func TestPublisherKeepsOrderUnderFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, l *lab, topic string){
		"none": func(*testing.T, *lab, string) {},
		"errors of one partition": func(_ *testing.T, l *lab, topic string) {
			for _, err := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.UnknownServerError} {
				l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{1}, Err: err, Count: 2})
			}
		},
		"a reply that is lost": func(_ *testing.T, l *lab, topic string) {
			// The broker writes the records and says that it did not.
			l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicasAfterAppend, Count: 3})
		},
		"connections that break": func(_ *testing.T, l *lab, _ string) {
			n := 0
			l.fake.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				if n++; n > 4 {
					return nil, nil, false
				}
				l.fake.Cluster().KeepControl()
				return nil, errors.New("connection is cut"), true
			})
		},
		"leaders that move": func(t *testing.T, l *lab, topic string) {
			for i := range int32(8) {
				if err := l.fake.Cluster().MoveTopicPartition(topic, i%4, (i+1)%3); err != nil {
					t.Error(err)
				}
			}
		},
	}
	for name, inject := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newFakeLab(t, 3)
			topic := l.topic(4)
			p := l.publisher()
			const each = 5000 // more than one request takes, so that some wait behind those that fail
			var wg sync.WaitGroup
			for i := range each {
				if i == each/3 {
					inject(t, l, topic)
				}
				for id := range int32(4) {
					wg.Add(1)
					p.Publish(t.Context(), Message{Topic: topic, Partition: id, Value: []byte(fmt.Sprintf("%06d", i))}, func(err error) {
						if err != nil {
							t.Errorf("partition %d: %v", id, err)
						}
						wg.Done()
					})
				}
			}
			wg.Wait()
			got := l.scanAll(topic)
			for id := range int32(4) {
				if err := inOrder(got[id], numbered(0, each)); err != nil {
					t.Errorf("partition %d: %v", id, err)
				}
			}
			if n, bytes := p.Stats().QueuedRecords, p.Stats().QueuedBytes; n != 0 || bytes != 0 {
				t.Errorf("%d records, %d bytes still counted", n, bytes)
			}
		})
	}
}

func TestPublisherChoosesThePartitionByMurmur2(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(4)
	p := l.publisher()
	want := map[int32][]string{}
	for i := range 40 {
		key := fmt.Sprintf("app|user-%d", i)
		id := Murmur2Partition([]byte(key), 4)
		want[id] = append(want[id], key)
		done := make(chan error, 1)
		p.Publish(t.Context(), Message{Topic: topic, Partition: ByKey, Key: []byte(key), Value: []byte(key)}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, l.scanAll(topic)); diff != "" {
		t.Errorf("written differs (-want +got):\n%s", diff)
	}
}

func TestPublisherSaysWhatCanNeverBeWritten(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	small := l.topic(1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "2000"})
	compacted := l.topic(1, kafka.ConfigEntry{ConfigName: "cleanup.policy", ConfigValue: "compact"})
	p := l.publisher()
	incompressible := make([]byte, 3000)
	for i, x := 0, uint32(1); i < len(incompressible); i++ {
		x = x*1664525 + 1013904223
		incompressible[i] = byte(x >> 24)
	}
	tests := map[string]struct {
		m    Message
		want error
	}{
		"larger than the publisher's limit":   {Message{Topic: small, Value: make([]byte, deadRecordBytes+1)}, ErrTooLarge},
		"larger than the topic's limit":       {Message{Topic: small, Value: incompressible}, ErrTooLarge},
		"no key on a compacted topic":         {Message{Topic: compacted, Value: []byte("x")}, ErrRefused},
		"fits, next to one that is too large": {Message{Topic: small, Value: []byte("x")}, nil},
	}
	if l.fake != nil {
		delete(tests, "no key on a compacted topic") // kfake takes it
	}
	var wg sync.WaitGroup
	for name, tt := range tests {
		wg.Add(1)
		p.Publish(t.Context(), tt.m, func(err error) {
			defer wg.Done()
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		})
	}
	wg.Wait()
}

func TestPublisherWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	name := "late-" + l.topic(1)
	p := l.publisher()
	done := make(chan error, 2)
	p.Publish(t.Context(), Message{Topic: name, Partition: ByKey, Key: []byte("k"), Value: []byte("1")}, func(err error) { done <- err })
	p.Publish(t.Context(), Message{Topic: name, Partition: 0, Value: []byte("2")}, func(err error) { done <- err })
	l.create(name, 1)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := l.scanAll(name)[0]; len(got) != 2 {
		t.Errorf("written: %q", got)
	}
}

func TestPublisherBlocksWhileItIsFullAndFailsAtClose(t *testing.T) {
	t.Parallel()
	c := openCluster(t, "127.0.0.1:1") // nothing listens there
	p := c.NewPublisher(PublisherConfig{MaxBytes: 10_000})
	done := make(chan error, 100)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n := 0
	for ctx.Err() == nil {
		p.Publish(ctx, Message{Topic: "t", Value: make([]byte, 1000)}, func(err error) { done <- err })
		n++
	}
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the message without room: %v", err)
	}
	if bytes := p.Stats().QueuedBytes; bytes > 10_000 {
		t.Errorf("%d bytes queued, want at most 10000", bytes)
	}
	closing, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := p.Close(closing); err == nil {
		t.Error("Close says nothing about what it left")
	}
	for range n - 1 {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("a message left at Close: %v", err)
		}
	}
	p.Publish(t.Context(), Message{Topic: "t"}, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	p := l.cluster.NewPublisher(PublisherConfig{})
	done := make(chan error, 100)
	for _, v := range numbered(0, 100) {
		p.Publish(t.Context(), Message{Topic: topic, Value: []byte(v)}, func(err error) { done <- err })
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for range 100 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(numbered(0, 100), l.scanAll(topic)[0]); diff != "" {
		t.Errorf("written differs (-want +got):\n%s", diff)
	}
}

func TestBrokerAwayAtTheStartAndLater(t *testing.T) {
	t.Parallel()
	first := startFake(t, embedded.Config{})
	addr, dir := first.Addr(), t.TempDir()
	first.Close() // the address is free, and known

	c := openCluster(t, addr)
	l := &lab{t: t, cluster: c, addrs: []string{addr}}
	const topic = "away"
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	p := l.publisher()
	written := make(chan error, 3)
	publish := func(v string) {
		p.Publish(t.Context(), Message{Topic: topic, Value: []byte(v)}, func(err error) { written <- err })
	}
	publish("before the first start")
	has := func(v string) func() bool {
		return func() bool { return slices.Contains(m.values()[0], v) }
	}
	eventually(t, "readiness says that nothing answers", func() bool { return m.Ready() != nil })

	broker := startFake(t, embedded.Config{Addr: addr, DataDir: dir})
	l.create(topic, 1)
	eventually(t, "the first record", has("before the first start"))

	broker.Close()
	publish("while it is away")
	eventually(t, "readiness says that it is away", func() bool { return m.Ready() != nil })
	startFake(t, embedded.Config{Addr: addr, DataDir: dir})
	eventually(t, "the second record", has("while it is away"))
	publish("after it is back")
	eventually(t, "the third record", has("after it is back"))
	eventually(t, "readiness says that all is well", func() bool { return m.Ready() == nil })
	for range 3 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	if err := inOrder(m.values()[0], []string{"before the first start", "while it is away", "after it is back"}); err != nil {
		t.Error(err)
	}
}

func TestLargeAndSmallRecordsShareARequest(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(2, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: fmt.Sprint(topicRecordBytes)})
	p := l.publisher()
	large := strings.Repeat("0123456789abcdef", MaxRecordBytes/16)
	l.publish(p, topic, 0, "a", large, "b", large)
	l.publish(p, topic, 1, "c")
	want := map[int32][]string{0: {"a", large, "b", large}, 1: {"c"}}
	if !cmp.Equal(want, l.scanAll(topic)) {
		t.Error("written differs")
	}
}
