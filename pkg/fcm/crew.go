package fcm

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxIdle bounds the goroutines that wait for work. Their stacks take about 8 KB each.
const maxIdle = 512

// crew runs sends on goroutines that stay for the next one: the stack that the SDK needs is deep, and a new goroutine
// spends more time on growing it than on the send.
type crew struct {
	jobs chan func() // to one that waits
	idle atomic.Int32
	end  <-chan struct{}
	all  sync.WaitGroup
}

// newCrew sends those home that wait when ctx ends, and the others when their job has ended.
func newCrew(ctx context.Context) *crew { return &crew{jobs: make(chan func()), end: ctx.Done()} }

// run starts job and does not wait for it.
func (c *crew) run(job func()) {
	select {
	case c.jobs <- job:
	default:
		c.all.Go(func() { c.work(job) })
	}
}

func (c *crew) work(job func()) {
	for {
		job()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case job = <-c.jobs:
			c.idle.Add(-1)
		case <-c.end:
			return
		}
	}
}
