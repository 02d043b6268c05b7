package stream

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

const (
	// fetchWait is how long a broker may hold a request that has nothing to answer. It bounds a revoke, too: a
	// connection is busy that long.
	fetchWait = 250 * time.Millisecond
	// fetchWaitPartial is the same while some partitions are left out because they have no room: theirs comes back in
	// milliseconds, and the next request must not wait for the others.
	fetchWaitPartial = 10 * time.Millisecond
	// starvedPoll is how often room is looked for while no partition has any. Records that are settled wake the fetcher
	// at once; this is for a budget that another source gave back.
	starvedPoll = 10 * time.Millisecond

	// maxFetchPause is the longest pause after a response that was small but not empty.
	maxFetchPause = 10 * time.Millisecond
	// bulkResponse is the number of records from which on a response was not small, and a pause saves nothing.
	bulkResponse = 400

	// What a request asks for: every lane and broker holds one response at a time.
	maxFetchBytes     = 2 << 20
	maxPartitionBytes = 1 << 20
	minFetchBytes     = 16 << 10
)

// fetcher reads the partitions of one lane that one broker leads, all in one request.
type fetcher struct {
	g      *generation
	lane   *lane
	broker int32
	turn   int // which partition comes first: brokers fill a response in the order of the request
	pace   pacer
}

func (f *fetcher) run(ctx context.Context) {
	f.pace.last = time.Now()
	for ctx.Err() == nil {
		if resumed := f.g.source.paused.wait(); resumed != nil {
			f.rest(ctx, resumed)
			continue
		}
		plan, state := f.plan(time.Now())
		switch state {
		case planNone:
			return
		case planStarved:
			f.starve(ctx)
			continue
		}
		wait := fetchWait
		if state == planPartial {
			wait = fetchWaitPartial
		}
		f.g.source.stats.fetches.Add(1)
		answer, err := f.g.source.cluster.fetch(ctx, plan.request, wait, plan.maxBytes)
		if err != nil {
			f.failed(ctx, plan.partitions, err)
			continue
		}
		records := f.absorb(plan.partitions, answer)
		answer.release()
		f.pace.observe(time.Now(), records)
		if records > 0 && records < bulkResponse {
			sleep(ctx, f.pace.pause(maxFetchPause))
		}
	}
}

type planState int

const (
	planNone    planState = iota // the broker leads none of the lane's partitions any more
	planStarved                  // it leads some, and none has room
	planPartial                  // some are left out for want of room
	planFull                     // all that can be read are in
)

type fetchPlan struct {
	partitions []*partition
	request    []fetchPartition
	maxBytes   int32
}

// plan picks the partitions to ask for and marks them as being fetched.
func (f *fetcher) plan(now time.Time) (fetchPlan, planState) {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	var plan fetchPlan
	led := 0
	bytes, idle := f.lane.usage.worthFetching()
	partial := false
	n := len(f.lane.partitions)
	for i := range n {
		p := f.lane.partitions[(f.turn+i)%n]
		if p.leader != f.broker || !p.located {
			continue
		}
		led++
		if now.Before(p.retryAt) {
			continue
		}
		if bytes == 0 || p.fetching || !idle && p.needs > bytes ||
			p.win.room(p.offset) <= int64(f.g.source.cfg.PartitionWindow/4) {
			partial = true
			continue
		}
		plan.partitions = append(plan.partitions, p)
	}
	if led == 0 {
		delete(f.lane.fetchers, f.broker)
		return plan, planNone
	}
	if len(plan.partitions) == 0 {
		return plan, planStarved
	}
	f.turn++
	each := min(max(bytes/len(plan.partitions), minFetchBytes), maxPartitionBytes)
	plan.maxBytes = int32(min(max(bytes, minFetchBytes), maxFetchBytes))
	for _, p := range plan.partitions {
		p.fetching = true
		plan.request = append(plan.request, fetchPartition{p.topicPartition, p.offset, int32(each)})
	}
	if partial {
		return plan, planPartial
	}
	return plan, planFull
}

func (f *fetcher) starve(ctx context.Context) {
	t := time.NewTimer(starvedPoll)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-f.lane.room:
	case <-t.C:
	}
}

