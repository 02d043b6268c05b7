package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	wishKey   = "rebuild:wish"
	reportKey = "rebuild:report"
)

// Retract takes the epoch markers away: nothing is decided any more until the registry was rebuilt.
func (r *Registry) Retract(ctx context.Context) error {
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, marker := range r.markers.keys {
			pipe.Del(ctx, marker)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("registry: take the epoch marker away: %w", err)
	}
	return nil
}

// WishRebuild asks whoever watches the registry to rebuild it next to the traffic, or, with hold, before anything more is
// decided. wish says who asks and is unlike any other; the report of the rebuild that fulfills it repeats it. It may be
// repeated, and a later wish takes its place. A Redis that loses its content loses the wish, and is rebuilt for that reason.
func (r *Registry) WishRebuild(ctx context.Context, wish string, hold bool) error {
	if err := r.client.Set(ctx, wishKey, wish, 0).Err(); err != nil {
		return fmt.Errorf("registry: ask for a rebuild: %w", err)
	}
	if hold {
		return r.Retract(ctx)
	}
	return nil
}

// RebuildWish is the wish that is not fulfilled yet; "" = none.
func (r *Registry) RebuildWish(ctx context.Context) (string, error) {
	wish, err := r.client.Get(ctx, wishKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("registry: read who asks for a rebuild: %w", err)
	}
	return wish, nil
}

// FulfillRebuild ends a wish, unless another has taken its place.
func (r *Registry) FulfillRebuild(ctx context.Context, wish string) error {
	_, err := r.lock(ctx, wishKey, wish, 0)
	return err
}

// RebuildReport is what a rebuild says of itself while it runs and when it ended.
type RebuildReport struct {
	Owner   string    `json:"owner"`          // the process
	Wish    string    `json:"wish,omitempty"` // who asked for it; "" = it began by itself
	Began   time.Time `json:"began"`
	Seen    time.Time `json:"seen"`            // when this was written
	Records int64     `json:"records"`         // read so far
	Behind  int64     `json:"behind"`          // offsets left, at most as many records: topics are compacted
	Done    bool      `json:"done"`            // it ended
	Error   string    `json:"error,omitempty"` // why it has to begin again
}

// ReportRebuild leaves a report where [Registry.LastRebuild] finds it. Redis may lose it.
func (r *Registry) ReportRebuild(ctx context.Context, report RebuildReport) error {
	value, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("registry: report of a rebuild: %w", err)
	}
	if err := r.client.Set(ctx, reportKey, value, 0).Err(); err != nil {
		return fmt.Errorf("registry: write the rebuild's report: %w", err)
	}
	return nil
}

// LastRebuild returns the newest report; the zero one where there is none.
func (r *Registry) LastRebuild(ctx context.Context) (RebuildReport, error) {
	var report RebuildReport
	value, err := r.client.Get(ctx, reportKey).Bytes()
	if errors.Is(err, redis.Nil) {
		return report, nil
	}
	if err == nil {
		err = json.Unmarshal(value, &report)
	}
	if err != nil {
		return report, fmt.Errorf("registry: read the rebuild's report: %w", err)
	}
	return report, nil
}
