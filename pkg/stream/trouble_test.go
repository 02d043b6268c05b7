package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pushfleet/pushfleet/pkg/stream/kafkatest"
)

// TestKafkaTrouble holds docs/kafka-trouble.md, row by row, on three real brokers that keep everything three times, of
// which two must have a record. They are shared: first what concerns one topic, next to each other, then what the whole
// cluster feels, one after the other.
func TestKafkaTrouble(t *testing.T) {
	if os.Getenv("PUSHFLEET_TEST_KAFKA") == "" {
		t.Skip("needs PUSHFLEET_TEST_KAFKA: run scripts/integration ./pkg/stream")
	}
	r := newRig(t)
	t.Run("one topic", func(t *testing.T) {
		for _, c := range []trial{
			{"a group and a topic are asked for before a broker answers", testNothingAtTheStart},
			{"a leader moves", testLeaderMoves},
			{"partitions are added", testPartitionsAdded},
			{"a topic is deleted and made anew", testTopicMadeAnew},
			{"an offset is before the log's start", testOffsetExpired},
			{"an offset is behind the log's end", testOffsetBehindTheEnd},
			{"a record is too large for its topic", testRecordTooLarge},
			{"a record is larger than a fetch", testRecordLargerThanAFetch},
			{"a reply to a produce request is lost", testProduceReplyLost},
			{"a broker is slow to answer a produce", testProduceTimesOut},
			{"a record batch is damaged on the disk", testPoison},
			{"reading a topic is denied", testReadDenied},
			{"writing a topic is denied", testWriteDenied},
			{"a group is denied", testGroupDenied},
			{"a member is frozen longer than its session", testZombie},
		} {
			t.Run(c.name, func(t *testing.T) { t.Parallel(); c.run(t, r) })
		}
	})
	for _, c := range []trial{ // each leaves all three brokers running
		{"a leader is killed", testLeaderKilled},
		{"the coordinator is killed", testCoordinatorKilled},
		{"the controller is killed", testControllerKilled},
		{"a broker is frozen", testBrokerFrozen},
		{"a log loses its tail", testLogTruncated},
		{"two of three brokers are down", testTwoBrokersDown},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, r) })
	}
}

// trial is one row of docs/kafka-trouble.md.
type trial struct {
	name string
	run  func(*testing.T, *rig)
}

// rig is the cluster under test.
type rig struct {
	kafka *kafkatest.Cluster
	wires []*wire // in front of each node
	early *flow   // began before any node was started
}

const (
	// brokerSession is after which a broker that is silent loses its leaderships; Kafka's default is 9 s.
	brokerSession = 4 * time.Second

	// memberSession is one that a member keeps on a busy machine: who loses it reads again what it has not committed.
	memberSession = 10 * time.Second
)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{wires: []*wire{newWire(t), newWire(t), newWire(t)}}
	r.early = newFlow(t, r, r.addrs()...)
	r.early.join()
	r.early.write(20)
	var err error
	r.kafka, err = kafkatest.Start(t.Context(), kafkatest.Config{
		Advertise: func(node int, addr string) string {
			r.wires[node].connect(addr)
			return r.wires[node].addr()
		},
		Authorize: true,
		Settings: map[string]string{
			"broker.session.timeout.ms":    fmt.Sprint(brokerSession.Milliseconds()),
			"broker.heartbeat.interval.ms": "500",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kafka.Close)
	return r
}

// addrs are the brokers as a configuration would name them: first a host that no longer exists, and one that nothing
// listens on.
func (r *rig) addrs() []string {
	addrs := []string{"gone.invalid:9092", "127.0.0.1:1"}
	for _, w := range r.wires {
		addrs = append(addrs, w.addr())
	}
	return addrs
}

// flow writes numbered records to a topic of its own, reads them with a group of its own, and knows what is missing.
type flow struct {
	*lab
	t     *testing.T
	topic string
	group string
	p     *Publisher
	logs  *observer.ObservedLogs

	mu      sync.Mutex
	next    int
	written int
	failed  []error
	members []*member
}

// newFlow names a topic, and creates nothing.
func newFlow(t *testing.T, r *rig, addrs ...string) *flow {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	c := OpenCluster(ClusterConfig{Brokers: addrs, Logger: zap.New(core)})
	t.Cleanup(c.Close)
	f := &flow{lab: &lab{t: t, cluster: c, addrs: addrs, three: true}, t: t, topic: "trouble-" + uuid.NewString(), logs: logs}
	f.group = "of-" + f.topic
	f.p = f.publisher()
	return f
}

// flow makes a topic with some records, all of which were read.
func (r *rig) flow(t *testing.T, partitions int, settings ...kafka.ConfigEntry) *flow {
	t.Helper()
	f := newFlow(t, r, r.addrs()...)
	f.create(f.topic, partitions, settings...)
	f.join()
	f.write(20)
	f.whole()
	return f
}

// join adds a member to the group.
func (f *flow) join() *member {
	f.t.Helper()
	m := f.run(SourceConfig{Group: f.group, Lanes: []Lane{{Topics: []string{f.topic}}}, PartitionWatch: time.Second, SessionTimeout: memberSession}, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, m)
	return m
}

// write publishes n more records, in turn over the partitions.
func (f *flow) write(n int) {
	f.mu.Lock()
	from := f.next
	f.next += n
	f.mu.Unlock()
	for _, v := range numbered(from, from+n) {
		f.p.Publish(f.t.Context(), Message{Topic: f.topic, Partition: ByKey, Value: []byte(v)}, func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.written++
			if err != nil {
				f.failed = append(f.failed, err)
			}
		})
	}
}

