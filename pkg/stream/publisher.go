package stream

import (
	"context"
	"errors"
)

// ByKey as [Message.Partition] chooses the partition from the key.
const ByKey int32 = -1

// Message is a record to be written. Its bytes belong to the publisher until done was called.
type Message struct {
	Topic      string
	Key, Value []byte // nil = null
	Headers    []Header
	Partition  int32 // ByKey: by murmur2 of the key, or any partition where the key is nil
}

// The ends of a message that was not written.
var (
	ErrTooLarge = errors.New("record is larger than its topic takes")
	ErrClosed   = errors.New("publisher is closed")
	ErrRefused  = errors.New("broker refuses the record")
)

// PublisherConfig bounds a Publisher. Zero values are the defaults named.
type PublisherConfig struct {
	MaxBytes       int // buffered and in flight; 64 MiB
	MaxRecordBytes int // largest record, key and headers included; 2 MiB and 64 KiB, which is what dead topics take
}

// Publisher writes records. It is safe for concurrent use.
type Publisher struct{}

// NewPublisher returns a publisher, whether a broker answers or not.
func (c *Cluster) NewPublisher(cfg PublisherConfig) *Publisher { return &Publisher{} }

// Publish queues m and calls done once, from another goroutine: with nil when m is durable on all in-sync replicas,
// with an error when it can never be, or when ctx ended or the publisher was closed before it was queued or written
// (after Close it may have been written all the same). done must not block. Publish blocks while the buffer is full.
// Everything that can heal is retried until Close, a topic that does not exist included.
func (p *Publisher) Publish(ctx context.Context, m Message, done func(error)) {
	go done(errors.ErrUnsupported)
}

// Close writes what is queued until ctx ends, and fails what is left with ErrClosed.
func (p *Publisher) Close(ctx context.Context) error { return nil }

// Ready says why nothing can be written now; nil when all is well.
func (p *Publisher) Ready() error { return nil }

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
func (p *Publisher) Stats() PublisherStats { return PublisherStats{} }
