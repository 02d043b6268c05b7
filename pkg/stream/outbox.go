package stream

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// outgoing is a message on its way.
type outgoing struct {
	key, value   []byte
	headers      []Header
	partition    int32     // asked for; negative = any
	partitionKey []byte    // by which it is chosen then
	time         time.Time // zero = when it is sent
	size         int
	weight       int64 // of the publisher's byte limit
	done         func(error)
}

// topicOutbox is what a publisher holds for one topic; guarded by the publisher's mutex.
type topicOutbox struct {
	name       string
	count      int // partitions; 0 = not known yet
	partitions map[int32]*outbox
	waiting    []*outgoing // by key, while count is not known
	turn       int32       // for records without a key

	missingSince time.Time
	err          error
}

// outbox is what a publisher holds for one partition; guarded by the publisher's mutex.
type outbox struct {
	topicPartition
	leader int32 // changes only while none of its records is in a request, so that order is kept
	queue  []*outgoing
	bytes  int
	single int // so many records go one by one, to find the one that the broker does not take

	failures     int
	failingSince time.Time
	retryAt      time.Time
	err          error
}

// choose returns the outbox for a message.
func (t *topicOutbox) choose(partition int32, key []byte) *outbox {
	switch {
	case partition >= 0:
	case key == nil:
		partition = t.turn % int32(t.count)
		t.turn = (t.turn + 1) % int32(t.count)
	default:
		partition = Murmur2Partition(key, t.count)
	}
	b := t.partitions[partition]
	if b == nil {
		b = &outbox{topicPartition: topicPartition{t.name, partition}, leader: noLeader}
		t.partitions[partition] = b
	}
	return b
}

// shrink chooses anew for what waits for partitions that are no more: the topic was made anew with fewer. What is in a
// request is left to its end, and what asked for such a partition by its number waits.
func (t *topicOutbox) shrink(count int) {
	for id, b := range t.partitions {
		if int(id) < count || b.leader != noLeader {
			continue
		}
		b.queue = slices.DeleteFunc(b.queue, func(o *outgoing) bool {
			if o.partition < 0 {
				t.waiting = append(t.waiting, o)
				b.bytes -= o.size
			}
			return o.partition < 0
		})
	}
}

// maxBatch bounds what one partition adds to a request, before compression; a larger record goes alone. Half of what
// topics take, so that a batch is never refused for its size.
const maxBatch = 512 << 10

// batch returns the first records, as many as go into one request. They stay in the queue until pop.
func (b *outbox) batch() []*outgoing {
	size := 0
	for i, o := range b.queue {
		if size += o.size; i > 0 && (size > maxBatch || b.single > 0) {
			return slices.Clone(b.queue[:i])
		}
	}
	return slices.Clone(b.queue)
}

