package stream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"go.uber.org/zap"
)

// partition is one assigned partition. Everything but the window is guarded by the generation's mutex, or belongs to
// the one goroutine that has set fetching or is resolving its position.
type partition struct {
	topicPartition
	lane *lane
	win  *window // nil until the position is known; replaced when it is reset

	assigned      int64   // what the group had committed; negative = nothing
	located       bool    // offset is known to be in the log
	suspect       bool    // it is to be asked whether the log is still the one that was read
	outOfRange    bool    // it is not in the log
	moved         bool    // it is out of range because the log is another
	renewed       topicID // of the topic that was made in the place of the one that was read, until the position is, too
	valid         int64   // up to where the log is the one that was read, where it moved; negative = nowhere
	epoch         int32   // leader epoch of the last record that was read; -1 = not known
	accepted      int32   // another epoch whose records go on from there; -1 = none
	offset        int64   // next to fetch
	needs         int     // size of the record at offset, where it had no room; 0 = not known
	leader        int32
	fetching      bool
	highWatermark int64

	damagedAt    int64 // offset of a batch that cannot be read
	damagedSince time.Time

	failures     int
	failingSince time.Time // zero = all is well
	retryAt      time.Time
	err          error
}

// lane is one lane's part of a generation.
type lane struct {
	weight     int
	current    int // of the weighted round robin
	usage      *usage
	partitions []*partition
	fetchers   map[int32]bool // by broker
	queue      []chunk
	room       chan struct{} // woken when records were settled
}

// chunk is a run of one partition's records, in order.
type chunk struct {
	win     *window
	records []*Record
}

// generation is one assignment of partitions to this member, from the join to the next one.
type generation struct {
	source *Source
	group  *kafka.Generation
	handle func(context.Context, []*Record)

	divided   map[string]int // partitions by topic that this member dealt out to all; nil = another leads the group
	redivided int            // generations before, in a row, that ended because theirs were wrong

	mu       sync.Mutex
	lanes    []*lane
	all      []*partition
	draining bool

	queued chan struct{} // woken when a queue got records
	place  chan struct{} // woken when a partition lost its leader
	locate chan struct{} // woken when a partition lost its position
	rejoin chan struct{} // woken when there are partitions that nobody was given
	wg     sync.WaitGroup
}

func newGeneration(s *Source, group *kafka.Generation, handle func(context.Context, []*Record)) *generation {
	g := &generation{
		source: s, group: group, handle: handle,
		queued: make(chan struct{}, 1), place: make(chan struct{}, 1), locate: make(chan struct{}, 1),
		rejoin: make(chan struct{}, 1),
	}
	for i, l := range s.cfg.Lanes {
		rt := &lane{weight: l.Weight, usage: s.meter.lanes[i], fetchers: map[int32]bool{}, room: make(chan struct{}, 1)}
		for _, topic := range l.Topics {
			for _, a := range group.Assignments[topic] {
				p := &partition{
					topicPartition: topicPartition{topic, int32(a.ID)}, lane: rt,
					assigned: a.Offset, leader: noLeader, epoch: -1, accepted: -1,
				}
				rt.partitions = append(rt.partitions, p)
				g.all = append(g.all, p)
			}
		}
		g.lanes = append(g.lanes, rt)
	}
	return g
}

// run lives until the generation is revoked, stop ends or the partitions are to be dealt out anew, and then drains and
// commits. While stop drains, the caller keeps the membership alive.
func (g *generation) run(revoked, stop context.Context) {
	fetching, stopFetching := context.WithCancel(context.WithoutCancel(stop))
	handling, stopHandling := context.WithCancel(context.WithoutCancel(stop))
	defer stopHandling()
	g.wg.Go(func() { g.placeLoop(fetching) })
	g.wg.Go(func() { g.locateLoop(fetching) })
	g.wg.Go(func() { g.watchTopics(fetching) })
	g.wg.Go(func() { g.watchDivision(fetching) })
	dispatched := make(chan struct{})
	go func() {
		defer close(dispatched)
		g.dispatch(fetching, handling)
	}()

	tick := time.NewTicker(g.source.cfg.CommitInterval)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-revoked.Done():
			over = true
		case <-stop.Done():
			over = true
		case <-g.rejoin:
			over = true
		case <-tick.C:
			_ = g.commit() // tried again, and logged once
			g.report()
		}
	}
	stopFetching()
	g.drain(stopHandling, dispatched, tick.C)
	g.conclude(stop.Err() != nil)
	g.wg.Wait()
}

