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

// Scanner reads parts of a topic, to the end it had at the start; *stream.Cluster is one.
type Scanner interface {
	Partitions(ctx context.Context, topic string) (int, error)
	Scan(ctx context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error
}

// Rebuilt is the registry's side of a rebuild; *registry.Registry is one.
type Rebuilt interface {
	Lock
	Restorer
	Ready(ctx context.Context) error
}

// Lock lets one replica rebuild, and tells it where what it restored was lost: see registry.ErrRebuildLost.
type Lock interface {
	AcquireRebuild(ctx context.Context, owner string, lease time.Duration) (bool, error)
	ExtendRebuild(ctx context.Context, owner string, lease time.Duration) error
	CompleteRebuild(ctx context.Context, owner string) error
	ReleaseRebuild(ctx context.Context, owner string) error
}

// Restorer writes what was lost, each only where nothing newer is known.
type Restorer interface {
	Restore(ctx context.Context, states []registry.State) error
	RestoreSettings(ctx context.Context, users []*schemasv1.UserState) error
	RestoreMemberships(ctx context.Context, memberships []registry.Membership) error
}

// Rebuilder restores the registry from push.registry and im.groups whenever its marker is missing.
type Rebuilder struct {
	reg    Rebuilt
	log    Scanner
	cfg    Config
	owner  string
	batch  int // records in one pipeline
	logger *zap.Logger
}

// NewRebuilder returns a Rebuilder; owner names this process in the lock that lets one replica rebuild.
func NewRebuilder(reg Rebuilt, log Scanner, cfg Config, owner string, logger *zap.Logger) *Rebuilder {
	return &Rebuilder{reg: reg, log: log, cfg: cfg, owner: owner, batch: restoreBatch, logger: logger}
}

const (
	watchEvery   = time.Second      // how soon a lost registry is noticed by itself
	rebuildLease = 30 * time.Second // renewed with each batch; a replica that died while rebuilding blocks the others no longer
	restoreBatch = 500
	// scanRounds bounds how often a topic is read on from where the last look at it ended. What is published while one
	// round is restored is little, so each round is shorter than the one before it; whatever is left is a device's or user's
	// event of that very moment, and their next one brings it.
	scanRounds = 10
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

// Rebuild restores every binding, every user's settings and every membership, then sets the marker. What was applied
// meanwhile is newer and stays. Where another replica is at it, it does nothing. An error leaves the marker unset:
// registry.ErrRebuildLost where Redis or the lock was lost on the way.
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
	restore := restoration{reg: r.reg, cfg: r.cfg, batch: r.batch, logger: r.logger, extend: func() error {
		return r.reg.ExtendRebuild(ctx, r.owner, rebuildLease)
	}}
	groups, states := topicScan{topic: r.cfg.Topics.Groups()}, topicScan{topic: r.cfg.Topics.Registry()}
	for range scanRounds {
		before := restore.read
		for _, s := range []*topicScan{&groups, &states} {
			if err := s.on(ctx, r.log, func(rec *stream.Record) error { return restore.take(ctx, rec) }); err != nil {
				return fmt.Errorf("restore from %s: %w", s.topic, err)
			}
		}
		if err := restore.flush(ctx); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if restore.read == before {
			break
		}
	}
	if err := restore.extend(); err != nil {
		return err
	}
	if err := r.reg.CompleteRebuild(ctx, r.owner); err != nil {
		return fmt.Errorf("set the marker: %w", err)
	}
	r.logger.Info("registry rebuilt", zap.Int("records", restore.read), zap.Duration("took", time.Since(began)))
	return nil
}

// topicScan reads one topic, each time from where it ended before.
type topicScan struct {
	topic string
	next  []int64 // by partition; nil before the first time
}

// on hands what is new in the topic to fn, until it fails.
func (s *topicScan) on(ctx context.Context, log Scanner, fn func(*stream.Record) error) error {
	if s.next == nil {
		n, err := log.Partitions(ctx, s.topic)
		if err != nil {
			return err
		}
		s.next = make([]int64, n)
	}
	ranges := make([]stream.Range, len(s.next))
	for partition, from := range s.next {
		ranges[partition] = stream.Range{Partition: int32(partition), From: from, To: -1}
	}
	var failed error
	err := log.Scan(ctx, s.topic, ranges, func(rec *stream.Record) bool {
		s.next[rec.Partition] = rec.Offset + 1
		failed = fn(rec)
		return failed == nil
	})
	return errors.Join(failed, err)
}