// writeUntil goes on writing until ok.
func (f *flow) writeUntil(what string, ok func() bool) {
	f.t.Helper()
	f.until(what, func() bool {
		f.write(2)
		time.Sleep(10 * time.Millisecond)
		return ok()
	})
}

func (f *flow) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			f.tell()
			f.t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// tell logs where the flow stands, and what it has logged.
func (f *flow) tell() {
	f.t.Helper()
	f.mu.Lock()
	members, next, written := slices.Clone(f.members), f.next, f.written
	f.mu.Unlock()
	f.t.Logf("%s: %d records, %d written; writing: %v, %+v", f.topic, next, written, f.p.Ready(), f.p.Stats())
	for _, m := range members {
		f.t.Logf("a member has read %d: %v, %+v, %+v", len(m.all()), m.Ready(), m.Stats(), m.Lag())
	}
	ends, err := f.cluster.Ends(f.t.Context(), f.topic)
	f.t.Logf("the log ends at %v, %v", ends, err)
	for _, e := range f.logs.All() {
		f.t.Logf("%s %s %s %v", e.Time.Format(time.StampMilli), e.Level, e.Message, e.ContextMap())
	}
}

// counts returns how many records were read, and how many different ones.
func (f *flow) counts() (read, distinct int) {
	f.mu.Lock()
	members := slices.Clone(f.members)
	f.mu.Unlock()
	seen := map[string]bool{}
	for _, m := range members {
		for _, r := range m.all() {
			seen[string(r.Value)] = true
			read++
		}
	}
	return read, len(seen)
}

// whole waits until everything was written, read and committed: nothing is lost. It returns how many records were read
// more than once, and how many were written more than once.
func (f *flow) whole() (reread, rewritten int) {
	f.t.Helper()
	f.settled()
	for _, err := range f.failed {
		f.t.Errorf("not written: %v", err)
	}
	f.until("everything is read", func() bool { _, n := f.counts(); return n >= f.next })
	f.until("everything is committed", func() bool {
		ends, err := f.cluster.Ends(f.t.Context(), f.topic)
		return err == nil && maps.Equal(ends, f.committed())
	})
	read, distinct := f.counts()
	if distinct != f.next {
		f.t.Errorf("%d different records were read, want %d", distinct, f.next)
	}
	places := f.places()
	return read - places, places - distinct
}

// settled waits until everything was written, or given up.
func (f *flow) settled() {
	f.t.Helper()
	f.until("everything is written", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.written == f.next
	})
}

// places is from how many different places records were read.
func (f *flow) places() int {
	seen := map[string]bool{}
	for _, m := range f.members {
		for _, r := range m.all() {
			seen[r.Origin()] = true
		}
	}
	return len(seen)
}

// committed is what the group has, 0 where it has nothing.
func (f *flow) committed() map[int32]int64 {
	f.t.Helper()
	out := map[int32]int64{}
	f.until("the group's offsets are told", func() bool {
		got, err := f.cluster.Lag(f.t.Context(), f.group, []string{f.topic})
		for _, p := range got {
			out[p.Partition] = max(0, p.Committed)
		}
		return err == nil
	})
	return out
}

// ready waits until readiness of reading and writing says that all is well.
func (f *flow) ready() {
	f.t.Helper()
	f.until("readiness says that all is well", func() bool {
		for _, m := range f.members {
			if err := m.Ready(); err != nil && !errors.Is(err, errStopped) {
				return false
			}
		}
		return f.p.Ready() == nil
	})
}

// quiet checks that nothing was logged again and again: a line a change of state, and not a line a try.
func (f *flow) quiet() {
	f.t.Helper()
	const limit = 10
	n := map[string]int{}
	for _, e := range f.logs.All() {
		n[e.Level.String()+" "+e.Message]++
	}
	for line, times := range n {
		if times > limit {
			f.t.Errorf("logged %d times, want at most %d: %s", times, limit, line)
		}
	}
}

// bounded checks that nothing spins: tries a second, over the time that a trouble took.
func (f *flow) bounded(what string, tries uint64, perSecond int, began time.Time) {
	f.t.Helper()
	if limit := uint64(perSecond) * uint64(1+time.Since(began)/time.Second); tries > limit {
		f.t.Errorf("%s: %d in %s, want at most %d", what, tries, time.Since(began).Round(time.Millisecond), limit)
	}
}

// killed runs while a node is down, and starts it again.
func (r *rig) killed(t *testing.T, node int, while func()) {
	t.Helper()
	r.kafka.Kill(node)
	defer func() {
		if err := r.kafka.Restart(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}()
	while()
}

// contextFor bounds one request of a test.
func contextFor(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
