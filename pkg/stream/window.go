package stream

import "sync"

// window follows one partition's records from the one that was buffered first to the newest, and knows up to where
// everything is done. It belongs to one generation: once closed, it counts nothing any more.
type window struct {
	mu        sync.Mutex
	base      int64 // every offset before is done: what to commit
	next      int64 // offset after the newest that was taken
	head      int   // index of base in done
	done      []bool
	committed int64 // what this generation has committed; -1 = nothing
	records   int   // taken and neither acknowledged nor dropped
	bytes     int
	closed    bool

	lane *lane // what it counts against, and whose fetchers wait for room
}

func newWindow(start int64, size int, l *lane) *window {
	return &window{base: start, next: start, committed: -1, done: make([]bool, size), lane: l}
}

// take counts a record in, unless the window or what it counts against is full. Offsets that are skipped hold no record.
func (w *window) take(r *Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if w.records == 0 && w.next == w.base && r.Offset > w.next {
		w.base, w.next = r.Offset, r.Offset
	}
	if r.Offset-w.base >= int64(len(w.done)) {
		return false
	}
	if !w.lane.usage.take(r.size) {
		return false
	}
	for ; w.next < r.Offset; w.next++ {
		w.done[w.index(w.next)] = true
	}
	w.next = r.Offset + 1
	w.records++
	w.bytes += r.size
	w.advance()
	return true
}

// skip says that there is no record before offset that was not taken: control batches, and batches whose records were
// compacted away. It is remembered only as far as the window reaches.
func (w *window) skip(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if w.next == w.base && offset > w.next {
		w.base, w.next = offset, offset
		return
	}
	for ; w.next < offset && w.next-w.base < int64(len(w.done)); w.next++ {
		w.done[w.index(w.next)] = true
	}
	w.advance()
}

func (w *window) index(offset int64) int { return (w.head + int(offset-w.base)) % len(w.done) }

func (w *window) advance() {
	for w.base < w.next && w.done[w.head] {
		w.done[w.head] = false
		w.head = (w.head + 1) % len(w.done)
		w.base++
	}
}

func (w *window) ack(r *Record)  { w.finish(r, true) }
func (w *window) drop(r *Record) { w.finish(r, false) }

func (w *window) finish(r *Record, acked bool) {
	w.mu.Lock()
	if w.closed || r.settled {
		w.mu.Unlock()
		return
	}
	r.settled = true
	if acked {
		w.done[w.index(r.Offset)] = true
		w.advance()
	}
	w.records--
	w.bytes -= r.size
	w.mu.Unlock()
	w.lane.usage.give(1, r.size)
	notify(w.lane.room)
}

// notify wakes whoever waits on ch, which has room for one wake-up, and never blocks.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// room is how many offsets the window can take in from offset on.
func (w *window) room(offset int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0
	}
	if w.next == w.base {
		return int64(len(w.done))
	}
	return int64(len(w.done)) - (offset - w.base)
}

// uncommitted returns the offset to commit, and whether the group does not have it yet.
func (w *window) uncommitted() (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base, w.base != w.committed
}

// lastCommitted is what this generation has committed; -1 = nothing.
func (w *window) lastCommitted() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}

func (w *window) markCommitted(offset int64) {
	w.mu.Lock()
	w.committed = offset
	w.mu.Unlock()
}

// outstanding is how many records are neither acknowledged nor dropped.
func (w *window) outstanding() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records
}

// close ends the counting and gives back what is outstanding.
func (w *window) close() (outstanding int) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return 0
	}
	w.closed = true
	records, bytes := w.records, w.bytes
	w.records, w.bytes = 0, 0
	w.mu.Unlock()
	w.lane.usage.give(records, bytes)
	return records
}
