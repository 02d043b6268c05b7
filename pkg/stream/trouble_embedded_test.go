package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What the embedded Kafka can be asked for of docs/kafka-trouble.md; TestKafkaTrouble has the rest.

func TestTroubleIsLoggedByItsChanges(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	tr := &trouble{log: zap.New(core), begins: "bad", ends: "good"}
	dial := func(port int) error { return &net.OpError{Op: "read", Err: fmt.Errorf("port %d", port)} }
	tr.over()
	for i := range 50 {
		tr.failed(dial(i))
	}
	for i := range 50 {
		tr.failed(fmt.Errorf("try %d: %w", i, kafka.GroupAuthorizationFailed))
	}
	tr.failed(fmt.Errorf("%w: %w", ErrNoBroker, io.EOF))
	tr.over()
	tr.over()
	for i := range 50 {
		tr.failed(fmt.Errorf("another text each time: %d", i))
	}
	var got []string
	for _, e := range logs.All() {
		got = append(got, e.Message)
	}
	want := []string{"bad", "bad", "bad", "good"}
	for range maxCauses {
		want = append(want, "bad")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

// writeRaw writes a batch as it is.
func (l *lab) writeRaw(topic string, batch []byte) {
	l.t.Helper()
	res, err := l.cluster.client.RawProduce(l.t.Context(), &kafka.RawProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(batch))), batch...))}})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func TestDamagedBatchBecomesOneRecordAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	garbled := encode(t, protocol.Gzip, "a", "b")
	garbled[batchHeaderSize] = 'x'
	short := encode(t, 0, "a", "b", "c")
	short = short[:len(short)-4]
	binary.BigEndian.PutUint32(short[batchLengthAt:], uint32(len(short)-batchLengthAt-4))
	for name, tt := range map[string]struct {
		batch  []byte
		before []string
		at     int64 // offset of what it becomes
	}{
		"its compression is broken":      {seal(garbled), []string{"before"}, 1},
		"the last of its records is cut": {seal(short), []string{"before", "a", "b"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newFakeLab(t, 1)
			topic := l.topic(2)
			p := l.publisher()
			l.publish(p, topic, 0, "before")
			l.writeRaw(topic, tt.batch)
			l.publish(p, topic, 0, "behind")
			m := l.run(SourceConfig{Group: "damaged", Lanes: []Lane{{Topics: []string{topic}}}}, nil)
			l.publish(p, topic, 1, "another partition")
			eventually(t, "another partition goes on", func() bool { return len(m.values()[1]) == 1 })
			eventually(t, "readiness names the partition", func() bool {
				err := m.Ready()
				return err != nil && containsText(err, topic+"/0") && m.Stats().Damaged == 0
			})
			eventually(t, "what stands behind it is read", func() bool { return len(m.values()[0]) == len(tt.before)+2 })
			got := m.values()[0]
			if diff := cmp.Diff(append(tt.before, got[len(tt.before)], "behind"), got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			for _, r := range m.all() {
				if whole := []byte(got[len(tt.before)]); bytes.Equal(r.Value, whole) &&
					(r.Offset != tt.at || len(whole) != len(tt.batch) || whole[0] != 0 || !bytes.Equal(whole[batchMagicAt:], tt.batch[batchMagicAt:])) {
					t.Errorf("at offset %d stands %q, want the batch at %d", r.Offset, r.Value, tt.at)
				}
			}
			eventually(t, "the offset has moved past it", func() bool {
				return l.committedOffsets("damaged", topic, 2)[0] == m.all()[len(m.all())-1].Offset+1
			})
			if got := m.Stats().Damaged; got != 1 {
				t.Errorf("%d counted, want 1", got)
			}
			eventually(t, "readiness says that all is well", func() bool { return m.Ready() == nil })
		})
	}
}

