package stream

import (
	"context"
	"errors"
	"time"
)

// Start says where reading a topic begins when the group has no offset on any of its partitions.
type Start int

// The starts.
const (
	StartEarliest Start = iota // the first offset
	StartLatest                // the end, committed on every partition at once
)

// Lane is a set of topics that are fetched apart from other lanes and handed out by weight.
type Lane struct {
	Topics []string
	Weight int // share of the batches while several lanes have records; 0 = 1
}

// SourceConfig says what to read and how much of it at a time. Zero values are the defaults named.
type SourceConfig struct {
	Group string
	Lanes []Lane
	Start map[string]Start // per topic; absent = StartEarliest

	MaxRecords      int     // buffered or handed out, not acknowledged; 8192
	MaxBytes        int     // the same in bytes; 32 MiB
	PartitionWindow int     // distance from the oldest unacknowledged record to the newest, per partition; 4096
	BatchRecords    int     // largest batch for the handler; 512
	Budget          *Budget // shared by all sources of the process; nil = none

	SessionTimeout   time.Duration // after which a dead member's partitions move on; 10 s
	RebalanceTimeout time.Duration // how long the others wait for this member to join again; SessionTimeout
	DrainTimeout     time.Duration // for running work at a revoke or stop; half of the shorter of both, which is the most
	CommitInterval   time.Duration // 200 ms
	PartitionWatch   time.Duration // how often the number of partitions is looked at; 5 s
}

// Budget bounds bytes and records in flight over several sources. A budget smaller than the sum of its sources'
// MaxBytes makes them compete; even then a lane with nothing in flight gets one record through.
type Budget struct{ maxBytes, maxRecords int64 }

// NewBudget returns a budget of that many bytes and records; 0 = no limit.
func NewBudget(maxBytes, maxRecords int) *Budget {
	return &Budget{int64(maxBytes), int64(maxRecords)}
}

// Used returns what is in flight.
func (b *Budget) Used() (bytes, records int) { return 0, 0 }

// Source reads topics as a member of a consumer group.
type Source struct{}

// NewSource checks the configuration; nothing is opened before Run.
func (c *Cluster) NewSource(cfg SourceConfig) (*Source, error) { return &Source{}, nil }

// Run joins the group and calls handle until ctx ends, then drains (still heartbeating), commits and leaves. handle is
// called from one goroutine at a time, with the records of each partition in order; it may return before the records
// are acknowledged. The ctx passed to handle ends when queued work must not be started any more: at 60 % of the drain
// limit after a revoke or stop. What is being sent then may finish and acknowledge.
//
// A Kafka that is away, at the start or later, is waited for: Run returns nil once ctx ended, and an error never.
func (s *Source) Run(ctx context.Context, handle func(ctx context.Context, batch []*Record)) error {
	return errors.ErrUnsupported
}

// PartitionLag is how far reading has come on one partition.
type PartitionLag struct {
	Topic     string
	Partition int32
	Committed int64 // next offset to be read after a restart; -1 = none yet
	End       int64 // offset of the next record to be written
	Lag       int64 // records between
}

// Lag returns the lag of the partitions that are assigned now, as of the last fetch of each.
func (s *Source) Lag() []PartitionLag { return nil }

// InFlight returns what is buffered or handed out and not acknowledged.
func (s *Source) InFlight() (records, bytes int) { return 0, 0 }

// Ready says why nothing is read now; nil when all is well.
func (s *Source) Ready() error { return nil }

// SourceStats counts since the source was made.
type SourceStats struct {
	Fetches, FetchErrors  uint64 // requests
	Records, Bytes        uint64 // accepted into the buffer
	Commits, CommitErrors uint64 // requests
	Generations           uint64
	OutOfRange            uint64 // partitions reset because their offset was not in the log
	Abandoned             uint64 // records not acknowledged when a drain ran out of time
	InFlightRecords       int
	InFlightBytes         int
}

// Stats returns the counts.
func (s *Source) Stats() SourceStats { return SourceStats{} }
