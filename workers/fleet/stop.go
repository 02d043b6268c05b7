package fleet

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ending divides the grace of a stop.
type ending struct {
	reading time.Duration // phase one: what was read is finished, and reading ends
	step    time.Duration // phase two has three: the workers end, then the writers, then what was opened is closed
	drain   time.Duration // how long a source waits for what it has handed out; it commits after that
}

const (
	// stepLimit leaves a little of each step of phase two for what bounds itself to 2 s: deliver's last marks, the
	// recorder's last events, the publisher's last records.
	stepLimit = 2300 * time.Millisecond
	steps     = 3
	// drainLimit bounds how long a role finishes what it has read when it stops or loses a partition: half of the
	// session time-out, within which the group still takes the last commit.
	drainLimit = 5 * time.Second
	// publisherClose bounds what the publisher still writes at the end.
	publisherClose = 2 * time.Second
)

// newEnding keeps at least two fifths of a short grace for reading.
func newEnding(grace time.Duration) ending {
	e := ending{step: min(stepLimit, grace*3/5/steps)}
	e.reading = grace - steps*e.step
	e.drain = min(drainLimit, e.reading*5/6)
	return e
}

// run starts everything and waits for the end of ctx, or of something that must not end. Then it stops everything, and
// leaves behind what does not end in its time.
func (f *fleet) run(ctx context.Context) error {
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	var sources sync.WaitGroup
	workers := begin(ctx, f.workers)
	writers := begin(ctx, f.writers)
	for _, s := range f.sources {
		sources.Go(func() {
			if err := s(reading); err != nil {
				stopReading(err)
			}
		})
	}
	if f.opts.OnReady != nil {
		workers.running.Go(func() { f.awaitReady(workers.ctx) })
	}
	f.log.Info("running", zap.Any("roles", f.opts.Roles))
	<-reading.Done()
	f.log.Info("stopping", zap.Duration("grace", f.cfg.Shutdown.Grace))
	limit := time.Now().Add(f.end.reading)
	f.within(limit, "sources", sources.Wait)
	limit = limit.Add(f.end.step)
	f.within(limit, "workers", workers.end)
	limit = limit.Add(f.end.step)
	f.within(limit, "events", writers.end)
	limit = limit.Add(f.end.step)
	f.within(limit, "connections", f.close)
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(reading)
}

// within waits until something has ended, or its time is over.
func (f *fleet) within(limit time.Time, what string, wait func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait()
	}()
	timer := time.NewTimer(time.Until(limit))
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		f.log.Error("not ended in its part of the grace period; left behind", zap.String("what", what))
	}
}

// group is goroutines that end together.
type group struct {
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// begin starts a group, which does not end with ctx.
func begin(ctx context.Context, members []func(context.Context)) *group {
	g := new(group)
	g.ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, member := range members {
		g.running.Go(func() { member(g.ctx) })
	}
	return g
}

func (g *group) end() {
	g.stop()
	g.running.Wait()
}

// close closes what was opened, in the reverse order of its use.
func (f *fleet) close() {
	ctx, cancel := context.WithTimeout(context.Background(), min(publisherClose, f.end.step))
	defer cancel()
	if f.pub != nil {
		if err := f.pub.Close(ctx); err != nil {
			f.log.Warn("not everything was written at the end; it is read again", zap.Error(err))
		}
	}
	for p, d := range f.drivers {
		if err := d.Close(); err != nil {
			f.log.Warn("platform closed with an error", zap.String("platform", string(p)), zap.Error(err))
		}
	}
	if f.line != nil {
		if err := f.line.Close(); err != nil {
			f.log.Warn("timeline closed with an error", zap.Error(err))
		}
	}
	if f.reg != nil {
		if err := f.reg.Close(); err != nil {
			f.log.Warn("registry closed with an error", zap.Error(err))
		}
	}
	if f.cluster != nil {
		f.cluster.Close()
	}
}
