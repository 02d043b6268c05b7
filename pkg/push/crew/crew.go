// Package crew runs jobs on goroutines that stay for the next one: a sender's libraries need a deep stack, and a new
// goroutine spends more time on growing it than on a push. Batches of jobs flow in from any number of callers. It promises
// that each job is done or skipped, exactly once; that no more of them run at a time than allowed; that they begin in the
// order of their coming; and that goroutines without work end.
package crew

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is why a job is skipped after Close.
var ErrClosed = errors.New("crew: closed")

// linger is how long a worker rests, at least, before it ends.
const linger = 10 * time.Second

// Crew is a number of workers, each with a State of its own, which begins as the zero value and is handed to every job
// that the worker does. Safe for concurrent use.
type Crew[State any] struct {
	most int

	mu      sync.Mutex
	closed  bool
	workers int
	resting []*worker   // who came to rest first stands first
	sweep   *time.Timer // ends those who have rested for long; nil = nobody rests
	batches list.List   // of *Batch[State]: those that have jobs nobody has taken
	all     sync.WaitGroup
}

type worker struct {
	wake  chan bool // false = end
	since time.Time // of its rest
}

// Batch is jobs of one caller, which are done alike.
type Batch[State any] struct {
	crew *Crew[State]
	ctx  context.Context
	job  func(i int, state *State)
	skip func(i int, err error)
	stop func() bool // of what watches the context; nil = nothing does

	added   int // under the crew's lock, as all below
	next    int // the first that nobody has taken
	place   *list.Element
	ended   error // why no job begins any more
	pending sync.WaitGroup
}

// New makes a crew of at most so many workers, who come when there is work.
func New[State any](most int) *Crew[State] { return &Crew[State]{most: most} }

// Run has job called for each i below count, and returns when all have returned. For those that have not begun when ctx
// ends, or with Close, skip is called instead, with the context's error or ErrClosed. Both are called concurrently.
func (c *Crew[State]) Run(ctx context.Context, count int, job func(i int, state *State), skip func(i int, err error)) {
	b := c.Begin(ctx, job, skip)
	b.Add(count)
	b.Wait()
}

// Begin makes a batch without jobs, which has to end with Wait. job and skip are as those of Run.
func (c *Crew[State]) Begin(ctx context.Context, job func(i int, state *State), skip func(i int, err error)) *Batch[State] {
	b := &Batch[State]{crew: c, ctx: ctx, job: job, skip: skip, ended: ctx.Err()}
	if b.ended == nil && ctx.Done() != nil {
		b.stop = context.AfterFunc(ctx, func() { b.end(ctx.Err()) })
	}
	return b
}

// Add gives the crew the next count jobs, and does not wait for them. It is called by one goroutine.
func (b *Batch[State]) Add(count int) {
	b.pending.Add(count)
	first, err := b.crew.add(b, count)
	if err != nil {
		b.skipAll(first, first+count, err)
	}
}

// Wait returns when all jobs have returned, or were skipped.
func (b *Batch[State]) Wait() {
	b.pending.Wait()
	if b.stop != nil {
		b.stop()
	}
}

// add calls as many workers as there are new jobs. Where it returns an error, they are not to be begun.
func (c *Crew[State]) add(b *Batch[State], count int) (first int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = b.added
	b.added += count
	switch {
	case c.closed:
		b.next = b.added
		return first, ErrClosed
	case b.ended != nil:
		b.next = b.added
		return first, b.ended
	case count == 0:
		return first, nil
	}
	if b.place == nil {
		b.place = c.batches.PushBack(b)
	}
	for range count {
		if last := len(c.resting) - 1; last >= 0 { // who rested least has the warmest stack
			c.resting[last].wake <- true
			c.resting = c.resting[:last]
			continue
		}
		if c.workers == c.most {
			break
		}
		c.workers++
		c.all.Add(1)
		go c.work()
	}
	return first, nil
}

func (c *Crew[State]) work() {
	defer c.all.Done()
	w := &worker{wake: make(chan bool, 1)}
	state := new(State)
	for {
		b, i := c.take(w)
		switch {
		case b != nil:
			b.job(i, state)
			b.pending.Done()
		case !<-w.wake:
			return
		}
	}
}

// take gives the next job, or nil: then the worker rests.
func (c *Crew[State]) take(w *worker) (*Batch[State], int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	front := c.batches.Front()
	if front == nil {
		c.restLocked(w)
		return nil, 0
	}
	b := front.Value.(*Batch[State])
	b.next++
	if b.next == b.added {
		c.removeLocked(b)
	}
	return b, b.next - 1
}

func (c *Crew[State]) removeLocked(b *Batch[State]) {
	c.batches.Remove(b.place)
	b.place = nil
}

func (c *Crew[State]) restLocked(w *worker) {
	if c.closed {
		w.wake <- false
		return
	}
	w.since = time.Now()
	c.resting = append(c.resting, w)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(linger, c.thin)
	}
}

// thin ends the workers who have rested for long.
func (c *Crew[State]) thin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	tired, now := 0, time.Now()
	for tired < len(c.resting) && now.Sub(c.resting[tired].since) >= linger {
		c.resting[tired].wake <- false
		tired++
	}
	c.workers -= tired
	c.resting = append(c.resting[:0], c.resting[tired:]...)
	if c.sweep = nil; len(c.resting) > 0 && !c.closed {
		c.sweep = time.AfterFunc(linger, c.thin)
	}
}

// end lets nobody begin what is left of a batch, and skips it.
func (b *Batch[State]) end(err error) {
	b.crew.mu.Lock()
	from, to := b.endLocked(err)
	b.crew.mu.Unlock()
	b.skipAll(from, to, err)
}

// endLocked returns what is to be skipped.
func (b *Batch[State]) endLocked(err error) (from, to int) {
	from, to = b.next, b.added
	b.ended, b.next = err, b.added
	if b.place != nil {
		b.crew.removeLocked(b)
	}
	return from, to
}

func (b *Batch[State]) skipAll(from, to int, err error) {
	for i := from; i < to; i++ {
		b.skip(i, err)
		b.pending.Done()
	}
}

// Close skips what has not begun, and returns when what has begun has ended and no worker is left.
func (c *Crew[State]) Close() {
	c.mu.Lock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	for _, w := range c.resting {
		w.wake <- false
	}
	c.resting = nil
	type rest struct {
		batch    *Batch[State]
		from, to int
	}
	var left []rest
	for c.batches.Len() > 0 {
		b := c.batches.Front().Value.(*Batch[State])
		from, to := b.endLocked(ErrClosed)
		left = append(left, rest{b, from, to})
	}
	c.mu.Unlock()
	for _, r := range left {
		r.batch.skipAll(r.from, r.to, ErrClosed)
	}
	c.all.Wait()
}
