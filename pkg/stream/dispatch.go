package stream

import "context"

// dispatch hands batches to the handler, one at a time, until fetching ends. It waits on channels only: an idle
// source's first record goes straight through.
func (g *generation) dispatch(fetching, handling context.Context) {
	for {
		batch := g.nextBatch()
		if batch == nil {
			select {
			case <-fetching.Done():
				return
			case <-g.queued:
				continue
			}
		}
		// An earlier generation's handler may not have returned yet.
		select {
		case g.source.handling <- struct{}{}:
		case <-handling.Done():
			for _, r := range batch {
				r.Drop()
			}
			return
		}
		g.handle(handling, batch)
		<-g.source.handling
	}
}

// nextBatch takes the next records of the lane whose turn it is; nil where there are none or the generation ends.
func (g *generation) nextBatch() []*Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return nil
	}
	l := nextLane(g.lanes)
	if l == nil {
		return nil
	}
	limit := g.source.cfg.BatchRecords
	var batch []*Record
	for len(l.queue) > 0 && len(batch) < limit {
		c := &l.queue[0]
		n := min(len(c.records), limit-len(batch))
		batch = append(batch, c.records[:n]...)
		c.records = c.records[n:]
		if len(c.records) == 0 {
			l.queue[0] = chunk{}
			l.queue = l.queue[1:]
		}
	}
	return batch
}

// nextLane is a smooth weighted round robin over the lanes that have records: of 13 batches, weights 8, 4 and 1 give
// 8, 4 and 1, spread out.
func nextLane(lanes []*lane) *lane {
	var best *lane
	total := 0
	for _, l := range lanes {
		if len(l.queue) == 0 {
			l.current = 0
			continue
		}
		l.current += l.weight
		total += l.weight
		if best == nil || l.current > best.current {
			best = l
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}
