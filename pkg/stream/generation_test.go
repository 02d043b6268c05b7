package stream

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRevokeLosesNothingAndRepeatsLittle(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	topic := l.topic(6)
	p := l.publisher()
	cfg := SourceConfig{Group: "revoke-" + topic, Lanes: []Lane{{Topics: []string{topic}}}, BatchRecords: 20}
	// Work takes a moment and ends on other goroutines, out of order.
	var working sync.WaitGroup
	slow := func(_ context.Context, _ *member, batch []*Record) {
		working.Go(func() {
			<-time.After(10 * time.Millisecond)
			for _, r := range slices.Backward(batch) {
				r.Ack()
			}
		})
	}
	published := 0
	publishUntil := func(what string, ok func() bool) {
		eventually(t, what, func() bool {
			for id := range int32(6) {
				l.publish(p, topic, id, numbered(published, published+5)...)
			}
			published += 5
			return ok()
		})
	}
	first := l.run(cfg, slow)
	publishUntil("the first member reads", func() bool { return len(first.all()) > 100 })
	second := l.run(cfg, slow)
	publishUntil("the second member reads", func() bool { return len(second.all()) > 100 })
	stopped := make(chan struct{})
	go func() { first.stop(); close(stopped) }()
	third := l.run(cfg, slow)
	publishUntil("the third member reads", func() bool { return len(third.all()) > 100 })
	<-stopped

	distinct, total := map[topicPartition]map[int64]bool{}, 0
	count := func() (n int) {
		clear(distinct)
		total = 0
		for _, m := range []*member{first, second, third} {
			for _, r := range m.all() {
				tp := topicPartition{r.Topic, r.Partition}
				if distinct[tp] == nil {
					distinct[tp] = map[int64]bool{}
				}
				distinct[tp][r.Offset] = true
				total++
			}
		}
		for _, offsets := range distinct {
			n += len(offsets)
		}
		return n
	}
	eventually(t, "every record is read", func() bool { return count() == 6*published })
	second.stop()
	third.stop()
	working.Wait()
	n := count()
	t.Logf("%d records over 3 members, %d repeated", n, total-n)
	if total-n > n/100 {
		t.Errorf("%d of %d records repeated, want at most 1 %%: every member drained", total-n, n)
	}
	for id, offset := range l.committedOffsets(cfg.Group, topic, 6) {
		if offset != int64(published) {
			t.Errorf("partition %d: committed %d, want %d", id, offset, published)
		}
	}
}

func TestStopWaitsForRunningWorkAndCommitsIt(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	l.publish(l.publisher(), topic, 0, numbered(0, 10)...)
	cfg := SourceConfig{
		Group: "stop-" + topic, Lanes: []Lane{{Topics: []string{topic}}}, BatchRecords: 5,
		DrainTimeout: 500 * time.Millisecond,
	}
	started := make(chan []*Record, 1)
	gaveUp := make(chan time.Time, 1)
	m := l.run(cfg, func(ctx context.Context, _ *member, batch []*Record) {
		started <- batch
		<-ctx.Done() // a queue that is full
		gaveUp <- time.Now()
	})
	batch := <-started
	stopped := time.Now()
	go m.stop()
	if after := (<-gaveUp).Sub(stopped); after < 300*time.Millisecond {
		t.Errorf("the handler's context ended after %v, want 60 %% of 500 ms", after)
	}
	for _, r := range batch[:3] {
		r.Ack() // was being sent
	}
	batch[3].Drop() // was only queued
	batch[4].Drop()
	<-m.done
	if took := time.Since(stopped); took > 3*time.Second {
		t.Errorf("stop took %v", took)
	}
	if got := len(m.all()); got != 5 {
		t.Errorf("the handler got %d records, want one batch of 5: none after the stop", got)
	}
	if got := l.committedOffsets(cfg.Group, topic, 1)[0]; got != 3 {
		t.Errorf("committed %d, want 3", got)
	}
	if got := m.Stats().Abandoned; got != 0 {
		t.Errorf("%d records abandoned, want 0: they were dropped", got)
	}
}

func TestStartLatest(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	latest, earliest := l.topic(3), l.topic(3)
	p := l.publisher()
	for id := range int32(3) {
		l.publish(p, latest, id, "old")
		l.publish(p, earliest, id, "old")
	}
	cfg := SourceConfig{
		Group: "start-" + latest, Lanes: []Lane{{Topics: []string{latest}}, {Topics: []string{earliest}}},
		Start: map[string]Start{latest: StartLatest}, PartitionWatch: 300 * time.Millisecond,
	}
	a, b := l.run(cfg, nil), l.run(cfg, nil)
	// Partitions that no record is read from have their start, too.
	eventually(t, "the start is committed on every partition", func() bool {
		return cmp.Equal(map[int32]int64{0: 1, 1: 1, 2: 1}, l.committedOffsets(cfg.Group, latest, 3))
	})
	eventually(t, "both members have their share", func() bool {
		return len(a.Lag()) > 0 && len(b.Lag()) > 0 && len(a.Lag())+len(b.Lag()) == 6
	})
	for id := range int32(3) {
		l.publish(p, latest, id, "new")
	}
	read := func(topic string) (out []string) {
		for _, m := range []*member{a, b} {
			for _, r := range m.all() {
				if r.Topic == topic {
					out = append(out, string(r.Value))
				}
			}
		}
		return out
	}
	eventually(t, "new records are read", func() bool { return len(read(latest)) >= 3 && len(read(earliest)) >= 3 })
	if diff := cmp.Diff([]string{"new", "new", "new"}, read(latest)); diff != "" {
		t.Errorf("of the topic that starts at its end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"old", "old", "old"}, read(earliest)); diff != "" {
		t.Errorf("of the other topic (-want +got):\n%s", diff)
	}

	// A partition that appears later begins at its first record, whatever the start was.
	if _, err := l.cluster.client.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: latest, Count: 4}},
	}); err != nil {
		t.Fatal(err)
	}
	l.publish(p, latest, 3, "first of a late partition")
	eventually(t, "the late partition is read", func() bool {
		return slices.Contains(read(latest), "first of a late partition")
	})

	// A group that has an offset on any partition has started: one that lost some begins at the first record there.
	other := cfg
	other.Group += "-partly"
	other.Lanes = other.Lanes[:1]
	commit(t, l, other.Group, latest, 1, 2)
	c := l.run(other, nil)
	eventually(t, "the other partitions begin at their first record", func() bool {
		return cmp.Equal([]string{"old", "new"}, c.values()[0]) && cmp.Equal([]string{"old", "new"}, c.values()[2])
	})
	if got := c.values()[1]; len(got) != 0 {
		t.Errorf("partition 1 was read before its offset: %q", got)
	}
}

