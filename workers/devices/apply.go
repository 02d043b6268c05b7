package devices

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// job is one record on its way.
type job struct {
	rec     *stream.Record
	pending *outcome.Pending
}

// kind is the readable records of a batch that are applied by the same call, in order.
type kind[T any] struct {
	values []T
	jobs   []job
}

func (k *kind[T]) add(value T, j job) {
	k.values = append(k.values, value)
	k.jobs = append(k.jobs, j)
}

func read[T any](k *kind[T], j job, parse func(*stream.Record, Config) (T, error), cfg Config) error {
	value, err := parse(j.rec, cfg)
	if err == nil {
		k.add(value, j)
	}
	return err
}

const redisPause = 100 * time.Millisecond // between two tries while Redis is away

// apply applies a kind's values in one call, and repeats it until the registry answers or ctx ends. Where an error would
// last, half of the values at a time are applied, until what nobody can apply stands alone and goes to the dead topic:
// one damaged key must not hold up everybody's presence.
func apply[T any](ctx context.Context, d *Devices, k kind[T], call func(context.Context, []T, []job) error) {
	if len(k.values) == 0 {
		return
	}
	for failed := 0; ; failed++ {
		err := call(ctx, k.values, k.jobs)
		switch {
		case err == nil:
			for _, j := range k.jobs {
				j.pending.Done(nil)
			}
			return
		case registry.Lasting(err) && len(k.values) > 1:
			half := len(k.values) / 2
			apply(ctx, d, kind[T]{k.values[:half], k.jobs[:half]}, call)
			apply(ctx, d, kind[T]{k.values[half:], k.jobs[half:]}, call)
			return
		case registry.Lasting(err):
			d.dead(ctx, k.jobs[0], err)
			return
		case failed == 0:
			d.log.Warn("registry does not answer; devices holds", zap.Error(err))
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			for _, j := range k.jobs {
				j.pending.Done(context.Cause(ctx))
			}
			return
		}
	}
}
