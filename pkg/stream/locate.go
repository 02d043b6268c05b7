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
	var suspects []*partition
	g.mu.Lock()
	now := time.Now()
	for _, p := range g.all {
		if p.located || p.fetching || now.Before(p.retryAt) {
			continue
		}
		if p.win == nil && p.assigned >= 0 && !p.outOfRange {
			g.begin(p, p.assigned, p.assigned)
		}
		if p.suspect {
			suspects = append(suspects, p)
		} else {
			byTopic[p.topic] = append(byTopic[p.topic], p)
		}
	}
	g.mu.Unlock()
	if len(suspects) > 0 {
		g.verify(ctx, suspects)
	}
	for topic, partitions := range byTopic {
		err := g.locateTopic(ctx, topic, partitions)
		if err == nil || len(partitions) == 1 || errors.Is(err, errStartPending) {
			g.located(ctx, partitions, err)
			continue
		}
		for _, p := range partitions { // one without a leader must not hold up the others
			g.located(ctx, []*partition{p}, g.locateTopic(ctx, topic, []*partition{p}))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !slices.ContainsFunc(g.all, func(p *partition) bool { return !p.located })
}

// located notes what became of an attempt.
func (g *generation) located(ctx context.Context, partitions []*partition, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range partitions {
		p.fail(time.Now(), err)
	}
}

// begin gives a partition its first position, which is still to be verified; guarded by g.mu.
func (g *generation) begin(p *partition, committed, start int64) {
	p.offset = g.source.resume(p.topicPartition, committed, start)
	p.epoch = g.source.epochAt(p.topicPartition, p.offset)
	p.win = newWindow(p.offset, g.source.cfg.PartitionWindow, p.lane)
	p.recovered()
	g.suspect(p)
}

// errStartPending says that the member that owns partition 0 has not committed the start yet.
var errStartPending = errors.New("waiting for the start of the topic to be committed")

// locateTopic finds the positions of partitions without a committed offset, or whose offset is not in the log.
func (g *generation) locateTopic(ctx context.Context, topic string, partitions []*partition) error {
	g.mu.Lock()
	renewed := make(map[topicPartition]topicID)
	for _, p := range partitions {
		if p.isRenewed() {
			renewed[p.topicPartition] = p.renewed
		}
	}
	g.mu.Unlock()
	if err := g.source.cluster.checkRenewed(ctx, topic, renewed); err != nil {
		return err
	}
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
		if p.renewed != renewed[p.topicPartition] {
			continue // it was made anew meanwhile: these are bounds of the former log
		}
		b := bounds[p.partition]
		start, ok := starts[p.partition]
		switch {
		case p.outOfRange && !p.moved && p.offset >= b.first && p.offset <= b.end:
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

// reset moves a partition whose offset is not in the log that was read; guarded by g.mu. An offset before the log's first
// one means that records expired unread. Else the log has lost its tail, or is another: reading goes on where they part,
// and at the first record where nobody knows where that is. From there nothing is left out.
func (g *generation) reset(p *partition, b bound) {
	to := b.first
	if p.moved && p.valid >= b.first && p.valid <= b.end {
		to = p.valid
	}
	g.source.stats.outOfRange.Add(1)
	fields := []zap.Field{zap.String("topic", p.topic), zap.Int32("partition", p.partition), zap.Int64("offset", p.offset),
		zap.Int64("going_on_at", to), zap.Int64("first", b.first), zap.Int64("end", b.end)}
	if p.offset < b.first && !p.isRenewed() {
		g.source.log.Error("records expired before they were read", append(fields, zap.Int64("unread", b.first-p.offset))...)
	} else {
		g.source.log.Error("the log is not the one that was read: going on where they part", fields...)
	}
	if p.win != nil {
		p.win.close()
		p.lane.queue = slices.DeleteFunc(p.lane.queue, func(c chunk) bool { return c.win == p.win })
	}
	p.win = newWindow(to, g.source.cfg.PartitionWindow, p.lane)
	p.outOfRange, p.moved, p.needs, p.offset, p.epoch, p.accepted = false, false, 0, to, -1, -1
	p.located = true
	p.recovered()
	if p.isRenewed() {
		g.source.mu.Lock()
		g.source.ids[p.topicPartition] = p.renewed
		g.source.mu.Unlock()
		p.renewed = topicID{}
	}
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
