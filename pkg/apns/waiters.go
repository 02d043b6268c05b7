package apns

import (
	"slices"
	"sync"
)

// waiters is a queue of goroutines that wait for something to change. The zero value is empty. Safe for concurrent use.
type waiters struct {
	mu    sync.Mutex
	queue []chan struct{}
}

// add queues the caller. The channel is written to once, when it is woken.
func (w *waiters) add() chan struct{} {
	woken := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, woken)
	return woken
}

// remove takes the caller out of the queue.
func (w *waiters) remove(woken chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.queue, woken); i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
}

// wake wakes the one who has waited longest.
func (w *waiters) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		w.queue[0] <- struct{}{}
		w.queue = slices.Delete(w.queue, 0, 1)
	}
}