// TestACoordinatorThatIsAwayRepeatsNothing ends a generation of two members while nothing can be committed, as the death of a
// coordinator does: whoever gets a partition next begins where the other ended.
func TestACoordinatorThatIsAwayRepeatsNothing(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(4)
	p := l.publisher()
	cfg := SourceConfig{Group: "away", Lanes: []Lane{{Topics: []string{topic}}}}
	a, b := l.run(cfg, nil), l.run(cfg, nil)
	eventually(t, "both have their share", func() bool { return len(a.Lag()) == 2 && len(b.Lag()) == 2 })
	away := l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	for id := range int32(4) {
		l.publish(p, topic, id, numbered(0, 50)...)
	}
	read := func() int { return len(a.all()) + len(b.all()) }
	eventually(t, "all is read and nothing committed", func() bool { return read() == 200 && a.Stats().CommitErrors > 0 && b.Stats().CommitErrors > 0 })
	moved := l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.NotCoordinator, Count: 2})
	eventually(t, "the generation of both has ended", func() bool { return moved.Hits() == 2 })
	before := a.Stats().CommitErrors + b.Stats().CommitErrors
	eventually(t, "its last commits fail", func() bool { return a.Stats().CommitErrors+b.Stats().CommitErrors >= before+2 })
	c := l.run(cfg, nil) // so that partitions change hands
	away.Remove()
	eventually(t, "everything is committed", func() bool {
		return cmp.Equal(map[int32]int64{0: 50, 1: 50, 2: 50, 3: 50}, l.committedOffsets("away", topic, 4))
	})
	eventually(t, "the third has its share", func() bool { return len(c.Lag()) > 0 })
	for id := range int32(4) {
		l.publish(p, topic, id, "new")
	}
	eventually(t, "the new records are read", func() bool { return read()+len(c.all()) >= 204 })
	if n := read() + len(c.all()); n != 204 {
		t.Errorf("%d records were read, want each of 204 once", n)
	}
}

// TestABrokerThatNeverAnswersKeepsNobodyFromJoining has a broker first in the list that takes connections and says nothing.
func TestABrokerThatNeverAnswersKeepsNobodyFromJoining(t *testing.T) {
	t.Parallel()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	l := newFakeLab(t, 1)
	topic := l.topic(1)
	l.publish(l.publisher(), topic, 0, "a")
	l.cluster = openCluster(t, mute.Addr().String(), "gone.invalid:9092", l.addrs[0])
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "it joins and reads", func() bool { return len(m.all()) == 1 })
}

func TestATopicMadeAnewIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(3)
	p := l.publisher()
	cfg := SourceConfig{Group: "anew", Lanes: []Lane{{Topics: []string{topic}}}, PartitionWatch: 100 * time.Millisecond}
	m := l.run(cfg, nil)
	for id := range int32(3) {
		l.publish(p, topic, id, numbered(0, 100)...)
	}
	eventually(t, "the old one is read", func() bool { return len(m.all()) == 300 })
	if _, err := l.cluster.client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness names the topic", func() bool { err := m.Ready(); return err != nil && containsText(err, topic) })

	// What is published meanwhile waits, also for a partition that the new one does not have.
	written := make(chan error, 30)
	for i := range 30 {
		p.Publish(t.Context(), Message{Topic: topic, Partition: ByKey, Key: fmt.Append(nil, "key-", i), Value: []byte("new")},
			func(err error) { written <- err })
	}
	l.create(topic, 2)
	for range 30 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the new one is read from its start", func() bool { return len(m.all()) == 330 })
	eventually(t, "readiness says that all is well", func() bool { return m.Ready() == nil && p.Ready() == nil })
}

// TestATopicMadeAnewThatIsLongerIsReadFromItsStart makes a topic anew while it is not read, and fills it beyond where the old one
// ended: no request fails.
func TestATopicMadeAnewThatIsLongerIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(1)
	p := l.publisher()
	m := l.run(SourceConfig{Group: "longer", Lanes: []Lane{{Topics: []string{topic}}}, PartitionWatch: 2 * time.Second}, nil)
	l.publish(p, topic, 0, numbered(0, 100)...)
	eventually(t, "the old one is read", func() bool { return len(m.all()) == 100 })
	m.Pause()
	eventually(t, "nothing is under way", func() bool { return len(m.Lag()) == 1 && m.Lag()[0].Lag == 0 })
	if _, err := l.cluster.client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	l.create(topic, 1)
	l.publish(p, topic, 0, numbered(100, 300)...)
	m.Resume()
	eventually(t, "the new one is read from its start", func() bool {
		seen := map[string]bool{}
		for _, r := range m.all() {
			seen[string(r.Value)] = true
		}
		return len(seen) == 300
	})
}

