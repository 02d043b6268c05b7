package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// freshness says whether what is known of users is fresh enough to decide: the oldest event of its topics that devices
// has not applied is no older than the limit.
type freshness struct {
	limit  time.Duration
	topics []string
	head   func(ctx context.Context, topic string) ([]stream.Head, error)
	state  atomic.Pointer[error] // nil error inside: fresh
}

// newFreshness is not fresh before run has looked.
func newFreshness(limit time.Duration, topics []string, head func(ctx context.Context, topic string) ([]stream.Head, error)) *freshness {
	h := &freshness{limit: limit, topics: topics, head: head}
	h.set(errors.New("presence was not looked at yet"))
	return h
}

// freshnessEvery is how often it looks; together with the commit interval it is far below the limit's default of 2 s.
const freshnessEvery = 250 * time.Millisecond

func (h *freshness) set(err error) { h.state.Store(&err) }

func (h *freshness) check(context.Context) error { return *h.state.Load() }

func (h *freshness) run(ctx context.Context) {
	tick := time.NewTicker(freshnessEvery)
	defer tick.Stop()
	for {
		h.set(h.look(ctx))
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
	for _, topic := range h.topics {
		heads, err := h.head(ctx, topic)
		if err != nil {
			return fmt.Errorf("lag of %s is unknown: %w", topic, err)
		}
		for _, p := range heads {
			if p.Oldest.IsZero() {
				continue
			}
			if age := time.Since(p.Oldest); age > h.limit {
				return fmt.Errorf("event of %s/%d unread for %s", topic, p.Partition, age.Round(time.Millisecond))
			}
		}
	}
	return nil
}
