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
	batches list.List   // of *batch[State]: those that have jobs nobody has taken
	all     sync.WaitGroup
}

type worker struct {
	wake  chan bool // false = end
	since time.Time // of its rest
}

// batch is the jobs of one Run.
type batch[State any] struct {
	count, next int // next is the first that nobody has taken
	job         func(i int, state *State)
	skip        func(i int, err error)
	pending     sync.WaitGroup
	place       *list.Element // in the crew's batches
}

// New makes a crew of at most so many workers, who come when there is work.
func New[State any](most int) *Crew[State] { return &Crew[State]{most: most} }

// Run has job called for each i below count, and returns when all have returned. For those that have not begun when ctx
// ends, or with Close, skip is called instead, with the context's error or ErrClosed. Both are called concurrently.
func (c *Crew[State]) Run(ctx context.Context, count int, job func(i int, state *State), skip func(i int, err error)) {
	b := &batch[State]{count: count, job: job, skip: skip}
	b.pending.Add(count)
	if err := c.add(ctx, b); err != nil {
		b.skipFrom(0, err)
		return
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { b.skipFrom(c.withdraw(b), ctx.Err()) })
		defer stop()
	}
	b.pending.Wait()
}

// add queues a batch, and calls as many workers as it has jobs.
func (c *Crew[State]) add(ctx context.Context, b *batch[State]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if b.count == 0 {
		return nil
	}
	b.place = c.batches.PushBack(b)
	for range b.count {
		if last := len(c.resting) - 1; last >= 0 { // who rested least has the warmest stack
			c.resting[last].wake <- true
			c.resting = c.resting[:last]
			continue
		}
		if c.workers == c.most {
			break
		}
		c.workers++
		c.all.Go(c.work)
	}
	return nil
}

func (c *Crew[State]) work() {
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
func (c *Crew[State]) take(w *worker) (*batch[State], int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	front := c.batches.Front()
	if front == nil {
		c.restLocked(w)
		return nil, 0
	}
	b := front.Value.(*batch[State])
	b.next++
	if b.next == b.count {
		c.batches.Remove(front)
	}
	return b, b.next - 1
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

// withdraw lets nobody begin what is left of a batch, and returns where that starts.
func (c *Crew[State]) withdraw(b *batch[State]) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.withdrawLocked(b)
}

func (c *Crew[State]) withdrawLocked(b *batch[State]) int {
	from := b.next
	if from < b.count {
		c.batches.Remove(b.place)
		b.next = b.count
	}
	return from
}

// skipFrom is for the jobs from i on.
func (b *batch[State]) skipFrom(i int, err error) {
	for ; i < b.count; i++ {
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
	var left []*batch[State]
	var from []int
	for c.batches.Len() > 0 {
		b := c.batches.Front().Value.(*batch[State])
		left, from = append(left, b), append(from, c.withdrawLocked(b))
	}
	c.mu.Unlock()
	for i, b := range left {
		b.skipFrom(from[i], ErrClosed)
	}
	c.all.Wait()
}
