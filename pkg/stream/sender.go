package stream

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"go.uber.org/zap"
)

const (
	// minLinger and maxLinger bound how long the first record of a request waits for others: unnoticed when it is idle,
	// and at 8,000 records/s long enough to halve the cost of a record.
	minLinger = time.Millisecond
	maxLinger = 20 * time.Millisecond
	// flushBytes are worth a request at once.
	flushBytes = 256 << 10
	// maxProduceBytes bounds a request before compression, and so what building it takes.
	maxProduceBytes = 4 << 20
	// ackTimeout is how long a broker waits for its followers. One that has died is waited for until the controller gives
	// it up, after 9 s by default (broker.session.timeout.ms); a time-out before that would write everything again.
	ackTimeout = 12 * time.Second
	// produceTimeout bounds a request, and so how long a broker that is silent holds up the partitions that it leads.
	produceTimeout = 15 * time.Second
	// leaderWatch is how often it is looked, while a broker is silent, whether it leads anything of the request any more.
	leaderWatch = time.Second
)

// sender writes to the partitions that one broker leads: one request in flight, with all of them.
type sender struct {
	p      *Publisher
	broker int32
	wake   chan struct{} // there is something to send
	full   chan struct{} // there is enough to send it now
	pace   pacer

	offered int       // bytes since the last request; guarded by p.mu
	since   time.Time // when the first of them came; guarded by p.mu
}

// offer says that records were queued; guarded by p.mu.
func (s *sender) offer(bytes int) {
	if s.offered == 0 {
		s.since = time.Now()
		notify(s.wake)
	}
	if s.offered += bytes; s.offered >= flushBytes || s.p.closed {
		notify(s.full)
	}
}

func (s *sender) run() {
	for {
		select {
		case <-s.p.ctx.Done():
			return
		case <-s.wake:
		}
		for again := true; again && s.p.ctx.Err() == nil; {
			s.linger()
			again = s.send()
		}
	}
}

// linger waits for more, counted from the first record that is not in a request.
func (s *sender) linger() {
	s.p.mu.Lock()
	wait := max(minLinger, s.pace.pause(maxLinger)) - time.Since(s.since)
	if s.p.closed || s.offered >= flushBytes {
		wait = 0
	}
	s.p.mu.Unlock()
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.p.ctx.Done():
	case <-s.full:
	case <-t.C:
	}
}

// parcel is one partition's part of a request.
type parcel struct {
	box   *outbox
	batch []*outgoing
}

// send writes one request, and says whether there is more to send.
func (s *sender) send() (again bool) {
	parcels, more := s.collect()
	if len(parcels) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(s.p.ctx, produceTimeout)
	defer cancel()
	s.p.wg.Go(func() { s.watch(ctx, parcels, cancel) })
	s.p.stats.requests.Add(1)
	res, err := s.p.cluster.transport.RoundTrip(ctx, s.p.cluster.addr, request(parcels))
	if err != nil {
		s.p.stats.requestErrors.Add(1)
	}
	codes := map[topicPartition]int16{}
	if r, ok := res.(*produce.Response); ok {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes[topicPartition{t.Topic, p.Partition}] = p.ErrorCode
			}
		}
	}
	sent := 0
	for _, parcel := range parcels {
		code, answered := codes[parcel.box.topicPartition]
		switch {
		case err != nil:
			s.putBack(parcel, err)
		case !answered:
			s.putBack(parcel, errNotAnswered)
		default:
			sent += s.settle(parcel, code)
		}
	}
	s.pace.observe(time.Now(), sent)
	return more
}

// watch gives a request up once other brokers lead all of its partitions: its broker is frozen, or cut off.
func (s *sender) watch(ctx context.Context, parcels []parcel, giveUp func()) {
	for sleep(ctx, leaderWatch) {
		topics := make([]string, len(parcels))
		for i, p := range parcels {
			topics[i] = p.box.topic
		}
		leaders, err := s.p.cluster.leaders(ctx, topics)
		if err == nil && !slices.ContainsFunc(parcels, func(p parcel) bool {
			leader, ok := leaders[p.box.topicPartition]
			return !ok || leader == s.broker
		}) {
			giveUp()
			return
		}
	}
}

// collect takes what is to be sent now, and says whether something is left for the next request.
func (s *sender) collect() (parcels []parcel, more bool) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.offered = 0
	select {
	case <-s.full:
	default:
	}
	total := 0
	for _, t := range s.p.topics {
		for _, b := range t.partitions {
			if b.leader != s.broker || len(b.queue) == 0 {
				continue
			}
			if total >= maxProduceBytes {
				more = true
				continue
			}
			batch := b.batch()
			parcels = append(parcels, parcel{b, batch})
			for _, o := range batch {
				total += o.size
			}
			more = more || len(batch) < len(b.queue)
		}
	}
	return parcels, more
}

// request builds one produce request.
func request(parcels []parcel) *produce.Request {
	req := &produce.Request{Acks: int16(kafka.RequireAll), Timeout: int32(ackTimeout.Milliseconds())}
	at := map[string]int{}
	for _, p := range parcels {
		i, ok := at[p.box.topic]
		if !ok {
			i = len(req.Topics)
			at[p.box.topic] = i
			req.Topics = append(req.Topics, produce.RequestTopic{Topic: p.box.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, produce.RequestPartition{
			Partition: p.box.partition,
			RecordSet: protocol.RecordSet{Version: 2, Attributes: protocol.Snappy, Records: &outgoingReader{batch: p.batch}},
		})
	}
	return req
}

// settle ends a partition's batch, or keeps it for another try, and returns how many records were written.
func (s *sender) settle(p parcel, code int16) int {
	err, retry := verdictOf(code, p.box.topic)
	switch {
	case retry:
		s.putBack(p, err)
		return 0
	case err != nil && len(p.batch) > 1:
		// One record spoils its batch: each goes alone, so that only that one fails.
		s.p.mu.Lock()
		p.box.single = len(p.batch)
		s.offer(p.box.bytes)
		s.p.mu.Unlock()
		return 0
	}
	s.p.mu.Lock()
	p.box.pop(len(p.batch))
	p.box.recovered()
	s.p.mu.Unlock()
	s.p.finish(p.batch, err)
	if err != nil {
		return 0
	}
	return len(p.batch)
}

// putBack leaves a batch at the head of its partition for another try, by whoever leads it then.
func (s *sender) putBack(p parcel, err error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if p.box.failures == 0 { // most are over in a moment; what lasts is logged by report
		s.p.log.Debug("partition cannot be written now", zap.String("topic", p.box.topic),
			zap.Int32("partition", p.box.partition), zap.Error(err))
	}
	s.p.stats.retries.Add(1)
	p.box.fail(time.Now(), err)
	notify(s.p.place)
}
