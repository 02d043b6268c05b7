package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// serverKey names the key that holds which process a master is.
const serverKey = "server"

// Succeeded says whether a master is another process than the one that was adopted there: a replica that was promoted,
// or a server that came back from its disk. Its marker stands, and yet the writes of the last moments may be missing. A
// server that keeps to itself which process it is, as a managed one may, is never another.
func (r *Registry) Succeeded(ctx context.Context) (bool, error) {
	var another atomic.Bool
	err := r.eachServer(ctx, func(_ context.Context, _ redis.Cmdable, _, known, now string) error {
		if known != "" && now != known {
			another.Store(true)
		}
		return nil
	})
	return another.Load(), err
}

// Adopt takes every master for the one whose data is whole, or will be.
func (r *Registry) Adopt(ctx context.Context) error {
	return r.eachServer(ctx, func(ctx context.Context, node redis.Cmdable, key, known, now string) error {
		if now == known {
			return nil
		}
		if err := node.Set(ctx, key, now, 0).Err(); err != nil {
			return fmt.Errorf("registry: note which server this is: %w", err)
		}
		return nil
	})
}

// eachServer calls fn for every master with what is known of it and what it says of itself, where it does.
func (r *Registry) eachServer(ctx context.Context, fn func(ctx context.Context, node redis.Cmdable, key, known, now string) error) error {
	return r.eachMaster(ctx, func(ctx context.Context, node redis.Cmdable, probe string) error {
		key := serverKey + strings.TrimPrefix(probe, probeKey)
		known, err := node.Get(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("registry: read which server this was: %w", err)
		}
		info, err := node.Info(ctx, "server").Result()
		var hidden redis.Error
		if err != nil && !errors.As(err, &hidden) {
			return fmt.Errorf("registry: read which server this is: %w", err)
		}
		_, rest, _ := strings.Cut(info, "run_id:")
		now, _, _ := strings.Cut(rest, "\r\n")
		if now == "" {
			return nil
		}
		return fn(ctx, node, key, known, now)
	})
}
