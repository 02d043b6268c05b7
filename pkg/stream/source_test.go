package stream

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSourceReadsEachPartitionInOrderAndOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	topic := l.topic(4)
	p := l.publisher()
	want := map[int32][]string{}
	for id := range int32(4) {
		want[id] = numbered(0, 300)
		l.publish(p, topic, id, want[id]...)
	}
	cfg := SourceConfig{Group: "once-" + topic, Lanes: []Lane{{Topics: []string{topic}}}, BatchRecords: 50}
	m := l.run(cfg, nil)
	eventually(t, "all records are read", func() bool { return len(m.all()) >= 1200 })
	eventually(t, "nothing is in flight", func() bool { n, bytes := m.InFlight(); return n == 0 && bytes == 0 })
	m.stop()
	if diff := cmp.Diff(want, m.values()); diff != "" {
		t.Errorf("read differs (-want +got):\n%s", diff)
	}
	all := map[int32]int64{0: 300, 1: 300, 2: 300, 3: 300}
	if diff := cmp.Diff(all, l.committedOffsets(cfg.Group, topic, 4)); diff != "" {
		t.Errorf("committed differs (-want +got):\n%s", diff)
	}

	again := l.run(cfg, nil)
	l.publish(p, topic, 2, "new")
	eventually(t, "the new record is read", func() bool { return len(again.all()) > 0 })
	again.stop()
	if diff := cmp.Diff(map[int32][]string{2: {"new"}}, again.values()); diff != "" {
		t.Errorf("read after a restart differs (-want +got):\n%s", diff)
	}
}

func TestSourceCommitsUpToTheFirstRecordThatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	p := l.publisher()
	l.publish(p, topic, 0, numbered(0, 10)...)
	cfg := SourceConfig{Group: "contiguous-" + topic, Lanes: []Lane{{Topics: []string{topic}}}, DrainTimeout: 50 * time.Millisecond}
	m := l.run(cfg, func(_ context.Context, _ *member, batch []*Record) {
		for _, r := range batch {
			if r.Offset != 4 {
				r.Ack()
			}
		}
	})
	eventually(t, "all records are read", func() bool { return len(m.all()) == 10 })
	eventually(t, "what is contiguous is committed", func() bool {
		return l.committedOffsets(cfg.Group, topic, 1)[0] == 4
	})
	m.stop()
	if got := m.Stats().Abandoned; got != 1 {
		t.Errorf("abandoned %d records, want 1", got)
	}
	again := l.run(cfg, nil)
	eventually(t, "it goes on where the gap is", func() bool { return len(again.all()) == 6 })
	if got := again.all()[0].Offset; got != 4 {
		t.Errorf("first offset after the restart is %d, want 4", got)
	}
}
