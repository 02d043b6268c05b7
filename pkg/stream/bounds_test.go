package stream

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hold is a handler that keeps records unacknowledged until released.
type hold struct {
	mu   sync.Mutex
	held []*Record
	open bool
}

func (h *hold) handle(_ context.Context, _ *member, batch []*Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.open {
		h.held = append(h.held, batch...)
		return
	}
	for _, r := range batch {
		r.Ack()
	}
}

func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = true
	for _, r := range h.held {
		r.Ack()
	}
	h.held = nil
}

func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	kilobyte := strings.Repeat("x", 1000)
	tests := map[string]struct {
		cfg  SourceConfig
		fits func(records, bytes int, perPartition map[int32][]string) bool
	}{
		"by records": {
			SourceConfig{MaxRecords: 40},
			func(records, _ int, _ map[int32][]string) bool { return records <= 40 },
		},
		"by bytes": {
			SourceConfig{MaxBytes: 50_000},
			func(_, bytes int, _ map[int32][]string) bool { return bytes <= 50_000 },
		},
		"by the partition's window": {
			SourceConfig{PartitionWindow: 16},
			func(_, _ int, per map[int32][]string) bool { return len(per[0]) <= 16 && len(per[1]) <= 16 },
		},
		"by the process's bytes": {
			SourceConfig{Budget: NewBudget(30_000, 0)},
			func(_, bytes int, _ map[int32][]string) bool { return bytes <= 30_000 },
		},
		"by the process's records": {
			SourceConfig{Budget: NewBudget(0, 20)},
			func(records, _ int, _ map[int32][]string) bool { return records <= 20 },
		},
	}
	l := newLab(t, 1)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := l.topic(2)
			p := l.publisher()
			var values []string
			for range 200 {
				values = append(values, kilobyte)
			}
			l.publish(p, topic, 0, values...)
			l.publish(p, topic, 1, values...)
			tt.cfg.Lanes = []Lane{{Topics: []string{topic}}}
			h := &hold{}
			m := l.run(tt.cfg, h.handle)
			// It fills up, goes on filling no more for some fetches, and reads the rest once there is room.
			eventually(t, "something is held", func() bool { return len(m.all()) > 10 })
			fetches := m.Stats().Fetches
			eventually(t, "room has been looked for again", func() bool {
				n, bytes := m.InFlight()
				if !tt.fits(n, bytes, m.values()) {
					t.Fatalf("in flight: %d records, %d bytes", n, bytes)
				}
				return m.Stats().Fetches >= fetches && len(m.all()) == n
			})
			h.release()
			eventually(t, "everything is read", func() bool { return len(m.all()) == 400 })
			eventually(t, "everything is given back", func() bool { n, bytes := m.InFlight(); return n == 0 && bytes == 0 })
			m.stop()
			if tt.cfg.Budget != nil {
				if bytes, records := tt.cfg.Budget.Used(); bytes != 0 || records != 0 {
					t.Errorf("the budget still counts %d records, %d bytes", records, bytes)
				}
			}
			for id, got := range m.values() {
				if len(got) != 200 {
					t.Errorf("partition %d: read %d records, want 200", id, len(got))
				}
			}
		})
	}
}

func TestRecordLargerThanEveryLimitPassesAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	p := l.publisher()
	large := strings.Repeat("x", 900_000)
	l.publish(p, topic, 0, "a", large, "b", large, "c")
	m := l.run(SourceConfig{Lanes: []Lane{{Topics: []string{topic}}}, MaxBytes: 100_000, Budget: NewBudget(50_000, 0)}, nil)
	eventually(t, "all are read", func() bool { return len(m.all()) == 5 })
	if diff := cmp.Diff(map[int32][]string{0: {"a", large, "b", large, "c"}}, m.values()); diff != "" {
		t.Error("read in another order")
	}
}

func TestLaneFullOfWaitingRecordsDoesNotBlockAnother(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	bulk, urgent := l.topic(2), l.topic(2)
	p := l.publisher()
	l.publish(p, bulk, 0, numbered(0, 500)...)
	l.publish(p, bulk, 1, numbered(0, 500)...)
	m := l.run(SourceConfig{
		Lanes:      []Lane{{Topics: []string{urgent}, Weight: 8}, {Topics: []string{bulk}, Weight: 1}},
		MaxRecords: 100, DrainTimeout: 50 * time.Millisecond,
	}, func(_ context.Context, _ *member, batch []*Record) {
		for _, r := range batch {
			if r.Topic == urgent {
				r.Ack()
			}
		}
	})
	full := func() bool {
		n, _ := m.InFlight()
		return n >= 50
	}
	eventually(t, "the bulk lane has taken its share", full)
	l.publish(p, urgent, 0, numbered(0, 300)...)
	eventually(t, "the urgent lane gets through", func() bool {
		n := 0
		for _, r := range m.all() {
			if r.Topic == urgent {
				n++
			}
		}
		return n == 300
	})
}

func TestBatchesGoByWeightAndNoLaneIsLeftOut(t *testing.T) {
	t.Parallel()
	full := func(weight int) *lane { return &lane{weight: weight, queue: []chunk{{}}} }
	lanes := []*lane{full(8), full(4), full(1)}
	got := map[*lane]int{}
	for range 13 * 4 {
		got[nextLane(lanes)]++
	}
	for i, want := range []int{32, 16, 4} {
		if got[lanes[i]] != want {
			t.Errorf("lane %d of weight %d: %d turns, want %d", i, lanes[i].weight, got[lanes[i]], want)
		}
	}
	lanes[0].queue = nil
	if nextLane(lanes) == lanes[0] {
		t.Error("a lane without records got a turn")
	}
	if nextLane([]*lane{lanes[0]}) != nil {
		t.Error("a turn although no lane has records")
	}
}

func TestEachLaneHasAReserve(t *testing.T) {
	t.Parallel()
	m := newMeter(100, 1_000_000, nil, []int{8, 1, 1})
	urgent, bulk := m.lanes[0], m.lanes[1]
	n := 0
	for bulk.take(100) {
		n++
	}
	if n != 100-40-5 {
		t.Errorf("one lane took %d records, want what the others' reserves (40 and 5) leave of 100", n)
	}
	n = 0
	for urgent.take(100) {
		n++
	}
	if n != 40 {
		t.Errorf("the other lane took %d records, want its reserve of 40", n)
	}
	if records, bytes := m.inFlight(); records != 95 || bytes != 9500 {
		t.Errorf("in flight %d records, %d bytes", records, bytes)
	}
}
