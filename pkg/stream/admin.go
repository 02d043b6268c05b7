package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// bound is where a partition's log begins, and the offset that its next record gets.
type bound struct{ first, end int64 }

// bounds asks for the bounds of some partitions of a topic, nil = all.
func (c *Cluster) bounds(ctx context.Context, topic string, partitions []int32) (map[int32]bound, error) {
	if partitions == nil {
		n, err := c.Partitions(ctx, topic)
		if err != nil {
			return nil, err
		}
		for id := range n {
			partitions = append(partitions, int32(id))
		}
	}
	if len(partitions) == 0 {
		return map[int32]bound{}, nil
	}
	var ask []kafka.OffsetRequest
	for _, id := range partitions {
		ask = append(ask, kafka.FirstOffsetOf(int(id)), kafka.LastOffsetOf(int(id)))
	}
	res, err := c.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	out := map[int32]bound{}
	for _, p := range res.Topics[topic] {
		if p.Error != nil {
			return nil, fmt.Errorf("offsets of %s/%d: %w", topic, p.Partition, p.Error)
		}
		if p.FirstOffset < 0 || p.LastOffset < 0 {
			return nil, fmt.Errorf("offsets of %s/%d: no answer", topic, p.Partition)
		}
		out[int32(p.Partition)] = bound{p.FirstOffset, p.LastOffset}
	}
	if len(out) != len(partitions) {
		return nil, fmt.Errorf("offsets of %s: %d of %d partitions answered", topic, len(out), len(partitions))
	}
	return out, nil
}

// Ends returns the offset that the next record of each partition gets.
func (c *Cluster) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	bounds, err := c.bounds(ctx, topic, nil)
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64, len(bounds))
	for id, b := range bounds {
		ends[id] = b.end
	}
	return ends, nil
}

// committed asks for what a group has committed; partitions without are left out.
func (c *Cluster) committed(ctx context.Context, group string, topics map[string][]int) (map[topicPartition]int64, error) {
	res, err := c.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: topics})
	if err == nil {
		err = res.Error
	}
	out := map[topicPartition]int64{}
	if errors.Is(err, kafka.GroupIdNotFound) { // kfake says so where Kafka answers -1
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	for topic, partitions := range res.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("offset of group %s on %s/%d: %w", group, topic, p.Partition, p.Error)
			}
			if p.CommittedOffset >= 0 {
				out[topicPartition{topic, int32(p.Partition)}] = p.CommittedOffset
			}
		}
	}
	return out, nil
}

// Lag returns the lag of group on every partition of the topics, in their order; topics that do not exist are left out.
// Where the group has committed nothing, everything in the log counts.
func (c *Cluster) Lag(ctx context.Context, group string, topics []string) ([]PartitionLag, error) {
	m, err := c.metadata(ctx, topics)
	if err != nil {
		return nil, err
	}
	ask := map[string][]int{}
	for _, t := range m.Topics {
		if topicError(t) == nil {
			for id := range t.Partitions {
				ask[t.Name] = append(ask[t.Name], id)
			}
		}
	}
	if len(ask) == 0 {
		return nil, nil
	}
	committed, err := c.committed(ctx, group, ask)
	if err != nil {
		return nil, err
	}
	var out []PartitionLag
	for _, topic := range topics {
		if ask[topic] == nil {
			continue
		}
		bounds, err := c.bounds(ctx, topic, nil)
		if err != nil {
			return nil, err
		}
		for id := range int32(len(bounds)) {
			row := PartitionLag{Topic: topic, Partition: id, Committed: -1, End: bounds[id].end}
			from := bounds[id].first
			if at, ok := committed[topicPartition{topic, id}]; ok {
				row.Committed, from = at, max(at, from)
			}
			row.Lag = max(0, row.End-from)
			out = append(out, row)
		}
	}
	return out, nil
}

// Head is the oldest unread record of a partition.
type Head struct {
	PartitionLag
	Oldest time.Time // zero = everything was read
}

// Head returns for each partition of topic what group has committed, the log's end, and the time of the oldest record
// that is not read. It fetches records only where there is a lag.
func (c *Cluster) Head(ctx context.Context, group, topic string) ([]Head, error) {
	rows, err := c.Lag(ctx, group, []string{topic})
	if err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoTopic, topic)
	}
	heads := make([]Head, len(rows))
	var ranges []Range
	for i, row := range rows {
		heads[i].PartitionLag = row
		if row.Lag > 0 {
			ranges = append(ranges, Range{Partition: row.Partition, From: row.End - row.Lag, To: row.End})
		}
	}
	s := scan{cluster: c, topic: topic, maxBytes: headBytes}
	err = s.run(ctx, ranges, func(r *Record) verdict {
		heads[r.Partition].Oldest = r.Time
		return nextPartition
	})
	return heads, err
}

// headBytes is what is asked of a partition for its first record: a broker sends a whole batch, at least one a request.
const headBytes = 4 << 10

// Range is a part of one partition.
type Range struct {
	Partition int32
	From      int64 // first offset to read; negative = the first one there is
	To        int64 // offset to stop before; negative = the end at the start of the scan
}

// Scan calls fn for the records of topic that exist when it starts, each partition's in order, until fn returns false.
// nil ranges mean every partition from its first offset. It reads without a group and commits nothing. A broker that is
// away is waited for until ctx ends; a topic or partition that does not exist or may not be read is an error at once.
func (c *Cluster) Scan(ctx context.Context, topic string, ranges []Range, fn func(*Record) bool) error {
	var only []int32
	for _, r := range ranges {
		only = append(only, r.Partition)
	}
	slices.Sort(only)
	if len(slices.Compact(slices.Clone(only))) != len(only) {
		return fmt.Errorf("scan of %s names a partition twice", topic)
	}
	bounds, err := c.scanBounds(ctx, topic, only)
	if err != nil {
		return err
	}
	if ranges == nil {
		for id := range int32(len(bounds)) {
			ranges = append(ranges, Range{id, -1, -1})
		}
	}
	clipped := make([]Range, 0, len(ranges))
	for _, r := range ranges {
		b := bounds[r.Partition]
		r.From = max(r.From, b.first)
		if r.To < 0 || r.To > b.end {
			r.To = b.end
		}
		clipped = append(clipped, r)
	}
	s := scan{cluster: c, topic: topic, maxBytes: maxPartitionBytes}
	return s.run(ctx, clipped, func(r *Record) verdict {
		if fn(r) {
			return nextRecord
		}
		return stopScan
	})
}

// scanBounds asks for bounds until a broker answers. partitions are sorted.
func (c *Cluster) scanBounds(ctx context.Context, topic string, partitions []int32) (map[int32]bound, error) {
	for {
		n, err := c.Partitions(ctx, topic)
		if err == nil && len(partitions) > 0 && int(partitions[len(partitions)-1]) >= n {
			return nil, fmt.Errorf("scan of %s: it has no partition %d", topic, partitions[len(partitions)-1])
		}
		if err == nil {
			var bounds map[int32]bound
			if bounds, err = c.bounds(ctx, topic, partitions); err == nil {
				return bounds, nil
			}
		}
		if errors.Is(err, ErrNoTopic) || !sleep(ctx, scanRetry) {
			return nil, err
		}
	}
}
