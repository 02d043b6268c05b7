package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
)

// ByKey as [Message.Partition] chooses the partition from the key.
const ByKey int32 = -1

// Message is a record to be written. Its bytes belong to the publisher until done was called. Its time is the moment in
// which its request is built; on a topic with LogAppendTime the broker sets it.
type Message struct {
	Topic      string
	Key, Value []byte // nil = null
	Headers    []Header
	Partition  int32 // ByKey: by murmur2 of the key, or in turn where the key is nil

	// PartitionKey takes the key's place where ByKey chooses the partition: a compacted topic keeps the last value of a
	// key, and may still have to keep several keys on one partition. nil = the key.
	PartitionKey []byte

	// Time is the record's, to the millisecond; zero = when it is sent. A topic with LogAppendTime takes the broker's.
	Time time.Time
}

// size is what the message's bytes take, key and headers included.
func (m *Message) size() int {
	n := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += headerOverhead + len(h.Key) + len(h.Value)
	}
	return n
}

// The ends of a message that was not written.
var (
	ErrTooLarge = errors.New("record is larger than its topic takes")
	ErrRefused  = errors.New("broker refuses the record")
	ErrClosed   = errors.New("publisher is closed")
)

// PublisherConfig bounds a Publisher. Zero values are the defaults named.
type PublisherConfig struct {
	MaxBytes       int // buffered and in flight; 32 MiB
	MaxRecordBytes int // largest record, key and headers included; what dead topics take: twice [MaxRecordBytes]
}

// Publisher writes records. It is safe for concurrent use.
type Publisher struct {
	cluster *Cluster
	cfg     PublisherConfig
	log     *zap.Logger
	stats   publisherCounters
	bytes   *semaphore.Weighted
	writing trouble // records that cannot be written

	mu      sync.Mutex
	topics  map[string]*topicOutbox
	senders map[int32]*sender
	queued  int // records not done yet
	size    int // their bytes
	closed  bool
	empty   chan struct{} // closed when closed and nothing is queued

	place  chan struct{} // woken when an outbox has records and no leader
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type publisherCounters struct {
	requests, requestErrors, records, bytes, retries, failed atomic.Uint64
}

// NewPublisher returns a publisher, whether a broker answers or not. It has to be closed.
func (c *Cluster) NewPublisher(cfg PublisherConfig) *Publisher {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 32<<20)
	cfg.MaxRecordBytes = cmp.Or(cfg.MaxRecordBytes, deadRecordBytes)
	p := &Publisher{
		cluster: c, cfg: cfg, log: c.log,
		bytes:   semaphore.NewWeighted(int64(cfg.MaxBytes)),
		writing: trouble{log: c.log, begins: "records cannot be written", ends: "records are written again"},
		topics:  map[string]*topicOutbox{},
		senders: map[int32]*sender{},
		empty:   make(chan struct{}),
		place:   make(chan struct{}, 1),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.placeLoop)
	return p
}