// TestWhatMayNotBeReadOrWrittenWaitsAlone denies one topic of two.
func TestWhatMayNotBeReadOrWrittenWaitsAlone(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	denied, other := l.topic(1), l.topic(1)
	p := l.publisher()
	refuse := func(key kmsg.Key) *kfake.FaultHandle {
		return l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: denied, Err: kerr.TopicAuthorizationFailed, Count: -1})
	}
	fetch, commit, produce := refuse(kmsg.Fetch), refuse(kmsg.OffsetCommit), refuse(kmsg.Produce)
	m := l.run(SourceConfig{Group: "denied", Lanes: []Lane{{Topics: []string{denied, other}}}}, nil)
	written := make(chan error, 1)
	p.Publish(t.Context(), Message{Topic: denied, Value: []byte("waits")}, func(err error) { written <- err })
	l.publish(p, other, 0, "goes through")
	eventually(t, "the other topic is read and committed", func() bool {
		return len(m.all()) == 1 && l.committedOffsets("denied", other, 1)[0] == 1
	})
	reason := kafka.TopicAuthorizationFailed.Title()
	eventually(t, "readiness says why", func() bool {
		reading, writing := m.Ready(), p.Ready()
		return reading != nil && writing != nil && containsText(reading, reason) && containsText(writing, reason)
	})
	fetch.Remove()
	commit.Remove()
	produce.Remove()
	if err := <-written; err != nil {
		t.Error(err)
	}
	eventually(t, "what waited is read", func() bool { return len(m.all()) == 2 })
	eventually(t, "readiness says that all is well", func() bool { return m.Ready() == nil && p.Ready() == nil })
}

func TestAGroupThatIsDeniedSaysSo(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(1)
	l.publish(l.publisher(), topic, 0, "a")
	denied := l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.GroupAuthorizationFailed, Count: -1})
	m := l.run(SourceConfig{Group: "denied", Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "readiness says why", func() bool {
		err := m.Ready()
		return err != nil && containsText(err, kafka.GroupAuthorizationFailed.Title())
	})
	denied.Remove()
	eventually(t, "it reads once it may", func() bool { return len(m.all()) == 1 && m.Ready() == nil })
}

func TestAScanThatMayNotReadSaysSo(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(1)
	l.publish(l.publisher(), topic, 0, "a")
	l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.cluster.Scan(ctx, topic, nil, func(*Record) bool { return true }); !errors.Is(err, kafka.TopicAuthorizationFailed) {
		t.Errorf("%v, want what the broker said", err)
	}
}

// TestWhatWaitsForAPartitionThatIsNoMoreFindsAnother makes a topic anew with fewer partitions, of which the others are idle.
func TestWhatWaitsForAPartitionThatIsNoMoreFindsAnother(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(3)
	p := l.publisher()
	for id := range int32(2) {
		l.publish(p, topic, id, "old")
	}
	var key []byte
	for i := 0; key == nil; i++ {
		if k := fmt.Append(nil, "key-", i); Murmur2Partition(k, 3) == 2 {
			key = k
		}
	}
	l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{2}, Err: kerr.NotLeaderForPartition, Count: -1})
	written := make(chan error, 1)
	p.Publish(t.Context(), Message{Topic: topic, Partition: ByKey, Key: key, Value: []byte("new")}, func(err error) { written <- err })
	eventually(t, "its partition refuses it", func() bool { return p.Stats().Retries > 0 })
	if _, err := l.cluster.client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	l.create(topic, 2)
	select {
	case err := <-written:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("never written")
	}
	if got := l.scanAll(topic)[Murmur2Partition(key, 2)]; len(got) != 1 {
		t.Errorf("written: %q", got)
	}
}
