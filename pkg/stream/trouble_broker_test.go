package stream

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leader waits until the flow's partition has a leader, and returns its node.
func (f *flow) leader(partition int32) (node int) {
	f.t.Helper()
	f.until("the partition has a leader", func() bool {
		leaders, err := f.cluster.leaders(f.t.Context(), []string{f.topic})
		leader, ok := leaders[topicPartition{f.topic, partition}]
		node = int(leader) - 1
		return err == nil && ok
	})
	return node
}

// whileDown writes until the flow is through a failure: everything that was written since it began is read.
func (f *flow) through(began time.Time) {
	f.t.Helper()
	f.write(100)
	mark := f.next
	f.writeUntil("what was written after it is read", func() bool { _, n := f.counts(); return n >= mark })
	f.t.Logf("reading and writing go on after %s", time.Since(began).Round(10*time.Millisecond))
}

func testLeaderKilled(t *testing.T, r *rig) {
	f := r.flow(t, 6)
	f.join()
	f.write(500)
	before := f.p.Stats()
	began := time.Now()
	r.killed(t, f.leader(0), func() { f.through(began) })
	reread, rewritten := f.whole()
	f.ready()
	t.Logf("of %d records %d were read again, %d written again", f.next, reread, rewritten)
	f.bounded("produce requests that failed", f.p.Stats().RequestErrors-before.RequestErrors, 50, began)
	f.quiet()
}

// coordinator returns the node that a group is kept by.
func (f *flow) coordinator() (node int) {
	f.t.Helper()
	f.until("the group has a coordinator", func() bool {
		res, err := f.cluster.client.FindCoordinator(contextFor(f.t), &kafka.FindCoordinatorRequest{
			Addr: kafka.TCP(f.addrs[2:]...), Key: f.group, KeyType: kafka.CoordinatorKeyTypeConsumer})
		if err != nil || res.Error != nil {
			return false
		}
		node = res.Coordinator.NodeID - 1
		return true
	})
	return node
}

func testCoordinatorKilled(t *testing.T, r *rig) {
	f := r.flow(t, 3)
	node := f.coordinator()
	for id := range int32(3) { // the partitions stay with the other two: only the group moves
		f.reassign(id, int32((node+1)%3)+1)
	}
	before := f.members[0].Stats()
	began := time.Now()
	r.killed(t, node, func() {
		f.through(began)
		f.until("the group has another coordinator", func() bool { return f.coordinator() != node })
		f.until("it has joined there", func() bool {
			return f.members[0].Stats().Generations > before.Generations && f.members[0].Ready() == nil
		})
	})
	reread, rewritten := f.whole()
	f.ready()
	t.Logf("of %d records %d were read again, %d written again", f.next, reread, rewritten)
	f.bounded("commits that failed", f.members[0].Stats().CommitErrors-before.CommitErrors, 6, began)
	f.quiet()
}

func testControllerKilled(t *testing.T, r *rig) {
	f := r.flow(t, 3)
	began := time.Now()
	r.killed(t, r.controller(t, f), func() {
		f.through(began)
		// A controller is there again: a topic can be created.
		f.create(f.topic+"-later", 1)
		t.Logf("a topic is created after %s", time.Since(began).Round(10*time.Millisecond))
	})
	f.whole()
	f.ready()
	f.quiet()
}

// controller returns the node that leads the controllers.
func (r *rig) controller(t *testing.T, f *flow) (node int) {
	t.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	client := f.kgo()
	f.until("there is a controller", func() bool {
		res, err := req.RequestWith(contextFor(t), client)
		if err != nil || res.ErrorCode != 0 || res.Topics[0].Partitions[0].ErrorCode != 0 {
			return false
		}
		node = int(res.Topics[0].Partitions[0].LeaderID) - 1
		return true
	})
	return node
}

func testBrokerFrozen(t *testing.T, r *rig) {
	f := r.flow(t, 6)
	node := f.leader(0)
	began, before := time.Now(), f.p.Stats()
	if err := r.kafka.Pause(node); err != nil {
		t.Fatal(err)
	}
	// A process that starts now must find its way past the broker that takes connections and never answers.
	late := newFlow(t, r, r.addrs()...)
	late.topic, late.group = f.topic, f.group+"-late"
	late.join()
	f.through(began)
	f.until("the late process reads", func() bool { n, _ := late.counts(); return n > 0 })
	t.Logf("a process that started meanwhile reads after %s", time.Since(began).Round(10*time.Millisecond))
	f.bounded("produce requests that failed", f.p.Stats().RequestErrors-before.RequestErrors, 20, began)
	if err := r.kafka.Continue(node); err != nil {
		t.Fatal(err)
	}
	f.whole()
	f.ready()
	f.quiet()
	late.quiet()
}
