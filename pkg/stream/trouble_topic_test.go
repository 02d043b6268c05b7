package stream

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func testNothingAtTheStart(t *testing.T, r *rig) {
	f := r.early
	f.lab.t, f.t = t, t
	for _, m := range f.members {
		if err := m.Ready(); err == nil {
			t.Error("ready without its topic")
		}
	}
	f.create(f.topic, 3)
	if n, m := f.whole(); n+m != 0 {
		t.Errorf("%d records read again, %d written again", n, m)
	}
	f.ready()
	f.quiet()
}

func testLeaderMoves(t *testing.T, r *rig) {
	f := r.flow(t, 3)
	before, err := f.cluster.leaders(t.Context(), []string{f.topic})
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(3) {
		f.reassign(id, (before[topicPartition{f.topic, id}])%3+1)
	}
	f.writeUntil("every leader is another", func() bool {
		now, err := f.cluster.leaders(t.Context(), []string{f.topic})
		for tp, leader := range before {
			if err != nil || now[tp] == 0 || now[tp] == leader {
				return false
			}
		}
		return true
	})
	f.write(50)
	reread, rewritten := f.whole()
	if reread != 0 {
		t.Errorf("%d records read again", reread)
	}
	t.Logf("of %d records %d were written again", f.next, rewritten) // what the old leader had passed on and not yet confirmed
	f.ready()
	f.quiet()
}

// reassign makes a broker the preferred leader of a partition, and then its leader.
func (f *flow) reassign(partition, leader int32) {
	f.t.Helper()
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	part.Partition, part.Replicas = partition, []int32{leader, leader%3 + 1, (leader+1)%3 + 1}
	of := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	of.Topic, of.Partitions = f.topic, append(of.Partitions, part)
	move.TimeoutMillis, move.Topics = 5000, append(move.Topics, of)
	client := f.kgo()
	f.until("the replicas are named in another order", func() bool {
		res, err := move.RequestWith(contextFor(f.t), client)
		return err == nil && res.ErrorCode == 0 && res.Topics[0].Partitions[0].ErrorCode == 0
	})
	elect := kmsg.NewPtrElectLeadersRequest()
	topic := kmsg.NewElectLeadersRequestTopic()
	topic.Topic, topic.Partitions = f.topic, []int32{partition}
	elect.TimeoutMillis, elect.Topics = 5000, append(elect.Topics, topic)
	f.until("the first of them is elected", func() bool {
		res, err := elect.RequestWith(contextFor(f.t), client)
		if err != nil || res.ErrorCode != 0 || len(res.Topics) == 0 {
			return false
		}
		code := kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
		return code == nil || errors.Is(code, kerr.ElectionNotNeeded)
	})
}

func testPartitionsAdded(t *testing.T, r *rig) {
	f := r.flow(t, 2)
	if _, err := f.cluster.client.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: f.topic, Count: 5}},
	}); err != nil {
		t.Fatal(err)
	}
	f.writeUntil("the new partitions are read", func() bool {
		seen := map[int32]bool{}
		for _, rec := range f.members[0].all() {
			seen[rec.Partition] = true
		}
		return len(seen) == 5
	})
	if n, m := f.whole(); n+m != 0 {
		t.Errorf("%d records read again, %d written again", n, m)
	}
	f.ready()
}

func testTopicMadeAnew(t *testing.T, r *rig) {
	f := r.flow(t, 3)
	f.write(300) // the old log ends behind where the new one will
	f.whole()
	began, before := time.Now(), f.members[0].Stats()
	f.remake(3)
	f.write(30)
	f.whole()
	f.ready()
	f.quiet()
	f.bounded("generations", f.members[0].Stats().Generations-before.Generations, 3, began)
	f.bounded("fetches that failed", f.members[0].Stats().FetchErrors-before.FetchErrors, 60, began)

	// The process has forgotten where it was in the old one, also where the new one is longer.
	f.remake(2)
	f.write(900)
	f.whole()
	f.ready()
}

func (f *flow) remake(partitions int) {
	f.t.Helper()
	f.until("the topic is deleted", func() bool {
		res, err := f.cluster.client.DeleteTopics(contextFor(f.t), &kafka.DeleteTopicsRequest{Topics: []string{f.topic}})
		return err == nil && (res.Errors[f.topic] == nil || errors.Is(res.Errors[f.topic], kafka.UnknownTopicOrPartition))
	})
	client := f.kgo()
	for broker := range 3 { // one that has not heard of it takes records, and forgets them
		f.until("every broker knows that it is gone", func() bool {
			req := kmsg.NewPtrMetadataRequest()
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = &f.topic
			req.Topics = append(req.Topics, topic)
			res, err := client.Broker(broker+1).Request(contextFor(f.t), req)
			return err == nil && res.(*kmsg.MetadataResponse).Topics[0].ErrorCode == kerr.UnknownTopicOrPartition.Code
		})
	}
	f.create(f.topic, partitions)
}

