package h2

import (
	"sync/atomic"

	"golang.org/x/net/http2/hpack"
)

// stream is one request and its response. The request is set before it is queued. The rest is under the lock of the pool
// while the stream waits there, and under its connection's lock from then on, until done is sent to; then it is the
// caller's.
type stream struct {
	out    *request      // until the writer has encoded it
	head   bool          // the request's method is HEAD
	upload *upload       // where the request's body comes from; nil = it is in out
	conn   *Conn         // nil as long as the stream waits in a pool
	done   chan struct{} // sent to once, when the stream has ended

	queue      *queue // that it waits in; nil = none
	prev, next *stream

	id       uint32 // 0 until the stream is open
	ended    bool
	err      error // why it ended; nil = the response is whole
	begun    bool  // the writer took some of the request's body
	endTaken bool  // the writer took the request's end
	encoded  atomic.Bool
	unsent   []byte // of the body, what the writer may take
	complete bool   // unsent is the body's rest
	window   int64  // bytes of DATA that the server takes
	listed   bool   // in the connection's uploads
	bare     bool   // listed only to be ended

	response
}

// response is what came in, so far.
type response struct {
	status        int // 0 = none that is final
	informational int
	header        *fields
	trailer       fields
	declared      int64 // by content-length; -1 = not
	content       []byte
	room          int64 // bytes of DATA that the server may still send
	padding       int64 // received, for which no room was given back
}

// fields are those of a header list.
type fields []hpack.HeaderField

// renew lets a stream be queued again that ended before it was open.
func (s *stream) renew() { s.conn, s.ended, s.err = nil, false, nil }

// fails is the error of a stream that got no answer. The server may have processed a request that is whole, or whose body
// has begun: before, there is nothing to act on.
func (s *stream) fails(cause error) error {
	return &Error{Cause: cause, NotProcessed: !s.endTaken && !s.begun}
}

// sendable says whether the writer could take something, as far as the stream is concerned.
func (s *stream) sendable() bool {
	if len(s.unsent) > 0 {
		return s.window > 0
	}
	return s.complete && !s.endTaken
}

// queue is a list of streams, first in, first out. The zero value is empty.
type queue struct {
	first, last *stream
	length      int
}

func (q *queue) push(s *stream) {
	s.queue, s.prev, s.next = q, q.last, nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.next = s
	}
	q.last = s
	q.length++
}

func (q *queue) pop() *stream {
	s := q.first
	q.remove(s)
	return s
}

func (q *queue) remove(s *stream) {
	if s.prev == nil {
		q.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		q.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.queue, s.prev, s.next = nil, nil, nil
	q.length--
}
