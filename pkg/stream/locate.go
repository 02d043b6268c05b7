package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

// partitionError names the partition that an error is about.
type partitionError struct {
	topicPartition
	err error
}

func (e partitionError) Error() string { return fmt.Sprintf("%s/%d: %v", e.topic, e.partition, e.err) }
func (e partitionError) Unwrap() error { return e.err }

// placeRetry is how often leaders are looked for that are not known. The answer comes from memory.
const placeRetry = 20 * time.Millisecond

// placeLoop finds the leaders of partitions that have none, and starts the fetchers they need.
func (g *generation) placeLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if g.placePartitions(ctx) {
			select {
			case <-ctx.Done():
			case <-g.place:
			}
			continue
		}
		sleep(ctx, placeRetry)
	}
}

// placePartitions says whether every partition has a leader now.
func (g *generation) placePartitions(ctx context.Context) bool {
	leaders, err := g.source.cluster.leaders(ctx, g.source.topics)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	placed := true
	for _, p := range g.all {
		if p.leader == noLeader {
			if now.Before(p.retryAt) {
				placed = false
				continue
			}
			leader, ok := leaders[p.topicPartition]
			if !ok {
				if err == nil {
					err = kafka.LeaderNotAvailable
				}
				if ctx.Err() == nil {
					p.fail(now, err)
				}
				placed = false
				continue
			}
			p.leader = leader
		}
		if !p.lane.fetchers[p.leader] && p.located {
			p.lane.fetchers[p.leader] = true
			f := &fetcher{g: g, lane: p.lane, broker: p.leader}
			g.wg.Go(func() { f.run(ctx) })
		}
	}
	return placed
}

// locateRetry is how often positions are asked for that could not be had.
const locateRetry = 100 * time.Millisecond

// locateLoop finds where to read the partitions that have no position.
func (g *generation) locateLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if g.locatePartitions(ctx) {
			select {
			case <-ctx.Done():
			case <-g.locate:
			}
			continue
		}
		sleep(ctx, locateRetry)
	}
}

// locatePartitions says whether every partition has a position now.
func (g *generation) locatePartitions(ctx context.Context) bool {
	byTopic := map[string][]*partition{}
	located := true
	g.mu.Lock()
	now := time.Now()
	for _, p := range g.all {
		switch {
		case p.located:
		case now.Before(p.retryAt):
			located = false
		case p.assigned >= 0 && !p.outOfRange:
			g.begin(p, p.assigned, p.assigned)
		default:
			byTopic[p.topic] = append(byTopic[p.topic], p)
		}
	}
	g.mu.Unlock()
	for topic, partitions := range byTopic {
		err := g.locateTopic(ctx, topic, partitions)
		if err != nil && len(partitions) > 1 && !errors.Is(err, errStartPending) {
			// One without a leader must not hold up the others.
			for _, p := range partitions {
				located = g.located(ctx, []*partition{p}, g.locateTopic(ctx, topic, []*partition{p})) && located
			}
			continue
		}
		located = g.located(ctx, partitions, err) && located
	}
	return located
}

// located notes what became of an attempt.
func (g *generation) located(ctx context.Context, partitions []*partition, err error) bool {
	if err == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range partitions {
		if ctx.Err() == nil && !p.located {
			p.fail(time.Now(), err)
		}
	}
	return false
}

// begin makes a partition readable; guarded by g.mu.
func (g *generation) begin(p *partition, committed, start int64) {
	p.offset = g.source.resume(p.topicPartition, committed, start)
	p.win = newWindow(p.offset, g.source.cfg.PartitionWindow, p.lane)
	p.located = true
	p.recovered()
	notify(g.place)
}

// errStartPending says that the member that owns partition 0 has not committed the start yet.
var errStartPending = errors.New("waiting for the start of the topic to be committed")

// locateTopic finds the positions of partitions without a committed offset, or whose offset is not in the log.
func (g *generation) locateTopic(ctx context.Context, topic string, partitions []*partition) error {
	latest := g.source.cfg.Start[topic] == StartLatest &&
		slices.ContainsFunc(partitions, func(p *partition) bool { return !p.outOfRange })
	var ask []int32 // nil = all: the start is committed on every partition
	if !latest {
		for _, p := range partitions {
			ask = append(ask, p.partition)
		}
	}
	bounds, err := g.source.cluster.bounds(ctx, topic, ask)
	if err != nil {
		return err
	}
	var starts map[int32]int64 // where that is not the first offset
	if latest {
		if starts, err = g.latestStart(ctx, topic, bounds); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range partitions {
		b := bounds[p.partition]
		start, ok := starts[p.partition]
		switch {
		case p.outOfRange && p.offset >= b.first && p.offset <= b.end:
			p.outOfRange, p.located = false, true // the log has it again: a leader that lagged behind
			notify(g.place)
		case p.outOfRange:
			g.reset(p, b)
		case ok:
			g.begin(p, start, start)
		default:
			g.begin(p, p.assigned, b.first)
		}
	}
	return nil
}

// reset moves a partition whose offset is not in the log to the first one there is; guarded by g.mu. An offset before
// it means that records expired unread. One behind the end means that the log lost its tail, and its first offset is
// the only place from which nothing is left out.
func (g *generation) reset(p *partition, b bound) {
	g.source.stats.outOfRange.Add(1)
	g.source.log.Error("offset is not in the log: going on at its first record",
		zap.String("topic", p.topic), zap.Int32("partition", p.partition), zap.Int64("offset", p.offset),
		zap.Int64("first", b.first), zap.Int64("end", b.end), zap.Int64("expired_unread", max(0, b.first-p.offset)))
	p.win.close()
	p.lane.queue = slices.DeleteFunc(p.lane.queue, func(c chunk) bool { return c.win == p.win })
	p.outOfRange, p.needs, p.offset = false, 0, b.first
	p.win = newWindow(p.offset, g.source.cfg.PartitionWindow, p.lane)
	p.located = true
	p.recovered()
	notify(g.place)
}

// latestStart applies StartLatest: where the group has no offset on any partition of the topic, the ends of all are
// committed at once, by the member that owns partition 0; the others wait until they see that commit. Where it has one,
// partitions without begin at their first offset, and are not in the answer.
func (g *generation) latestStart(ctx context.Context, topic string, bounds map[int32]bound) (map[int32]int64, error) {
	ids := make([]int, 0, len(bounds))
	for id := range bounds {
		ids = append(ids, int(id))
	}
	committed, err := g.source.cluster.committed(ctx, g.source.cfg.Group, map[string][]int{topic: ids})
	if err != nil {
		return nil, err
	}
	starts := map[int32]int64{}
	for tp, at := range committed {
		starts[tp.partition] = at
	}
	if len(starts) > 0 {
		return starts, nil
	}
	if !slices.ContainsFunc(g.all, func(p *partition) bool { return p.topic == topic && p.partition == 0 }) {
		return nil, errStartPending
	}
	ends := map[int]int64{}
	for id, b := range bounds {
		ends[int(id)] = b.end
		starts[id] = b.end
	}
	if err := g.group.CommitOffsets(map[string]map[int]int64{topic: ends}); err != nil {
		return nil, fmt.Errorf("committing the start: %w", err)
	}
	g.source.log.Info("reading starts at the end of the topic", zap.String("topic", topic), zap.Int("partitions", len(ends)))
	return starts, nil
}
