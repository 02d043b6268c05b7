package stream

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestWhereAPartitionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	const nothing = -2 // kafka-go's for a partition without an offset
	for name, tt := range map[string]struct {
		acknowledged, committed int64 // when this process had it last
		group, start            int64 // what the group has now, and where that begins
		want                    int64
	}{
		"its last commit failed":                        {100, 60, 60, 60, 100},
		"its first commit failed":                       {100, -1, nothing, 0, 100},
		"another has come less far since":               {100, 60, 80, 80, 100},
		"another has come farther":                      {100, 60, 120, 120, 120},
		"nothing was left":                              {60, 60, 60, 60, 60},
		"an operator has moved the group back":          {100, 60, 10, 10, 10},
		"the topic was made anew, its offsets are gone": {100, 60, nothing, 0, 0},
	} {
		tp := topicPartition{"t", 0}
		s := &Source{left: map[topicPartition]leftover{}, seen: map[topicPartition]seen{}}
		w := newWindow(tt.acknowledged, 8, testLane())
		w.markCommitted(tt.committed)
		s.remember(&partition{topicPartition: tp, win: w, assigned: nothing, epoch: 7, offset: tt.acknowledged})
		if got := s.resume(tp, tt.group, tt.start); got != tt.want {
			t.Errorf("%s: goes on at %d, want %d", name, got, tt.want)
		}
		if got := s.resume(tp, tt.group, tt.start); got != tt.start {
			t.Errorf("%s: asked again it goes on at %d, want the group's %d: it is remembered once", name, got, tt.start)
		}
		if at, ahead := s.epochAt(tp, tt.acknowledged), s.epochAt(tp, tt.acknowledged+1); at != 7 || ahead != -1 {
			t.Errorf("%s: the epoch is %d, and %d where others have read", name, at, ahead)
		}
	}
}

func TestAPartitionWithoutBoundsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, 1)
	topic := l.topic(3)
	p := l.publisher()
	for id := range int32(3) {
		l.publish(p, topic, id, "a")
	}
	asked := l.fake.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}}, nil)
	began := time.Now()
	eventually(t, "the others are read", func() bool { return len(m.all()) == 2 })
	eventually(t, "readiness names the partition", func() bool {
		err := m.Ready()
		return err != nil && containsText(err, topic+"/1")
	})
	if n, limit := asked.Hits(), 10*int(2+time.Since(began)/time.Second); n > limit {
		t.Errorf("asked %d times in %s, want at most %d", n, time.Since(began), limit)
	}
	asked.Remove()
	eventually(t, "it is read, too", func() bool { return len(m.all()) == 3 })
}