// pop removes the first n records.
func (b *outbox) pop(n int) {
	for _, o := range b.queue[:n] {
		b.bytes -= o.size
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	if len(b.queue) == 0 {
		b.queue = nil
	}
	b.single = max(0, b.single-n)
}

// fail backs off from 20 ms to a second, doubling.
func (b *outbox) fail(now time.Time, err error) {
	if b.failingSince.IsZero() {
		b.failingSince = now
	}
	b.err = err
	b.retryAt = now.Add(min(20*time.Millisecond<<min(b.failures, 10), time.Second))
	b.failures++
	b.leader = noLeader
}

func (b *outbox) recovered() {
	b.failures, b.failingSince, b.retryAt, b.err = 0, time.Time{}, time.Time{}, nil
}

const (
	// recountInterval is how often the number of partitions is looked at again.
	recountInterval = 5 * time.Second
	// reportInterval is how often it is looked whether there is a trouble to log.
	reportInterval = time.Second
)

// placeLoop finds leaders for outboxes that have none, and starts the senders they need.
func (p *Publisher) placeLoop() {
	recount, report := time.NewTicker(recountInterval), time.NewTicker(reportInterval)
	defer recount.Stop()
	defer report.Stop()
	for placed := false; p.ctx.Err() == nil; {
		var retry <-chan time.Time
		if !placed {
			retry = time.After(placeRetry)
		}
		select {
		case <-p.ctx.Done():
			return
		case <-report.C:
			p.report()
			continue
		case <-retry:
		case <-p.place:
		case <-recount.C:
		}
		placed = p.placeAll()
	}
}

// report logs what readiness says, when it changes.
func (p *Publisher) report() {
	if err := p.Ready(); err != nil {
		p.writing.failed(err)
		return
	}
	p.writing.over()
}

// placeAll says whether every outbox that has records has a leader now.
func (p *Publisher) placeAll() bool {
	p.mu.Lock()
	names := make([]string, 0, len(p.topics))
	for name := range p.topics {
		names = append(names, name)
	}
	p.mu.Unlock()
	if len(names) == 0 {
		return true
	}
	layout, err := p.layout(names)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	placed := true
	for _, name := range names {
		t := p.topics[name]
		if leaders := layout[name]; len(leaders) > 0 {
			t.shrink(len(leaders))
			t.count, t.missingSince, t.err = len(leaders), time.Time{}, nil
		} else if t.count == 0 {
			placed = placed && len(t.waiting) == 0
			if t.missingSince.IsZero() {
				t.missingSince = now
			}
			if t.err = err; err == nil {
				t.err = ErrNoTopic
			}
		}
		if t.count > 0 {
			for _, o := range t.waiting {
				p.enqueue(t.choose(ByKey, o.partitionKey), o)
			}
			t.waiting = nil
		}
		for _, b := range t.partitions {
			placed = p.placeOne(b, layout[name], now, err) && placed
		}
	}
	return placed
}

// placeOne says whether an outbox has a leader, or needs none now; guarded by p.mu.
func (p *Publisher) placeOne(b *outbox, leaders []int32, now time.Time, err error) bool {
	switch {
	case b.leader != noLeader || len(b.queue) == 0:
		return true
	case now.Before(b.retryAt):
		return false
	case int(b.partition) >= len(leaders) || leaders[b.partition] == noLeader:
		if err == nil {
			err = kafka.LeaderNotAvailable
		}
		b.fail(now, err)
		return false
	}
	b.leader = leaders[b.partition]
	s := p.senders[b.leader]
	if s == nil {
		s = &sender{p: p, broker: b.leader, wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
		s.pace.last = now
		p.senders[b.leader] = s
		p.wg.Go(s.run)
	}
	s.offer(b.bytes)
	return true
}

// layout returns each topic's leaders by partition; a topic that does not exist is absent.
func (p *Publisher) layout(topics []string) (map[string][]int32, error) {
	m, err := p.cluster.metadata(p.ctx, topics)
	if err != nil {
		return nil, err
	}
	out := map[string][]int32{}
	for _, t := range m.Topics {
		if topicError(t) != nil {
			continue
		}
		leaders := make([]int32, len(t.Partitions))
		for i := range leaders {
			leaders[i] = noLeader
		}
		for _, partition := range t.Partitions {
			if i := int(partition.PartitionIndex); i < len(leaders) && partition.ErrorCode == 0 {
				leaders[i] = partition.LeaderID
			}
		}
		out[t.Name] = leaders
	}
	return out, nil
}

// outgoingReader gives a batch to kafka-go's encoder, one record at a time and without copying. The encoder is done
// with a record before it asks for the next.
type outgoingReader struct {
	batch      []*outgoing
	record     protocol.Record
	key, value payload
}

// ReadRecord implements protocol.RecordReader.
func (r *outgoingReader) ReadRecord() (*protocol.Record, error) {
	if len(r.batch) == 0 {
		return nil, io.EOF
	}
	o := r.batch[0]
	r.batch = r.batch[1:]
	r.record = protocol.Record{Headers: o.headers, Time: o.time} // a zero time: the encoder takes its own
	if o.key != nil {
		r.key.Reset(o.key)
		r.record.Key = &r.key
	}
	if o.value != nil {
		r.value.Reset(o.value)
		r.record.Value = &r.value
	}
	return &r.record, nil
}

// payload is a protocol.Bytes that can be used again.
type payload struct{ bytes.Reader }

// Close implements protocol.Bytes.
func (*payload) Close() error { return nil }

// verdictOf says what an error code means for a batch: nil = written, or not yet (retry), or never.
func verdictOf(code int16, topic string) (err error, retry bool) {
	switch e := kafka.Error(code); e {
	case 0:
		return nil, false
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return fmt.Errorf("%w: %s: %w", ErrTooLarge, topic, e), false
	case kafka.InvalidRecord, kafka.InvalidTopic, kafka.UnsupportedForMessageFormat:
		return fmt.Errorf("%w: %s: %w", ErrRefused, topic, e), false
	default:
		// A topic that does not exist and a missing permission heal when an operator mends them, and everything that is
		// published here is better late than lost.
		return e, true
	}
}
