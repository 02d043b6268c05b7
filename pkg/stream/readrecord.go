package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// ErrGone says that a log does not hold a record any more: it expired, or the topic was made anew.
var ErrGone = errors.New("record is not in the log any more")

// ReadRecord reads one record by its place. [ErrGone] where the log does not have it; ErrNoTopic where the topic does
// not exist, or is not known yet. A broker that is away is waited for until ctx ends. It reads without a group and
// commits nothing.
func (c *Cluster) ReadRecord(ctx context.Context, topic string, partition int32, offset int64) (*Record, error) {
	gone := partitionError{topicPartition{topic, partition}, fmt.Errorf("offset %d: %w", offset, ErrGone)}
	bounds, err := c.scanBounds(ctx, topic, nil)
	if err != nil {
		return nil, fmt.Errorf("read a record: %w", err)
	}
	if b, ok := bounds[partition]; !ok || offset < b.first || offset >= b.end {
		return nil, gone
	}
	var found *Record
	s := scan{cluster: c, topic: topic, maxBytes: headBytes}
	err = s.run(ctx, []Range{{Partition: partition, From: offset, To: offset + 1}}, func(r *Record) verdict {
		found = r
		return stopScan
	})
	switch {
	case errors.Is(err, kafka.OffsetOutOfRange): // it expired meanwhile
		return nil, gone
	case err != nil:
		return nil, err
	case found == nil: // compacted away, or a transaction's marker
		return nil, gone
	}
	return found, nil
}
