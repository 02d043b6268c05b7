package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrRebuildLost says that a rebuild cannot be completed: its lock ran out, or a master lost what was restored to it.
// Begin again.
var ErrRebuildLost = errors.New("registry: the rebuild lost its lock, or Redis lost what was restored so far")

const (
	rebuildKey    = "rebuild"            // the lock that lets one process rebuild
	generationKey = "rebuild:generation" // see Generation
)

// nonceOf names the key in the slot of a marker that a rebuild writes before it restores anything: where it is gone at
// the end, the slot lost its content meanwhile.
func nonceOf(marker string) string { return "rebuilding" + strings.TrimPrefix(marker, markerKey) }

// AcquireRebuild makes owner, unique to the process, the only one that rebuilds, for ttl, and leaves a nonce on every
// master, by which [Registry.CompleteRebuild] sees whether anything was lost on the way. False = another is at it.
func (r *Registry) AcquireRebuild(ctx context.Context, owner string, ttl time.Duration) (bool, error) {
	if owner == "" || ttl < time.Millisecond {
		return false, errors.New("registry: a rebuild lock needs an owner and a time of at least 1 ms")
	}
	verdict, err := r.lock(ctx, rebuildKey, owner, ttl.Milliseconds())
	if err != nil || verdict == lockOfAnother {
		return false, err
	}
	// The generation stands before the nonces: a replica that is promoted with a nonce has it too.
	err = r.client.Set(ctx, generationKey, owner+" "+rand.Text(), 0).Err()
	if err == nil {
		_, err = r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, marker := range r.markers.keys {
				pipe.Set(ctx, nonceOf(marker), owner, 0)
			}
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("registry: begin the rebuild: %w", err)
	}
	return true, nil
}

// Generation names the rebuild that began last; "" = none did since Redis was new or lost everything. Who wrote a state
// to the registry topic and finds the generation that was before it applied the event knows that every rebuild to come
// will read the state; else the state may be missing in the rebuilt view, and has to be restored once more.
func (r *Registry) Generation(ctx context.Context) (string, error) {
	generation, err := r.client.Get(ctx, generationKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("registry: read the rebuild's generation: %w", err)
	}
	return generation, nil
}

// ExtendRebuild keeps the lock of [Registry.AcquireRebuild] for ttl from now. [ErrRebuildLost] = owner did not have it
// any more: another may have rebuilt meanwhile, or Redis lost it together with what was restored.
func (r *Registry) ExtendRebuild(ctx context.Context, owner string, ttl time.Duration) error {
	verdict, err := r.lock(ctx, rebuildKey, owner, ttl.Milliseconds())
	if err == nil && verdict != lockExtended {
		err = ErrRebuildLost
	}
	return err
}

// CompleteRebuild sets the epoch marker on every master that still has the nonce of owner's rebuild: what was restored
// since is whole. [ErrRebuildLost] = some master lost it. After any error acquire again and restore everything.
func (r *Registry) CompleteRebuild(ctx context.Context, owner string) error {
	since := r.opts.Now().UTC().Format(time.RFC3339)
	calls := make([]*redis.StringCmd, len(r.markers.keys))
	for i, marker := range r.markers.keys {
		calls[i] = r.scripts.complete.call(ctx, []string{marker, nonceOf(marker)}, owner, since)
	}
	answers, err := r.run(ctx, "complete the rebuild", calls)
	if err != nil {
		return err
	}
	for _, answer := range answers {
		if answer != "1" {
			return ErrRebuildLost
		}
	}
	return nil
}

// ReleaseRebuild gives the lock back; nothing happens where owner does not have it.
func (r *Registry) ReleaseRebuild(ctx context.Context, owner string) error {
	_, err := r.lock(ctx, rebuildKey, owner, 0)
	return err
}

// What lock.lua answers, beside having newly taken the lock.
const (
	lockOfAnother = "0"
	lockExtended  = "X"
)

// lock takes or extends a lock, or gives it back where ttlMS is 0.
func (r *Registry) lock(ctx context.Context, key, owner string, ttlMS int64) (verdict string, err error) {
	answers, err := r.run(ctx, "rebuild lock", []*redis.StringCmd{
		r.scripts.lock.call(ctx, []string{key}, owner, ttlMS),
	})
	if err != nil {
		return "", err
	}
	return answers[0], nil
}