// watchDivision ends a generation whose partitions were dealt out wrongly. The broker that the group's leader asks for them
// may not know a new topic yet, or all of its partitions; kafka-go deals out what it was told, and takes what it hears a
// moment later for what it has dealt out. Two looks in a row have to agree, and each generation that did not help makes the
// next one wait twice as long, up to 16 times: the broker may lag for longer.
func (g *generation) watchDivision(ctx context.Context) {
	s := g.source
	for wrong := 0; g.divided != nil && sleep(ctx, s.cfg.PartitionWatch<<min(g.redivided, 4)); {
		m, err := s.cluster.metadata(ctx, s.topics)
		if err != nil {
			continue
		}
		at := slices.IndexFunc(m.Topics, func(t metadata.ResponseTopic) bool {
			return topicError(t) == nil && len(t.Partitions) != g.divided[t.Name]
		})
		if at < 0 {
			wrong, g.redivided = 0, 0
			s.redivide(0)
			continue
		}
		if wrong++; wrong == 2 {
			s.log.Warn("partitions are dealt out wrongly: joining again", zap.String("topic", m.Topics[at].Name),
				zap.Int("partitions", len(m.Topics[at].Partitions)), zap.Int("dealt", g.divided[m.Topics[at].Name]))
			s.redivide(g.redivided + 1)
			notify(g.rejoin)
			return
		}
	}
}

// drainPoll is how often a drain looks whether everything was settled. It happens once a generation.
const drainPoll = 5 * time.Millisecond

// drain waits for what the handler has. What it has not got yet is left to the next owner.
func (g *generation) drain(stopHandling func(), dispatched <-chan struct{}, commitTick <-chan time.Time) {
	limit := g.source.cfg.DrainTimeout
	giveUp := time.AfterFunc(limit*6/10, stopHandling)
	defer giveUp.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()

	g.dropQueued()
	for waiting := true; waiting; {
		select {
		case <-deadline.C:
			waiting = false
		case <-commitTick:
			_ = g.commit() // what is done by now stays done, whatever becomes of the rest
		case <-poll.C:
			select {
			case <-dispatched:
				waiting = g.outstanding() > 0
			default:
			}
		}
	}
	abandoned := 0
	g.mu.Lock()
	for _, p := range g.all {
		if p.win != nil {
			abandoned += p.win.close()
		}
	}
	g.mu.Unlock()
	if abandoned > 0 {
		g.source.stats.abandoned.Add(uint64(abandoned))
		g.source.log.Warn("drain ran out of time: records will be read again", zap.Int("records", abandoned))
	}
}

// dropQueued ends dispatching and gives up what was not handed out.
func (g *generation) dropQueued() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	for _, l := range g.lanes {
		for _, c := range l.queue {
			for _, r := range c.records {
				r.Drop()
			}
		}
		l.queue = nil
	}
}

func (g *generation) outstanding() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.all {
		if p.win != nil {
			n += p.win.outstanding()
		}
	}
	return n
}

// lag is the state of every partition that has a position.
func (g *generation) lag() []PartitionLag {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]PartitionLag, 0, len(g.all))
	for _, p := range g.all {
		if p.win == nil {
			continue
		}
		base, _ := p.win.uncommitted()
		end := max(p.highWatermark, base)
		out = append(out, PartitionLag{Topic: p.topic, Partition: p.partition, Committed: base, End: end, Lag: end - base})
	}
	return out
}

// troubleAfter is how long a partition may fail before readiness says so: a leader's move takes less.
const troubleAfter = 3 * time.Second

// trouble is the longest-lasting error of a partition.
func (g *generation) trouble(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var worst *partition
	for _, p := range g.all {
		if !p.failingSince.IsZero() && now.Sub(p.failingSince) >= troubleAfter &&
			(worst == nil || p.failingSince.Before(worst.failingSince)) {
			worst = p
		}
	}
	if worst == nil {
		return nil
	}
	return partitionError{worst.topicPartition, worst.err}
}

// report logs what readiness says, when it changes.
func (g *generation) report() {
	if err := g.trouble(time.Now()); err != nil {
		g.source.reading.failed(err)
		return
	}
	g.source.reading.over()
}