// failed sends every partition of a request that got no answer through placement again.
func (f *fetcher) failed(ctx context.Context, partitions []*partition, err error) {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	now := time.Now()
	for _, p := range partitions {
		p.fetching = false
		if ctx.Err() == nil {
			p.fail(now, err)
			f.g.suspect(p)
		}
	}
	if ctx.Err() != nil {
		return
	}
	f.g.source.stats.fetchErrors.Add(1)
	f.g.source.log.Debug("fetch failed", zap.Int32("broker", f.broker), zap.Error(err))
}

// fail backs off from 10 ms to a second, doubling.
func (p *partition) fail(now time.Time, err error) {
	if p.failingSince.IsZero() {
		p.failingSince = now
	}
	p.err = err
	p.retryAt = now.Add(min(10*time.Millisecond<<min(p.failures, 10), time.Second))
	p.failures++
}

func (p *partition) recovered() {
	p.failures, p.failingSince, p.retryAt, p.err = 0, time.Time{}, time.Time{}, nil
}

// absorb takes what fits of an answer into the windows and the lane's queue, and returns how many records that was.
func (f *fetcher) absorb(partitions []*partition, a *answer) (records int) {
	answers := make(map[topicPartition]*fetched, len(a.partitions))
	for i := range a.partitions {
		answers[a.partitions[i].topicPartition] = &a.partitions[i]
	}
	chunks := make([]chunk, 0, len(partitions))
	decoded := make([]decoded, len(partitions))
	bytes := 0
	for i, p := range partitions {
		got := answers[p.topicPartition]
		switch {
		case got == nil:
			decoded[i].err = errNotAnswered
		case got.err != nil:
			decoded[i].err = got.err
		default:
			d := reading{of: p.topicPartition, win: p.win, from: p.offset, givenUp: p.givenUp(time.Now()),
				end: got.highWatermark, epoch: p.epoch, accepted: p.accepted}.decode(got.batches)
			if i == 0 && d.err == nil && d.whole == 0 && len(got.batches) > 0 {
				d.err = errNoWholeBatch // to the first of a request a broker sends at least one
			}
			decoded[i] = d
			if len(d.records) > 0 {
				chunks = append(chunks, chunk{p.win, d.records})
				records += len(d.records)
				bytes += d.bytes
			}
		}
	}
	f.g.source.stats.records.Add(uint64(records))
	f.g.source.stats.bytes.Add(uint64(bytes))

	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	now := time.Now()
	for i, p := range partitions {
		p.fetching = false
		if decoded[i].next > p.offset {
			p.offset, p.epoch = decoded[i].next, decoded[i].epoch
		}
		p.needs = decoded[i].needs
		if got := answers[p.topicPartition]; got != nil && got.err == nil {
			p.highWatermark = got.highWatermark
		}
		if s := decoded[i].salvaged; s != nil {
			f.g.salvaged(p, s)
		}
		switch err := decoded[i].err; {
		case errors.Is(err, errAnotherEpoch):
			p.accepted = decoded[i].another
			f.g.suspect(p)
			continue
		case err != nil:
			f.g.partitionFailed(p, now, err)
			continue
		}
		p.recovered()
	}
	for _, c := range chunks {
		if f.g.draining {
			for _, r := range c.records {
				r.Drop()
			}
			continue
		}
		f.lane.queue = append(f.lane.queue, c)
	}
	if len(chunks) > 0 {
		notify(f.g.queued)
	}
	return records
}

var (
	errNotAnswered  = errors.New("broker left the partition out of its answer")
	errNoWholeBatch = errors.New("broker sends no whole record batch")
	errAnotherEpoch = errors.New("what follows was written in another leader epoch")
)

// damagedAfter is how long a batch that cannot be read is asked for again: one that was sent wrongly comes right, and a
// leader whose disk is bad may lose its leadership.
const damagedAfter = 5 * time.Second

// givenUp returns the offset of a batch that stays damaged; -1 = none. Guarded as the position is.
func (p *partition) givenUp(now time.Time) int64 {
	if p.damagedSince.IsZero() || p.damagedAt != p.offset || now.Sub(p.damagedSince) < damagedAfter {
		return -1
	}
	return p.damagedAt
}

