package deliver

import (
	"context"
	"sync"
)

// queue hands items to workers in batches: one waits for company only as long as the workers are busy. It has no bound
// of its own; what can be in it is bounded by the source's records in flight.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan struct{} // capacity 1: something is there
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

// put adds items.
func (q *queue[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	q.items = append(q.items, items...)
	q.mu.Unlock()
	q.signal()
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns up to n items.
func (q *queue[T]) take(n int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.items))
	batch := make([]T, n)
	copy(batch, q.items)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	if rest > 0 {
		q.signal()
	}
	return batch
}

// drain calls work with batches until ctx ends and the queue is empty. Several may drain one queue.
func (q *queue[T]) drain(ctx context.Context, n int, work func([]T)) {
	for {
		if batch := q.take(n); len(batch) > 0 {
			work(batch)
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			if q.empty() {
				return
			}
		}
	}
}

func (q *queue[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0
}