// Publish queues m and calls done once, from another goroutine: with nil when m is durable on all in-sync replicas,
// with an error when it can never be, or when ctx ended or the publisher was closed before it was queued or written
// (after Close it may have been written all the same). done must not block. Publish blocks while the buffer is full.
// Everything that can heal is retried until Close, a topic that does not exist included.
func (p *Publisher) Publish(ctx context.Context, m Message, done func(error)) {
	o := &outgoing{key: m.Key, value: m.Value, headers: m.Headers, partition: m.Partition, partitionKey: m.Key, time: m.Time, done: done}
	if m.PartitionKey != nil {
		o.partitionKey = m.PartitionKey
	}
	o.size = recordOverhead + m.size()
	if o.size > p.cfg.MaxRecordBytes+recordOverhead {
		p.refuse(o, fmt.Errorf("%w: %d bytes to %s", ErrTooLarge, o.size-recordOverhead, m.Topic))
		return
	}
	o.weight = int64(min(o.size, p.cfg.MaxBytes))
	if err := p.bytes.Acquire(ctx, o.weight); err != nil {
		p.refuse(o, fmt.Errorf("publishing to %s: %w", m.Topic, err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.bytes.Release(o.weight)
		p.refuse(o, ErrClosed)
		return
	}
	p.queued++
	p.size += o.size
	t := p.topics[m.Topic]
	if t == nil {
		t = &topicOutbox{name: m.Topic, partitions: map[int32]*outbox{}}
		p.topics[m.Topic] = t
	}
	if m.Partition < 0 && t.count == 0 {
		t.waiting = append(t.waiting, o)
		notify(p.place)
		return
	}
	p.enqueue(t.choose(m.Partition, o.partitionKey), o)
}

// refuse ends a message that was not queued.
func (p *Publisher) refuse(o *outgoing, err error) {
	p.stats.failed.Add(1)
	go o.done(err)
}

// enqueue adds to a partition and wakes who sends it; guarded by p.mu.
func (p *Publisher) enqueue(b *outbox, o *outgoing) {
	b.queue = append(b.queue, o)
	b.bytes += o.size
	if s := p.senders[b.leader]; s != nil {
		s.offer(o.size)
	} else {
		notify(p.place)
	}
}

// finish ends messages that were queued.
func (p *Publisher) finish(batch []*outgoing, err error) {
	if len(batch) == 0 {
		return
	}
	bytes, weight := 0, int64(0)
	for _, o := range batch {
		o.done(err)
		bytes += o.size
		weight += o.weight
	}
	if err == nil {
		p.stats.records.Add(uint64(len(batch)))
		p.stats.bytes.Add(uint64(bytes))
	} else {
		p.stats.failed.Add(uint64(len(batch)))
	}
	p.bytes.Release(weight)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued -= len(batch)
	p.size -= bytes
	if p.closed && p.queued == 0 {
		close(p.empty)
	}
}

// Close writes what is queued until ctx ends, and fails what is left with ErrClosed. It is called once; its error says
// that something was left.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	if p.queued == 0 {
		close(p.empty)
	}
	for _, s := range p.senders {
		notify(s.full) // no use in waiting for more
	}
	p.mu.Unlock()
	var err error
	select {
	case <-p.empty:
	case <-ctx.Done():
		err = fmt.Errorf("closing the publisher: %w", ctx.Err())
	}
	p.cancel()
	p.wg.Wait()
	p.mu.Lock()
	var left []*outgoing
	for _, t := range p.topics {
		left = append(left, t.waiting...)
		for _, b := range t.partitions {
			left = append(left, b.queue...)
		}
	}
	p.topics = nil
	p.mu.Unlock()
	p.finish(left, ErrClosed)
	return err
}

// Ready says why something has not been written for a while; nil when all is well.
func (p *Publisher) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, t := range p.topics {
		if len(t.waiting) > 0 && !t.missingSince.IsZero() && now.Sub(t.missingSince) >= troubleAfter {
			return fmt.Errorf("publishing to %s: %w", t.name, t.err)
		}
		for _, b := range t.partitions {
			if !b.failingSince.IsZero() && now.Sub(b.failingSince) >= troubleAfter {
				return fmt.Errorf("publishing to %w", partitionError{b.topicPartition, b.err})
			}
		}
	}
	return nil
}

// PublisherStats counts since the publisher was made.
type PublisherStats struct {
	Requests, RequestErrors uint64
	Records, Bytes          uint64 // written
	Retries                 uint64 // batches of a partition that were put back
	Failed                  uint64 // records whose done got an error
	QueuedRecords           int    // waiting or in flight now
	QueuedBytes             int
}

// Stats returns the counts.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	queued, size := p.queued, p.size
	p.mu.Unlock()
	return PublisherStats{
		Requests: p.stats.requests.Load(), RequestErrors: p.stats.requestErrors.Load(),
		Records: p.stats.records.Load(), Bytes: p.stats.bytes.Load(),
		Retries: p.stats.retries.Load(), Failed: p.stats.failed.Load(),
		QueuedRecords: queued, QueuedBytes: size,
	}
}