// salvaged says once what became of a damaged batch; guarded by g.mu.
func (g *generation) salvaged(p *partition, s *salvage) {
	p.damagedSince = time.Time{}
	g.source.stats.damaged.Add(1)
	g.source.log.Error("record batch cannot be read: handed on whole, to become a dead letter",
		zap.String("topic", p.topic), zap.Int32("partition", p.partition), zap.Int64("offset", s.from),
		zap.Int64("last", s.last), zap.Error(s.err))
}

// partitionFailed decides what an error of one partition means; guarded by g.mu.
func (g *generation) partitionFailed(p *partition, now time.Time, err error) {
	g.source.stats.fetchErrors.Add(1)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		p.outOfRange = true
		p.fail(now, err)
		g.suspect(p)
		return
	}
	var damaged *damage
	if errors.As(err, &damaged) && (p.damagedSince.IsZero() || p.damagedAt != p.offset) {
		p.damagedAt, p.damagedSince = p.offset, now
	}
	if p.failures == 0 { // most are over in a moment; what lasts is logged by report
		g.source.log.Debug("partition cannot be read now", zap.String("topic", p.topic),
			zap.Int32("partition", p.partition), zap.Error(err))
	}
	p.fail(now, err)
	var code kafka.Error
	if errors.As(err, &code) { // most are about leadership; asking again who leads is never wrong
		g.suspect(p)
	}
}

// decoded is what one partition's answer came to.
type decoded struct {
	records []*Record
	bytes   int
	next    int64 // offset to go on at
	needs   int   // size of the record there, where it had no room
	whole   int   // batches that were there
	epoch   int32 // of the leader that appended the last batch before next
	err     error

	another  int32    // the epoch of errAnotherEpoch
	salvaged *salvage // of the damaged batch that was given up
}

// salvage is a damaged batch that became one record.
type salvage struct {
	from, last int64
	err        error
}

// reading is where to go on in a partition.
type reading struct {
	of      topicPartition
	win     *window
	from    int64
	givenUp int64 // offset of a damaged batch that becomes one record; -1 = none
	end     int64 // offset behind the newest record

	// Leader epochs whose records are known to go on from what was read; epoch is -1 where nothing is known of that.
	epoch, accepted int32
}

// decode reads batches, up to the first record that has no room in the window, and the first batch that is damaged. Where
// they begin with another leader epoch than is known to go on from here, it reads none.
func (at reading) decode(batches []byte) decoded {
	d := decoded{next: at.from}
	var epoch int32
	take := func(r *Record) bool {
		r.owner = at.win
		if !at.win.take(r) {
			d.next, d.needs = r.Offset, r.size
			return false
		}
		d.records = append(d.records, r)
		d.bytes += r.size
		d.next, d.epoch = r.Offset+1, epoch
		return true
	}
	for {
		b, rest, ok, err := nextBatch(batches)
		if !ok {
			return d
		}
		batches = rest
		d.whole++
		if epoch = b.epoch; d.next == at.from && b.last >= at.from && at.epoch >= 0 && epoch != at.epoch && epoch != at.accepted {
			d.err, d.another = errAnotherEpoch, epoch
			return d
		}
		if err == nil {
			err = b.each(at.of.topic, at.of.partition, d.next, take)
		}
		if err != nil && d.next == at.givenUp {
			// Where its header cannot be trusted, what stands behind it says where it ends.
			end := at.end
			if next, _, ok, _ := nextBatch(rest); ok {
				end = min(end, next.first)
			}
			b.last = max(min(b.last, end-1), d.next)
			d.salvaged = &salvage{d.next, b.last, err}
			err = nil
			if !take(b.salvage(at.of.topic, at.of.partition, d.next)) {
				d.salvaged = nil
			}
		}
		if d.err = err; err != nil || d.needs > 0 {
			return d
		}
		if b.last >= d.next {
			d.next, d.epoch = b.last+1, epoch
			at.win.skip(d.next)
		}
	}
}