func testOffsetExpired(t *testing.T, r *rig) {
	f := r.flow(t, 1)
	f.members[0].stop()
	f.publish(f.p, f.topic, 0, numbered(100, 200)...)
	f.expire(f.topic, 0, 60)
	m := f.join()
	f.until("it goes on to the end", func() bool { return f.committed()[0] == 120 })
	if at := m.all()[0].Offset; at != 60 {
		t.Errorf("went on at %d, want the first record there is, 60", at)
	}
	if got := m.Stats().OutOfRange; got != 1 {
		t.Errorf("%d resets counted, want 1", got)
	}
	f.ready()
	f.quiet()
}

func testOffsetBehindTheEnd(t *testing.T, r *rig) {
	f := r.flow(t, 1)
	f.members[0].stop()
	commit(t, f.lab, f.group, f.topic, 0, 1_000_000)
	m := f.join()
	f.write(5)
	f.whole()
	if got := m.Stats().OutOfRange; got != 1 {
		t.Errorf("%d resets counted, want 1", got)
	}
	f.ready()
}

// noise does not get smaller by compression.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func testRecordTooLarge(t *testing.T, r *rig) {
	f := r.flow(t, 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "20000"})
	refused := make(chan error, 1)
	f.write(20)
	f.p.Publish(t.Context(), Message{Topic: f.topic, Value: noise(30_000)}, func(err error) { refused <- err })
	f.write(20)
	if err := <-refused; !errors.Is(err, ErrTooLarge) {
		t.Errorf("the record that is too large: %v", err)
	}
	if n, m := f.whole(); n+m != 0 {
		t.Errorf("%d records read again, %d written again", n, m)
	}
	f.ready()
}

func testRecordLargerThanAFetch(t *testing.T, r *rig) {
	f := r.flow(t, 3, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "9000000"})
	p := f.cluster.NewPublisher(PublisherConfig{MaxRecordBytes: 9_000_000})
	t.Cleanup(func() { _ = p.Close(contextFor(t)) })
	large := noise(2*maxFetchBytes + 1)
	for id := range int32(3) { // each partition has one: no request may be blocked by another's
		done := make(chan error, 1)
		p.Publish(t.Context(), Message{Topic: f.topic, Partition: id, Value: large}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	f.write(30)
	f.until("the large ones are read", func() bool {
		n := 0
		for _, rec := range f.members[0].all() {
			if bytes.Equal(rec.Value, large) {
				n++
			}
		}
		return n == 3
	})
	f.until("the small ones are read", func() bool { read, _ := f.counts(); return read == f.next+3 })
	f.ready()
}

func testPoison(t *testing.T, r *rig) {
	f := r.flow(t, 1)
	m := f.members[0]
	m.Pause()
	f.until("nothing is under way", func() bool { return m.Stats().InFlightRecords == 0 })
	plain := f.kgo(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for _, v := range []string{"damaged", "behind it"} {
		if err := plain.ProduceSync(contextFor(t), &kgo.Record{Topic: f.topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r.damage(t, f.topic, "damaged", "camaged")
	began, before := time.Now(), m.Stats()
	m.Resume()
	f.until("what stands behind it is read", func() bool {
		all := m.all()
		return string(all[len(all)-1].Value) == "behind it"
	})
	all := m.all()
	got := all[len(all)-2]
	if got.Offset != 20 || !bytes.Contains(got.Value, []byte("camaged")) {
		t.Errorf("offset %d: %q, want the batch as it stands in the log", got.Offset, got.Value)
	}
	f.until("the offset has moved past it", func() bool { return f.committed()[0] == 22 })
	f.ready()
	f.quiet()
	f.bounded("fetches that failed", m.Stats().FetchErrors-before.FetchErrors, 10, began)
}

// damage changes bytes of a partition's log on every replica's disk.
func (r *rig) damage(t *testing.T, topic, from, to string) {
	t.Helper()
	for node := range 3 {
		path := filepath.Join(r.kafka.DataDir(node), topic+"-0", "00000000000000000000.log")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(from))
		if at < 0 {
			t.Fatalf("node %d does not have %q", node, from)
		}
		log, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.WriteAt([]byte(to), int64(at)); err != nil {
			t.Fatal(err)
		}
		_ = log.Close()
	}
}
