package deliver

import (
	"context"
	"sync"
)

// queue hands items to workers in batches, lanes by their weights: one waits for company only as long as the workers are
// busy. It has no bound of its own; what can be in it is bounded by the source's records in flight.
type queue[T any] struct {
	mu       sync.Mutex
	items    weighted[T]
	promised int           // items that will be put, or given up
	wake     chan struct{} // capacity 1: something is there
}

func newQueue[T any](weights []int, lane func(T) int) *queue[T] {
	return &queue[T]{items: newWeighted(weights, lane), wake: make(chan struct{}, 1)}
}

// put adds items.
func (q *queue[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	for _, item := range items {
		q.items.put(item)
	}
	q.mu.Unlock()
	q.signal()
}

// promise announces an item that drain is to wait for; keep takes that back, once it was put or will never be.
func (q *queue[T]) promise() {
	q.mu.Lock()
	q.promised++
	q.mu.Unlock()
}

func (q *queue[T]) keep() {
	q.mu.Lock()
	q.promised--
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
	batch := q.items.take(n)
	if q.items.len() > 0 {
		q.signal()
	}
	return batch
}

// drain calls work with batches until ctx ends and nothing is there or promised, at the latest until last ends. Several
// may drain one queue.
func (q *queue[T]) drain(ctx, last context.Context, n int, work func([]T)) {
	defer q.signal() // the others look again
	for {
		if batch := q.take(n); len(batch) > 0 {
			work(batch)
			continue
		}
		select {
		case <-q.wake:
			continue
		case <-ctx.Done():
		}
		if q.done() {
			return
		}
		select {
		case <-q.wake:
		case <-last.Done():
			return
		}
	}
}

// len is how many items wait.
func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.len()
}

func (q *queue[T]) done() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.len() == 0 && q.promised == 0
}
