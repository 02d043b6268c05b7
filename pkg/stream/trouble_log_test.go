package stream

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func testLogTruncated(t *testing.T, r *rig) {
	f := r.flow(t, 1)
	f.lab.three = false
	// One replica: an unclean election among three does the same to a log, but nobody can say when.
	alone := newFlow(t, r, r.addrs()...)
	alone.three = false
	alone.create(alone.topic, 1)
	alone.join()
	alone.write(100)
	alone.whole()
	node := alone.leader(0)
	log := filepath.Join(r.kafka.DataDir(node), alone.topic+"-0", "00000000000000000000.log")
	whole, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	alone.write(50)
	alone.whole()
	r.killed(t, node, func() {
		if err := os.Truncate(log, whole.Size()); err != nil {
			t.Fatal(err)
		}
	})
	alone.ready()
	m := alone.members[0]
	read := len(m.all())
	alone.write(20)
	alone.until("what was written in the place of the lost tail is read", func() bool {
		alone.mu.Lock()
		all := alone.written == alone.next
		alone.mu.Unlock()
		_, n := alone.counts()
		return all && n == alone.next
	})
	t.Logf("%d records read again", len(m.all())-read-20)
	alone.ready()
	alone.quiet(4)
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
	f.quiet(8)
	strict.quiet(6)
}
