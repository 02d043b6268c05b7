package outcome

import "sync/atomic"

// Pending joins everything that is derived from one record: when all of it is durable, the record is acknowledged,
// once. What failed leaves the record alone, so that it is read again.
type Pending struct {
	left   atomic.Int32
	failed atomic.Pointer[error]
	ack    func()
	fail   func(error)
}

// NewPending starts with one part open, so that parts can be added while others finish; Done(nil) closes it. ack or
// fail is called once, when the last part is done.
func NewPending(ack func(), fail func(error)) *Pending {
	p := &Pending{ack: ack, fail: fail}
	p.left.Store(1)
	return p
}

// Add opens one more part and returns its callback, to be called once.
func (p *Pending) Add() func(error) {
	p.left.Add(1)
	return p.Done
}

// Done closes a part.
func (p *Pending) Done(err error) {
	if err != nil {
		p.failed.CompareAndSwap(nil, &err)
	}
	if p.left.Add(-1) > 0 {
		return
	}
	if failed := p.failed.Load(); failed != nil {
		p.fail(*failed)
		return
	}
	p.ack()
}
