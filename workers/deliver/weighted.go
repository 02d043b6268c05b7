package deliver

// weighted holds items in one queue per lane and hands them out by the lanes' weights: where several hold some, a lane
// gets its weight's share of the places, the heavier ones first, and none waits for ever. Its caller guards it.
type weighted[T any] struct {
	lane    func(T) int
	weights []int
	queues  []fifo[T]
	credit  []int // what a lane has waited for, in shares; the highest is next
	held    int
}

func newWeighted[T any](weights []int, lane func(T) int) weighted[T] {
	return weighted[T]{lane: lane, weights: weights, queues: make([]fifo[T], len(weights)), credit: make([]int, len(weights))}
}

func (w *weighted[T]) put(item T) {
	w.queues[w.lane(item)].put(item)
	w.held++
}

// take returns up to n items.
func (w *weighted[T]) take(n int) []T {
	n = min(n, w.held)
	if n <= 0 {
		return nil
	}
	batch := make([]T, n)
	for i := range batch {
		batch[i] = w.queues[w.next()].take()
	}
	w.held -= n
	return batch
}

// first says whether the oldest item of a lane matches.
func (w *weighted[T]) first(match func(T) bool) bool {
	for l := range w.queues {
		if q := &w.queues[l]; q.len() > 0 && match(q.items[q.head]) {
			return true
		}
	}
	return false
}

// remove takes out the items that match.
func (w *weighted[T]) remove(match func(T) bool) []T {
	var out []T
	for l := range w.queues {
		out = append(out, w.queues[l].remove(match)...)
	}
	w.held -= len(out)
	return out
}

// next chooses a lane that holds something. A lane that was empty begins without credit, so that it cannot save up.
func (w *weighted[T]) next() int {
	best, total := -1, 0
	for l := range w.queues {
		if w.queues[l].len() == 0 {
			w.credit[l] = 0
			continue
		}
		total += w.weights[l]
		w.credit[l] += w.weights[l]
		if best < 0 || w.credit[l] > w.credit[best] {
			best = l
		}
	}
	w.credit[best] -= total
	return best
}

// len is how many items there are.
func (w *weighted[T]) len() int { return w.held }

// beside is how many items an item would find in its lane.
func (w *weighted[T]) beside(item T) int { return w.queues[w.lane(item)].len() }

// fifo is a queue that forgets what was taken.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) put(item T) { f.items = append(f.items, item) }

// take returns the oldest item; there must be one.
func (f *fifo[T]) take() T {
	var none T
	item := f.items[f.head]
	f.items[f.head] = none
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head > len(f.items)/2: // as many moves as takes since the last time
		rest := copy(f.items, f.items[f.head:])
		clear(f.items[rest:])
		f.items, f.head = f.items[:rest], 0
	}
	return item
}

// remove takes out the items that match; the others keep their order.
func (f *fifo[T]) remove(match func(T) bool) []T {
	var out []T
	kept := f.items[:f.head]
	for _, item := range f.items[f.head:] {
		if match(item) {
			out = append(out, item)
		} else {
			kept = append(kept, item)
		}
	}
	clear(f.items[len(kept):])
	f.items = kept
	return out
}
