package stream

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func testLogTruncated(t *testing.T, r *rig) {
	// One replica: an unclean election among three does the same to a log, but nobody can say when.
	short, refilled := newFlow(t, r, r.addrs()...), newFlow(t, r, r.addrs()...)
	logs := map[*flow]string{}
	sizes := map[*flow]int64{}
	node := r.alone(t, short, refilled)
	for _, f := range []*flow{short, refilled} {
		f.join()
		f.write(100)
		f.whole()
		logs[f] = filepath.Join(r.kafka.DataDir(node), f.topic+"-0", "00000000000000000000.log")
		whole, err := os.Stat(logs[f])
		if err != nil {
			t.Fatal(err)
		}
		sizes[f] = whole.Size()
		f.write(50)
		f.whole()
	}
	refilled.members[0].Pause()
	r.killed(t, node, func() {
		for f, log := range logs {
			if err := os.Truncate(log, sizes[f]); err != nil {
				t.Fatal(err)
			}
		}
	})
	for f, n := range map[*flow]int{short: 20, refilled: 80} { // the second log is longer than before when it is read again
		m := f.members[0]
		read := len(m.all())
		f.write(n)
		f.settled()
		m.Resume()
		f.until("what stands in the place of the lost tail is read", func() bool { _, got := f.counts(); return got == f.next })
		f.ready()
		if again := len(m.all()) - read - n; again != 0 {
			t.Errorf("%d records read again: the broker knows where the logs part", again)
		}
		if got := m.Stats().OutOfRange; got != 1 {
			t.Errorf("%d resets counted, want 1", got)
		}
		f.quiet()
	}
}

// alone gives the flows topics of one replica each, all on one node, which it returns.
func (r *rig) alone(t *testing.T, flows ...*flow) (node int) {
	t.Helper()
	const on = 1
	for _, f := range flows {
		res, err := f.cluster.client.CreateTopics(contextFor(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
			Topic: f.topic, NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignments: []kafka.ReplicaAssignment{{Partition: 0, Replicas: []int{on}}},
			ConfigEntries:      []kafka.ConfigEntry{{ConfigName: "min.insync.replicas", ConfigValue: "1"}},
		}}})
		if err == nil {
			err = res.Errors[f.topic]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return on - 1
}

func testTwoBrokersDown(t *testing.T, r *rig) {
	f := r.flow(t, 3)
	strict := r.flow(t, 1, kafka.ConfigEntry{ConfigName: "min.insync.replicas", ConfigValue: "3"})
	began, before := time.Now(), f.p.Stats()
	strictBefore := strict.p.Stats()
	nodes := []int{(strict.leader(0) + 1) % 3, (strict.leader(0) + 2) % 3}
	r.killed(t, nodes[0], func() {
		strict.until("the brokers say that there are too few", func() bool {
			strict.write(1)
			err := strict.p.Ready()
			return err != nil && containsText(err, kafka.NotEnoughReplicas.Title())
		})
		f.through(began)
		f.settled()
		r.killed(t, nodes[1], func() {
			written := f.p.Stats().Records
			f.write(100)
			f.until("readiness says that nothing can be written", func() bool { return f.p.Ready() != nil })
			if got := f.p.Stats().Records; got != written {
				t.Errorf("%d records were written to one broker of three", got-written)
			}
		})
	})
	f.bounded("produce requests", f.p.Stats().Requests-before.Requests, 120, began)
	strict.bounded("produce requests", strict.p.Stats().Requests-strictBefore.Requests, 12, began)
	strict.whole()
	f.whole()
	f.ready()
	strict.ready()
	f.quiet()
	strict.quiet()
}
