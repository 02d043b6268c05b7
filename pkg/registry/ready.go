package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// ErrEvicts says that Redis is set to throw away users where memory is short: their devices would look like none. The
// registry is not whole while that is so, nor after it until it is rebuilt.
var ErrEvicts = errors.New("registry: Redis may evict users (maxmemory-policy allkeys-*): set maxmemory-policy noeviction")

// probeKey names the key that shows whether a master takes writes, and holds when it last did.
const probeKey = "probe"

// Ready returns nil when every master answers, takes writes and holds the registry; [ErrEvicts] where one may evict
// users, [ErrEmpty] where an epoch marker is missing, else what the first master says that does not do its work. On a
// cluster it asks for every slot's marker; call it every second or so, not per record.
func (r *Registry) Ready(ctx context.Context) error {
	if err := r.eachMaster(ctx, r.masterReady); err != nil {
		return err
	}
	cmds, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range r.markers.keys {
			pipe.Exists(ctx, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("registry: read the epoch marker: %w", err)
	}
	for _, cmd := range cmds {
		if cmd.(*redis.IntCmd).Val() == 0 {
			return ErrEmpty
		}
	}
	return nil
}

// masterReady writes before it reads: a connection to a master that became a replica is given up only where the first
// command of a pipeline says so.
func (r *Registry) masterReady(ctx context.Context, node redis.Cmdable, probe string) error {
	var memory *redis.StringCmd
	cmds, err := node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, probe, time.Now().UnixMilli(), 0)
		memory = pipe.Info(ctx, "memory")
		return nil
	})
	if wrote := cmds[0].Err(); wrote != nil {
		return fmt.Errorf("registry: Redis takes no writes: %w", wrote)
	}
	var hidden redis.Error
	if err != nil && !errors.As(err, &hidden) { // a server may keep INFO to itself
		return fmt.Errorf("registry: read Redis' settings: %w", err)
	}
	policy := evictionPolicy(memory.Val())
	switch {
	case strings.HasPrefix(policy, "allkeys-"):
		return ErrEvicts
	case strings.HasPrefix(policy, "volatile-"):
		r.warnEvicts.Do(func() {
			r.opts.Logger.Warn("Redis may evict claims and marks where memory is short, and then pushes come twice; set maxmemory-policy noeviction",
				zap.String("policy", policy))
		})
	}
	return nil
}

// evictionPolicy reads what INFO says of memory; "" where nothing is ever evicted, or nothing is said.
func evictionPolicy(info string) string {
	policy, limited := "", false
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory":
			most, err := strconv.ParseInt(value, 10, 64)
			limited = err == nil && most > 0
		case "maxmemory_policy":
			policy = value
		}
	}
	if !limited {
		return ""
	}
	return policy
}

// eachMaster calls fn for every master at once, with a key of its own that lies there.
func (r *Registry) eachMaster(ctx context.Context, fn func(ctx context.Context, node redis.Cmdable, probe string) error) error {
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return fn(ctx, r.client, probeKey)
	}
	ranges, err := cluster.ClusterSlots(ctx).Result() //nolint:staticcheck // Redis 6 has no CLUSTER SHARDS
	if err != nil {
		return fmt.Errorf("registry: read the cluster's slots: %w", err)
	}
	probes := make(map[string]string, len(ranges))
	for _, slots := range ranges {
		if len(slots.Nodes) > 0 && slots.Start >= 0 && slots.Start < len(r.markers.keys) {
			probes[slots.Nodes[0].Addr] = probeKey + strings.TrimPrefix(r.markers.keys[slots.Start], markerKey)
		}
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if probe := probes[node.Options().Addr]; probe != "" {
			return fn(ctx, node, probe)
		}
		return nil // it has no slot
	})
}
