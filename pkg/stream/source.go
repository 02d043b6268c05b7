package stream

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
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

// Source reads topics as a member of a consumer group. Its methods are safe for concurrent use; Run is called once.
type Source struct {
	cluster *Cluster
	cfg     SourceConfig
	topics  []string // of all lanes
	meter   *meter
	stats   counters
	log     *zap.Logger

	handling chan struct{} // held while handle runs: generations overlap while one drains
	paused   gate

	absent  trouble // no membership
	reading trouble // partitions that cannot be read
	commits trouble

	mu        sync.Mutex
	left      map[topicPartition]leftover
	seen      map[topicPartition]seen
	ids       map[topicPartition]topicID // of the topic whose log was read
	replaced  map[topicID]struct{}       // of topics that were deleted and made anew
	divided   map[string]int             // partitions by topic that this member dealt out as the group's leader; until the generation begins
	redivided int                        // generations in a row that ended because that was wrong
	current   *generation                // nil while there is none
	idle      error                      // why there is none
}

// counters are the parts of SourceStats that are counted.
type counters struct {
	fetches, fetchErrors, records, bytes, commits, commitErrors, generations, outOfRange, damaged, abandoned atomic.Uint64
}

// errNotJoined is the state before the first generation and between two.
var errNotJoined = errors.New("joining the consumer group")

// NewSource checks the configuration; nothing is opened before Run.
func (c *Cluster) NewSource(cfg SourceConfig) (*Source, error) {
	var topics []string
	var weights []int
	cfg.Lanes = slices.Clone(cfg.Lanes)
	for i, l := range cfg.Lanes {
		if l.Weight < 0 {
			return nil, fmt.Errorf("source of group %s: lane %d has a negative weight", cfg.Group, i)
		}
		cfg.Lanes[i].Weight = cmp.Or(l.Weight, 1)
		weights = append(weights, cfg.Lanes[i].Weight)
		topics = append(topics, l.Topics...)
	}
	sorted := slices.Sorted(slices.Values(topics))
	switch {
	case cfg.Group == "":
		return nil, errors.New("source has no group")
	case len(topics) == 0:
		return nil, fmt.Errorf("source of group %s has no topic", cfg.Group)
	case len(slices.Compact(sorted)) != len(topics):
		return nil, fmt.Errorf("source of group %s names a topic twice", cfg.Group)
	case len(c.brokers) == 0:
		return nil, fmt.Errorf("source of group %s: no broker is configured", cfg.Group)
	}
	cfg.MaxRecords = cmp.Or(cfg.MaxRecords, 8192)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 32<<20)
	cfg.PartitionWindow = cmp.Or(cfg.PartitionWindow, 4096)
	cfg.BatchRecords = cmp.Or(cfg.BatchRecords, 512)
	cfg.SessionTimeout = cmp.Or(cfg.SessionTimeout, 10*time.Second)
	cfg.RebalanceTimeout = cmp.Or(cfg.RebalanceTimeout, cfg.SessionTimeout)
	// Heartbeats stop at a revoke: a longer drain could be evicted before it commits.
	longest := min(cfg.SessionTimeout, cfg.RebalanceTimeout) / 2
	cfg.DrainTimeout = min(cmp.Or(cfg.DrainTimeout, longest), longest)
	cfg.CommitInterval = cmp.Or(cfg.CommitInterval, 200*time.Millisecond)
	cfg.PartitionWatch = cmp.Or(cfg.PartitionWatch, 5*time.Second)
	if cfg.MaxRecords < 0 || cfg.MaxBytes < 0 || cfg.PartitionWindow < 0 || cfg.BatchRecords < 0 {
		return nil, fmt.Errorf("source of group %s has a negative limit", cfg.Group)
	}
	log := c.log.With(zap.String("group", cfg.Group))
	return &Source{
		cluster: c, cfg: cfg, topics: topics,
		meter:    newMeter(cfg.MaxRecords, cfg.MaxBytes, cfg.Budget, weights),
		log:      log,
		handling: make(chan struct{}, 1),
		absent:   trouble{log: log, begins: "not reading", ends: "reading again"},
		reading:  trouble{log: log, begins: "partition cannot be read", ends: "all partitions are read again"},
		commits:  trouble{log: log, begins: "offsets cannot be committed", ends: "offsets are committed again"},
		left:     map[topicPartition]leftover{},
		seen:     map[topicPartition]seen{},
		ids:      map[topicPartition]topicID{},
		replaced: map[topicID]struct{}{},
		idle:     errNotJoined,
	}, nil
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
func (s *Source) Lag() []PartitionLag {
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	if g == nil {
		return nil
	}
	return g.lag()
}

// InFlight returns what is buffered or handed out and not acknowledged.
func (s *Source) InFlight() (records, bytes int) { return s.meter.inFlight() }

// Ready says why nothing is read now; nil when all is well.
func (s *Source) Ready() error {
	s.mu.Lock()
	g, idle := s.current, s.idle
	s.mu.Unlock()
	if g != nil {
		idle = g.trouble(time.Now())
	}
	if idle != nil {
		return fmt.Errorf("group %s: %w", s.cfg.Group, idle)
	}
	return nil
}

// SourceStats counts since the source was made.
type SourceStats struct {
	Fetches, FetchErrors  uint64 // requests; errors of single partitions count too
	Records, Bytes        uint64 // accepted into the buffer
	Commits, CommitErrors uint64 // requests
	Generations           uint64
	OutOfRange            uint64 // partitions reset: their offset was not in the log, or not in the one that was read
	Damaged               uint64 // record batches that could not be read, and were handed on as one record each
	Abandoned             uint64 // records not settled when a drain ran out of time
	InFlightRecords       int
	InFlightBytes         int
}

// Stats returns the counts.
func (s *Source) Stats() SourceStats {
	records, bytes := s.InFlight()
	return SourceStats{
		Fetches: s.stats.fetches.Load(), FetchErrors: s.stats.fetchErrors.Load(),
		Records: s.stats.records.Load(), Bytes: s.stats.bytes.Load(),
		Commits: s.stats.commits.Load(), CommitErrors: s.stats.commitErrors.Load(),
		Generations: s.stats.generations.Load(), OutOfRange: s.stats.outOfRange.Load(),
		Damaged: s.stats.damaged.Load(), Abandoned: s.stats.abandoned.Load(),
		InFlightRecords: records, InFlightBytes: bytes,
	}
}
