package fleet

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// freshness says whether what is known of users is fresh enough to decide: the oldest event of its topic that devices
// has not applied is no older than the limit.
type freshness struct {
	limit time.Duration
	topic string
	head  func(ctx context.Context) ([]stream.Head, error)
	state atomic.Pointer[sight]
}

// sight is what a look saw.
type sight struct {
	at  time.Time
	err error // nil: fresh
}

// newFreshness is not fresh before run has looked.
func newFreshness(limit time.Duration, topic string, head func(ctx context.Context) ([]stream.Head, error)) *freshness {
	h := &freshness{limit: limit, topic: topic, head: head}
	h.state.Store(&sight{err: fmt.Errorf("lag of %s is unknown yet", topic)})
	return h
}

// freshnessEvery is how often it looks; together with the commit interval it is far below the limit's default of 2 s.
const freshnessEvery = 250 * time.Millisecond

// check says why it is not fresh. What was seen longer ago than the limit counts no more: the process may have stood still
// since.
func (h *freshness) check(context.Context) error {
	s := h.state.Load()
	if age := time.Since(s.at); s.err == nil && age > max(h.limit, 4*freshnessEvery) {
		return fmt.Errorf("lag of %s was last known %s ago", h.topic, age.Round(time.Millisecond))
	}
	return s.err
}

func (h *freshness) run(ctx context.Context) {
	tick := time.NewTicker(freshnessEvery)
	defer tick.Stop()
	for {
		err := h.look(ctx)
		h.state.Store(&sight{time.Now(), err})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *freshness) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	heads, err := h.head(ctx)
	if err == nil {
		err = ctx.Err() // the answer is old by now
	}
	if err != nil {
		return fmt.Errorf("lag of %s is unknown: %w", h.topic, err)
	}
	for _, p := range heads {
		if p.Oldest.IsZero() {
			continue
		}
		if age := time.Since(p.Oldest); age > h.limit {
			return fmt.Errorf("event of %s/%d unread for %s", h.topic, p.Partition, age.Round(time.Millisecond))
		}
	}
	return nil
}
