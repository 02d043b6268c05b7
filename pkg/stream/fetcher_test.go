package stream

import (
	"errors"
	"testing"
	"time"
)

// planning is a fetcher of broker 1 that leads n partitions at offset 0.
func planning(n int) *fetcher {
	l := testLane()
	l.fetchers = map[int32]bool{1: true}
	g := &generation{source: &Source{cfg: SourceConfig{PartitionWindow: 8}}, lanes: []*lane{l}}
	for id := range n {
		l.partitions = append(l.partitions, &partition{
			topicPartition: topicPartition{"t", int32(id)}, lane: l, located: true, leader: 1, win: newWindow(0, 8, l),
		})
	}
	return &fetcher{g: g, lane: l, broker: 1}
}

func TestRequestsLeaveOutWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_000_000)
	tests := map[string]struct {
		change func(f *fetcher, p *partition) // of the second of three partitions
		state  planState
		asked  int
	}{
		"all can be read":        {func(*fetcher, *partition) {}, planFull, 3},
		"another broker's":       {func(_ *fetcher, p *partition) { p.leader = 2 }, planFull, 2},
		"its position not known": {func(_ *fetcher, p *partition) { p.located = false }, planFull, 2},
		"it failed just now":     {func(_ *fetcher, p *partition) { p.fail(now, errors.New("x")) }, planFull, 2},
		"its window is full": {func(_ *fetcher, p *partition) {
			for offset := range int64(7) {
				p.win.take(&Record{Offset: offset, owner: p.win})
			}
			p.offset = 7
		}, planPartial, 2},
		"its next record does not fit yet": {func(_ *fetcher, p *partition) {
			p.win.take(&Record{owner: p.win})
			p.offset, p.needs = 1, 2<<30
		}, planPartial, 2},
		"its next record fits an idle lane only": {func(_ *fetcher, p *partition) { p.needs = 2 << 30 }, planFull, 3},
		"no room in the lane": {func(f *fetcher, _ *partition) {
			f.lane.usage.take(1 << 30)
		}, planStarved, 0},
	}
	for name, tt := range tests {
		f := planning(3)
		tt.change(f, f.lane.partitions[1])
		plan, state := f.plan(now)
		if state != tt.state || len(plan.request) != tt.asked {
			t.Errorf("%s: asks for %d partitions, state %d; want %d and %d", name, len(plan.request), state, tt.asked, tt.state)
		}
	}
	none := planning(1)
	none.lane.partitions[0].leader = noLeader
	if _, state := none.plan(now); state != planNone || none.lane.fetchers[1] {
		t.Errorf("a fetcher without partitions goes on: state %d", state)
	}
}

func TestRequestsBeginWithAnotherPartitionEachTime(t *testing.T) {
	t.Parallel()
	f := planning(3)
	first := map[int32]bool{}
	for range 3 {
		plan, _ := f.plan(time.Now())
		first[plan.request[0].partition] = true
		for _, p := range plan.partitions {
			p.fetching = false
		}
	}
	if len(first) != 3 {
		t.Errorf("%d partitions came first in three requests, want each once", len(first))
	}
}

func TestRetriesBackOffToASecond(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_000_000)
	p, b := &partition{}, &outbox{}
	var reading, writing time.Duration
	for range 30 {
		p.fail(now, errNotAnswered)
		b.fail(now, errNotAnswered)
		if next := p.retryAt.Sub(now); next < reading {
			t.Errorf("reading: %v after %v", next, reading)
		} else {
			reading = next
		}
		if next := b.retryAt.Sub(now); next < writing {
			t.Errorf("writing: %v after %v", next, writing)
		} else {
			writing = next
		}
	}
	if reading != time.Second || writing != time.Second {
		t.Errorf("after 30 failures %v and %v, want 1 s", reading, writing)
	}
	p.recovered()
	b.recovered()
	if !p.retryAt.IsZero() || !b.retryAt.IsZero() || p.failures+b.failures != 0 {
		t.Error("a success does not end the back-off")
	}
}
