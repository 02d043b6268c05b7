package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// State is the record of a binding's full state.
func State(topics stream.Topics, s *schemasv1.DeviceState) stream.Message {
	value, err := s.MarshalVT()
	if err != nil {
		panic("a message without required fields did not marshal: " + err.Error())
	}
	return stream.Message{Topic: topics.Registry(), Key: stream.DeviceKey(s.GetApp(), s.GetUser(), s.GetDevice()),
		Value: value, Partition: -1, PartitionKey: stream.UserKey(s.GetApp(), s.GetUser())}
}

// Scanner reads a topic from its first records to the end it had at the start; *stream.Cluster is one.
type Scanner interface {
	Scan(ctx context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error
}

// Rebuilt is the registry's side of a rebuild; *registry.Registry is one.
type Rebuilt interface {
	Ready(ctx context.Context) error
	Complete(ctx context.Context) error
	Restore(ctx context.Context, states []registry.State) error
	AcquireRebuild(ctx context.Context, owner string, lease time.Duration) (bool, error)
	ReleaseRebuild(ctx context.Context, owner string) error
}

// Rebuilder restores the registry from push.registry whenever its marker is missing.
type Rebuilder struct {
	reg    Rebuilt
	log    Scanner
	topics stream.Topics
	owner  string
	logger *zap.Logger
}

// NewRebuilder returns a Rebuilder; owner names this process in the lock that lets one replica rebuild.
func NewRebuilder(reg Rebuilt, log Scanner, topics stream.Topics, owner string, logger *zap.Logger) *Rebuilder {
	return &Rebuilder{reg: reg, log: log, topics: topics, owner: owner, logger: logger}
}

const (
	watchEvery   = time.Second      // how soon a lost registry is noticed by itself
	rebuildLease = 30 * time.Second // renewed with each batch; a replica that died while rebuilding blocks the others no longer
	restoreBatch = 500              // states in one pipeline
)

// Run watches the marker until ctx ends.
func (r *Rebuilder) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if errors.Is(r.reg.Ready(ctx), registry.ErrEmpty) {
			if err := r.Rebuild(ctx); err != nil && ctx.Err() == nil {
				r.logger.Error("rebuild of the registry failed; trying again", zap.Error(err))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Rebuild restores every binding, then sets the marker. What was applied meanwhile is newer and stays. Where another
// replica is at it, it does nothing.
func (r *Rebuilder) Rebuild(ctx context.Context) error {
	mine, err := r.reg.AcquireRebuild(ctx, r.owner, rebuildLease)
	if err != nil || !mine {
		return err
	}
	defer func() {
		if err := r.reg.ReleaseRebuild(context.WithoutCancel(ctx), r.owner); err != nil {
			r.logger.Warn("lock of the rebuild not released; it ends by itself", zap.Error(err))
		}
	}()
	began := time.Now()
	n := 0
	batch := make([]registry.State, 0, restoreBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := r.reg.AcquireRebuild(ctx, r.owner, rebuildLease); err != nil {
			return err
		}
		err := r.reg.Restore(ctx, batch)
		n += len(batch)
		batch = batch[:0]
		return err
	}
	var failed error
	err = r.log.Scan(ctx, r.topics.Registry(), nil, func(rec *stream.Record) bool {
		if len(rec.Value) == 0 {
			return true
		}
		state := new(schemasv1.DeviceState)
		if err := state.UnmarshalVT(rec.Value); err != nil {
			r.logger.Error("unreadable state skipped", zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset), zap.Error(err))
			return true
		}
		if batch = append(batch, registry.StateOf(state)); len(batch) == restoreBatch {
			failed = flush()
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("restore from %s: %w", r.topics.Registry(), err)
	}
	if err := r.reg.Complete(ctx); err != nil {
		return fmt.Errorf("set the marker: %w", err)
	}
	r.logger.Info("registry rebuilt", zap.Int("states", n), zap.Duration("took", time.Since(began)))
	return nil
}
