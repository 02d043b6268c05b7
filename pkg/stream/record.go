package stream

import (
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// Header is one header of a record: Key string, Value []byte.
type Header = protocol.Header

// Record is one record as read. Its bytes are its own: nothing is reused after Ack.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // set by the producer; by the broker on a topic with LogAppendTime
	Key       []byte    // nil = null
	Value     []byte    // nil = null
	Headers   []Header

	size    int
	owner   owner
	settled bool // acknowledged or dropped; the owner's
}

// owner is told what became of a record.
type owner interface {
	ack(r *Record)
	drop(r *Record)
}

// recordOverhead is what a record in flight costs besides its bytes: the structs and slice headers.
const recordOverhead = 160

// Ack says that everything derived from the record is durable. To be called once, from any goroutine; it never blocks.
// After the record's generation ended it does nothing, and so it does on a record that came from no Source.
func (r *Record) Ack() {
	if r.owner != nil {
		r.owner.ack(r)
	}
}

// Drop says that the record will not be acknowledged by this process any more: nothing waits for it, and its next owner
// reads it again. Only for work given up because handle's context ended: before that it would stop its partition's
// offset for as long as the generation lives.
func (r *Record) Drop() {
	if r.owner != nil {
		r.owner.drop(r)
	}
}

// Header returns the value of the first header of that name.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// OnAck makes Ack and Drop call fn instead of the record's source: for tests of handlers, which build records by hand,
// and for stages that acknowledge one record in parts. fn may be called more than once if Ack is.
func (r *Record) OnAck(fn func(acked bool)) { r.owner = ownerFunc(fn) }

type ownerFunc func(acked bool)

func (f ownerFunc) ack(*Record)  { f(true) }
func (f ownerFunc) drop(*Record) { f(false) }
