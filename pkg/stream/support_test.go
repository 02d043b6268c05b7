package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(zombieEnv); args != "" {
		zombie(args)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for something that has to happen, on a busy machine and while a broker is away.
const patience = 2 * time.Minute

// lab is the Kafka of one test: a real one where PUSHFLEET_TEST_KAFKA names it, an embedded one elsewhere.
type lab struct {
	t       *testing.T
	cluster *Cluster
	addrs   []string
	fake    *embedded.Broker // nil on a real Kafka
	three   bool             // topics have three replicas, of which two must have a record
}

// testAddrs is where the real Kafka is; nil = there is none.
func testAddrs() []string {
	if addrs := os.Getenv("PUSHFLEET_TEST_KAFKA"); addrs != "" {
		return strings.Split(addrs, ",")
	}
	return nil
}

func newLab(t *testing.T, brokers int) *lab {
	t.Helper()
	l := &lab{t: t}
	if l.addrs = testAddrs(); l.addrs == nil {
		l.fake = startFake(t, embedded.Config{Brokers: brokers})
		l.addrs = []string{l.fake.Addr()}
	}
	l.cluster = openCluster(t, l.addrs...)
	return l
}

// newFakeLab is for faults that a real Kafka cannot be asked for.
func newFakeLab(t *testing.T, brokers int) *lab {
	t.Helper()
	fake := startFake(t, embedded.Config{Brokers: brokers})
	return &lab{t: t, fake: fake, addrs: []string{fake.Addr()}, cluster: openCluster(t, fake.Addr())}
}

func startFake(t *testing.T, cfg embedded.Config) *embedded.Broker {
	t.Helper()
	cfg.MinSessionTimeout = 100 * time.Millisecond
	b, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openCluster(t *testing.T, addrs ...string) *Cluster {
	t.Helper()
	c := OpenCluster(ClusterConfig{Brokers: addrs})
	t.Cleanup(c.Close)
	return c
}

// topic creates a topic with a name of its own.
func (l *lab) topic(partitions int, settings ...kafka.ConfigEntry) string {
	l.t.Helper()
	name := "test-" + uuid.NewString()
	l.create(name, partitions, settings...)
	return name
}

func (l *lab) create(name string, partitions int, settings ...kafka.ConfigEntry) {
	l.t.Helper()
	replicas := 1
	if l.three {
		replicas = 3
	}
	eventually(l.t, "the topic is created", func() bool { // a broker that has just come may not be known yet
		res, err := l.cluster.client.CreateTopics(l.t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
			{Topic: name, NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: settings},
		}})
		// A time-out may have created it all the same.
		return err == nil && (res.Errors[name] == nil || errors.Is(res.Errors[name], kafka.TopicAlreadyExists))
	})
}

func (l *lab) publisher() *Publisher {
	l.t.Helper()
	p := l.cluster.NewPublisher(PublisherConfig{})
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// publish writes values to one partition and waits until they are durable.
func (l *lab) publish(p *Publisher, topic string, partition int32, values ...string) {
	l.t.Helper()
	errs := make(chan error, len(values))
	for _, v := range values {
		m := Message{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)}
		p.Publish(l.t.Context(), m, func(err error) { errs <- err })
	}
	for range values {
		select {
		case err := <-errs:
			if err != nil {
				l.t.Fatal(err)
			}
		case <-time.After(patience):
			l.t.Fatalf("publishing to %s/%d: not done in time", topic, partition)
		}
	}
}

// member is a running source whose handler collects records.
type member struct {
	*Source
	stop func()        // ends Run and waits for it
	done chan struct{} // Run has returned

	mu      sync.Mutex
	records []*Record
}

// run starts a source in a group of its own unless cfg names one. handle may be nil: collect and acknowledge.
func (l *lab) run(cfg SourceConfig, handle func(ctx context.Context, m *member, batch []*Record)) *member {
	l.t.Helper()
	if cfg.Group == "" {
		cfg.Group = "test-" + uuid.NewString()
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 3 * time.Second
	}
	if handle == nil {
		handle = func(_ context.Context, _ *member, batch []*Record) {
			for _, r := range batch {
				r.Ack()
			}
		}
	}
	s, err := l.cluster.NewSource(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Source: s, done: make(chan struct{})}
	m.stop = sync.OnceFunc(func() { cancel(); <-m.done })
	go func() {
		defer close(m.done)
		err := s.Run(ctx, func(ctx context.Context, batch []*Record) {
			m.mu.Lock()
			m.records = append(m.records, batch...)
			m.mu.Unlock()
			handle(ctx, m, batch)
		})
		if err != nil {
			l.t.Error(err)
		}
	}()
	l.t.Cleanup(m.stop)
	return m
}

func (m *member) all() []*Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records)
}

// values returns what was read, by partition.
func (m *member) values() map[int32][]string {
	out := map[int32][]string{}
	for _, r := range m.all() {
		out[r.Partition] = append(out[r.Partition], string(r.Value))
	}
	return out
}

// eventually waits until ok is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%06d", i))
	}
	return out
}

// committedOffsets is what the group has, by partition.
func (l *lab) committedOffsets(group, topic string, partitions int) map[int32]int64 {
	l.t.Helper()
	var ids []int
	for id := range partitions {
		ids = append(ids, id)
	}
	got, err := l.cluster.committed(l.t.Context(), group, map[string][]int{topic: ids})
	if err != nil {
		l.t.Fatal(err)
	}
	out := map[int32]int64{}
	for tp, offset := range got {
		out[tp.partition] = offset
	}
	return out
}

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }
