package stream

import (
	"context"
	"errors"
	"time"
)

// Head is the oldest unread record of a partition.
type Head struct {
	PartitionLag
	Oldest time.Time // zero = everything was read
}

// Head returns for each partition of topic what group has committed, the log's end, and the time of the oldest record
// that is not read.
func (c *Cluster) Head(ctx context.Context, group, topic string) ([]Head, error) {
	return nil, errors.ErrUnsupported
}

// Lag returns the lag of group on every partition of the topics; topics that do not exist are left out.
func (c *Cluster) Lag(ctx context.Context, group string, topics []string) ([]PartitionLag, error) {
	return nil, errors.ErrUnsupported
}

// Range is a part of one partition.
type Range struct {
	Partition int32
	From      int64 // first offset to read; negative = the first one there is
	To        int64 // offset to stop before; negative = the end at the start of the scan
}

// Scan calls fn for the records of topic that exist when it starts, each partition's in order, until fn returns false.
// nil ranges mean every partition from its first offset. It reads without a group and commits nothing.
func (c *Cluster) Scan(ctx context.Context, topic string, ranges []Range, fn func(*Record) bool) error {
	return errors.ErrUnsupported
}
