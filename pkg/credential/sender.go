package credential

import (
	"context"
	"sync"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Opened is a platform's sender of one key, and how its connections end.
type Opened struct {
	Sender push.Sender
	Close  func() // called once; sends that still run are to be reported as retryable
}

// relay is the [push.Sender] of a credential whose key can be replaced under it: what is being sent ends with the key
// with which it began, what comes later takes the new one. Safe for concurrent use.
type relay struct {
	mu      sync.Mutex
	current *generation
	old     map[*generation]struct{} // still sending
	drains  sync.WaitGroup
}

// generation is the time of one key.
type generation struct {
	opened Opened
	sends  sync.WaitGroup // begun under the relay's lock, while this is the current generation
	once   sync.Once
}

func (g *generation) close() { g.once.Do(g.opened.Close) }

func newRelay(o Opened) *relay {
	return &relay{current: &generation{opened: o}, old: make(map[*generation]struct{})}
}

// Send implements [push.Sender].
func (r *relay) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	r.mu.Lock()
	g := r.current
	g.sends.Add(1)
	r.mu.Unlock()
	defer g.sends.Done()
	g.opened.Sender.Send(ctx, batch, report)
}

// replace lets the next sends take another key. The connections of the one before end with the last send on them.
func (r *relay) replace(o Opened) {
	r.mu.Lock()
	before := r.current
	r.current = &generation{opened: o}
	r.old[before] = struct{}{}
	r.mu.Unlock()
	r.drains.Go(func() {
		before.sends.Wait()
		before.close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.old, before)
	})
}

// close ends every connection, and returns when nothing of the keys before is left.
func (r *relay) close() {
	r.mu.Lock()
	all := []*generation{r.current}
	for g := range r.old {
		all = append(all, g)
	}
	r.mu.Unlock()
	for _, g := range all {
		g.close()
	}
	r.drains.Wait()
}
