package retry

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

const (
	// shortestRest is the least time between two sweeps, and restPerRecord what a sweep costs of it: what cannot be sent
	// is looked at again at no more than 1,000 records a second.
	shortestRest  = 2 * time.Second
	restPerRecord = time.Millisecond
	// longestSweep bounds the back-off of the sweeps that try everything.
	longestSweep = 10 * time.Minute
	// endsRetry is the pause after Kafka did not say how long the topic is.
	endsRetry = time.Second
	endsLimit = 5 * time.Second
)

// ParkedConfig is what the parked topic of one platform needs.
type ParkedConfig struct {
	Topics   stream.Topics
	Platform push.Platform
	Sweep    time.Duration // until everything is tried the first time; the wait doubles while records come back
	// Ends says which offset each partition's next record gets.
	Ends func(ctx context.Context) (map[int32]int64, error)
	Now  func() time.Time
}

// Parked keeps the records of a parked topic. They stand in the topic until a sweep: it takes those that were there
// when it began, and gives each to its lane or puts it back at the topic's end. A sweep begins when a credential can
// send again, and takes that one's records; and by itself, more and more rarely, and takes all. Handle is called by one
// goroutine; Run must be running.
type Parked struct {
	entrance
	mover
	cfg ParkedConfig

	mu     sync.Mutex
	wanted []control.Target // whose records may come back, since the last sweep began; as many as are configured, at most
	wake   chan struct{}    // capacity 1: something is wanted

	ends     map[int32]int64 // of the sweep that runs
	all      bool            // it takes everything
	only     []control.Target
	began    time.Time
	moved    int       // by it
	failed   time.Time // when the topic's end was not to be had; zero = it was
	released int       // by the last one that took everything
	next     time.Time // of those
	interval time.Duration
}

// NewParked returns a Parked.
func NewParked(cfg ParkedConfig, pub outcome.Publisher, events Events, log *zap.Logger) *Parked {
	return &Parked{entrance: newEntrance(), mover: mover{cfg.Topics, cfg.Platform, cfg.Now, pub, events, log}, cfg: cfg,
		wake: make(chan struct{}, 1)}
}

// Handle takes records; they wait in Run. The source's window bounds how many.
func (p *Parked) Handle(ctx context.Context, batch []*stream.Record) {
	p.enter(ctx, batch, func(*stream.Record) time.Duration { return 0 })
}

// Return has the next sweep bring back what a target covers. It is safe for concurrent use.
func (p *Parked) Return(t control.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.wanted {
		if known == t {
			return
		}
	}
	p.wanted = append(p.wanted, t)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run sweeps until ctx ends. What waits when its generation ends is dropped, and read again by its next owner.
func (p *Parked) Run(ctx context.Context) {
	var held []*waiting
	p.interval = p.cfg.Sweep
	p.next = p.now().Add(p.interval)
	timer := time.NewTimer(p.interval)
	defer timer.Stop()
	for {
		wait := p.due().Sub(p.now())
		if wait <= 0 {
			p.begin(ctx)
			held = p.sweep(held)
			continue
		}
		timer.Reset(wait)
		select {
		case w := <-p.in:
			held = append(held, p.sweep([]*waiting{w})...)
		case <-p.wake:
		case <-p.ended:
			held = current(held)
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// due is when the next sweep begins.
func (p *Parked) due() time.Time {
	p.mu.Lock()
	due := p.next
	if len(p.wanted) > 0 {
		due = p.now()
	}
	p.mu.Unlock()
	rested := p.began.Add(max(shortestRest, min(time.Duration(p.moved)*restPerRecord, longestSweep)))
	if !p.began.IsZero() && rested.After(due) {
		due = rested
	}
	if again := p.failed.Add(endsRetry); !p.failed.IsZero() && again.After(due) {
		due = again
	}
	return due
}

// begin starts a sweep of what the topic holds now, unless Kafka does not say how much that is.
func (p *Parked) begin(ctx context.Context) {
	p.mu.Lock()
	wanted := p.wanted
	p.wanted = nil
	p.mu.Unlock()
	asking, cancel := context.WithTimeout(ctx, endsLimit)
	defer cancel()
	ends, err := p.cfg.Ends(asking)
	if err != nil {
		if p.failed.IsZero() {
			p.log.Warn("parked records are not looked at: the topic's end is not known", zap.Error(err))
		}
		p.failed = p.now()
		for _, t := range wanted {
			p.Return(t)
		}
		return
	}
	p.failed = time.Time{}
	now := p.now()
	p.all = !now.Before(p.next)
	if p.all {
		p.interval = min(p.interval*2, max(longestSweep, p.cfg.Sweep))
		if p.released == 0 {
			p.interval = p.cfg.Sweep
		}
		p.next, p.released = now.Add(p.interval), 0
	}
	p.ends, p.only, p.began, p.moved = ends, wanted, now, 0
}

// sweep moves what the sweep takes in, and returns the others.
func (p *Parked) sweep(held []*waiting) []*waiting {
	kept := held[:0]
	for _, w := range held {
		switch {
		case w.ctx.Err() != nil:
			w.rec.Drop()
		case w.rec.Offset < p.ends[w.rec.Partition]:
			p.moved++
			p.move(w, p.where)
		default:
			kept = append(kept, w)
		}
	}
	clear(held[len(kept):])
	return kept
}

// where is a record's lane, or the end of the topic that it comes from.
func (p *Parked) where(n *push.Notification, meta stream.Meta, _ time.Time) string {
	back := p.all
	for _, t := range p.only {
		back = back || t.Covers(p.platform, n.App, n.Credential)
	}
	if !back {
		return p.topics.Parked(p.platform)
	}
	if p.all {
		p.released++
	}
	return p.topics.Work(p.platform, meta.Lane)
}
