package devices

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Kept is where states are restored once more; *registry.Registry is one.
type Kept interface {
	Generation(ctx context.Context) (string, error)
	Restore(ctx context.Context, states []registry.State) error
	RestoreSettings(ctx context.Context, users []*schemasv1.UserState) error
}

// keeper closes the gap between Redis and push.registry. A state that was applied to Redis just before Redis lost
// everything may reach the topic when a rebuild has read the topic's end already, and would be missing until the device's
// next event. So once a state is durable, the keeper looks whether a rebuild has begun since it was applied, and restores
// it where that is so. A rebuild that begins later reads it.
type keeper struct {
	reg Kept
	log *zap.Logger

	mu         sync.Mutex
	generation string // as of the last look; one that is too old costs a repetition
	due        []written
	ended      error // why nothing is kept any more
	wake       chan struct{}
}

// written is what one call of Apply brought, and is in the topic now. The records in flight bound how many there are.
type written struct {
	generation string // before it was applied
	states     []registry.State
	users      []*schemasv1.UserState
	done       func(error)
}

func newKeeper(reg Kept, log *zap.Logger) *keeper {
	return &keeper{reg: reg, log: log, wake: make(chan struct{}, 1)}
}

// now is the generation to note before events are applied.
func (k *keeper) now() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.generation
}

// keep calls w.done when the states are in Redis too; it does not block.
func (k *keeper) keep(w written) {
	k.mu.Lock()
	ended := k.ended
	if ended == nil {
		k.due = append(k.due, w)
	}
	k.mu.Unlock()
	if ended != nil {
		w.done(ended)
		return
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run keeps until ctx ends; what is left then is left to be read again.
func (k *keeper) run(ctx context.Context) {
	for {
		select {
		case <-k.wake:
			k.pass(ctx)
		case <-ctx.Done():
			k.mu.Lock()
			k.ended = context.Cause(ctx)
			due := k.due
			k.due = nil
			k.mu.Unlock()
			for _, w := range due {
				w.done(k.ended)
			}
			return
		}
	}
}

// pass settles what is due, with one look for all of it.
func (k *keeper) pass(ctx context.Context) {
	k.mu.Lock()
	due := k.due
	k.due = nil
	k.mu.Unlock()
	err := k.insist(ctx, func() error { return k.restore(ctx, due) })
	for _, w := range due {
		w.done(err)
	}
}

// restore restores what was applied before the newest rebuild began.
func (k *keeper) restore(ctx context.Context, due []written) error {
	generation, err := k.reg.Generation(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.generation = generation
	k.mu.Unlock()
	var states []registry.State
	var users []*schemasv1.UserState
	for _, w := range due {
		if w.generation != generation {
			states, users = append(states, w.states...), append(users, w.users...)
		}
	}
	if len(states) > 0 {
		if err := k.reg.Restore(ctx, states); err != nil {
			return err
		}
	}
	if len(users) > 0 {
		return k.reg.RestoreSettings(ctx, users)
	}
	return nil
}

// insist repeats a call until it succeeds or ctx ends. An error that lasts is given up: the topic has the states.
func (k *keeper) insist(ctx context.Context, call func() error) error {
	for failed := 0; ; failed++ {
		err := call()
		switch {
		case err == nil:
			return nil
		case registry.Lasting(err):
			k.log.Error("states not restored once more; the next rebuild brings them", zap.Error(err))
			return nil
		case failed == 0:
			k.log.Warn("registry does not answer; devices holds", zap.Error(err))
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