// commit sets a group's offset from outside.
func commit(t *testing.T, l *lab, group, topic string, partition int, offset int64) {
	t.Helper()
	eventually(t, "an offset is committed", func() bool {
		res, err := l.cluster.client.OffsetCommit(t.Context(), &kafka.OffsetCommitRequest{
			GroupID: group, GenerationID: -1,
			Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: partition, Offset: offset}}},
		})
		return err == nil && res.Topics[topic][0].Error == nil
	})
}

func TestOffsetBehindTheEndIsReset(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(2)
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 5)...)
	l.publish(p, topic, 1, numbered(0, 5)...)
	cfg := SourceConfig{Group: "truncated-" + topic, Lanes: []Lane{{Topics: []string{topic}}}}
	commit(t, l, cfg.Group, topic, 0, 1000)
	m := l.run(cfg, nil)
	eventually(t, "both partitions are read", func() bool { return len(m.all()) == 10 })
	if got := m.Stats().OutOfRange; got != 1 {
		t.Errorf("%d resets counted, want 1", got)
	}
	eventually(t, "the offset is in the log again", func() bool {
		return l.committedOffsets(cfg.Group, topic, 2)[0] == 5
	})
}

func TestMissingTopicIsWaitedForWithoutJoining(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	present := l.topic(1)
	late := "late-" + present
	l.publish(l.publisher(), present, 0, "a")
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{present, late}}}}, nil)
	eventually(t, "readiness names the topic", func() bool {
		err := m.Ready()
		return err != nil && containsText(err, late)
	})
	if got := m.Stats().Generations; got != 0 {
		t.Errorf("joined %d times while a topic was missing", got)
	}
	l.create(late, 1)
	eventually(t, "it reads once the topic exists", func() bool { return len(m.all()) == 1 && m.Ready() == nil })
}

func TestWhatWasAcknowledgedIsNotRepeatedAfterALostCommit(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(2)
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 100)...)
	l.publish(p, topic, 1, numbered(0, 100)...)
	commits := l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	m := l.run(SourceConfig{Group: "lost", Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	eventually(t, "all is read", func() bool { n, _ := m.InFlight(); return len(m.all()) == 200 && n == 0 })
	l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1})
	eventually(t, "it has joined again", func() bool { return m.Stats().Generations == 2 })
	commits.Remove()
	l.publish(p, topic, 0, "new")
	eventually(t, "the commit is made up for", func() bool {
		return cmp.Equal(map[int32]int64{0: 101, 1: 100}, l.committedOffsets("lost", topic, 2))
	})
	if got := len(m.all()); got != 201 {
		t.Errorf("%d records were read, want each of 201 once", got)
	}
	if m.Stats().CommitErrors == 0 {
		t.Error("no commit failed")
	}
}

// TestATopicThatTheLeaderOfTheGroupHeardOfTooLateIsRead has the broker that deals with the group learn of a topic later than
// the others: between the division of its partitions and the first look at whether it has changed.
func TestATopicThatTheLeaderOfTheGroupHeardOfTooLateIsRead(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(2)
	asked := 0
	l.fake.Cluster().ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if l.fake.Cluster().KeepControl(); req.GetVersion() != groupMetadata {
			return nil, nil, false
		}
		if asked++; asked > 1 {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		unknown := kmsg.NewMetadataResponseTopic()
		unknown.Topic, unknown.ErrorCode = &topic, kerr.UnknownTopicOrPartition.Code
		res.Topics = append(res.Topics, unknown)
		return res, nil, true
	})
	m := l.run(SourceConfig{Group: "late", Lanes: []Lane{{Topics: []string{topic}}}, PartitionWatch: 100 * time.Millisecond}, nil)
	for id := range int32(2) {
		l.publish(l.publisher(), topic, id, "a")
	}
	eventually(t, "both partitions are read", func() bool { return len(m.all()) == 2 })
	if n := m.Stats().Generations; n != 2 {
		t.Errorf("%d generations, want one without partitions and one with all", n)
	}
}

// groupMetadata is the version in which kafka-go's consumer group asks for partitions; nobody else here uses it.
const groupMetadata = 6
