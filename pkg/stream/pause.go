package stream

import (
	"context"
	"sync"
	"time"
)

// restWatch is how often the log's end is asked for while nothing is fetched, so that the lag still shows what comes.
const restWatch = time.Second

// Pause stops fetching until Resume, in this generation and later ones. The membership, commits and what was fetched
// already go on: a request that is under way still brings its records. Pausing twice is pausing once.
func (s *Source) Pause() { s.paused.close() }

// Resume fetches again.
func (s *Source) Resume() { s.paused.open() }

// Paused says whether fetching is paused.
func (s *Source) Paused() bool { return s.paused.wait() != nil }

// gate is open at first. It is safe for concurrent use.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// wait returns what is closed when the gate opens; nil where it is open.
func (g *gate) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// rest waits until fetching is wanted again, and meanwhile learns how the log grows.
func (f *fetcher) rest(ctx context.Context, resumed <-chan struct{}) {
	tick := time.NewTicker(restWatch)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-resumed:
			f.pace.last = time.Now()
			return
		case <-tick.C:
			f.watchEnds(ctx)
		}
	}
}

// watchEnds asks for the ends of the fetcher's partitions. What fails is asked again: it serves the lag alone.
func (f *fetcher) watchEnds(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, restWatch)
	defer cancel()
	mine := map[string][]int32{}
	f.g.mu.Lock()
	for _, p := range f.lane.partitions {
		if p.leader == f.broker && p.located {
			mine[p.topic] = append(mine[p.topic], p.partition)
		}
	}
	f.g.mu.Unlock()
	for topic, ids := range mine {
		ends, err := f.g.source.cluster.bounds(ctx, topic, ids)
		if err != nil {
			return
		}
		f.g.mu.Lock()
		for _, p := range f.lane.partitions {
			if end, ok := ends[p.partition]; ok && p.topic == topic {
				p.highWatermark = max(p.highWatermark, end.end)
			}
		}
		f.g.mu.Unlock()
	}
}
