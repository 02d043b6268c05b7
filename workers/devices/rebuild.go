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
	Ends(ctx context.Context, topic string) (map[int32]int64, error)
	Scan(ctx context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error
}

// Rebuilt is the registry's side of a rebuild; *registry.Registry is one.
type Rebuilt interface {
	Lock
	Restorer
	Wishes
	Servers
	Ready(ctx context.Context) error
	Retract(ctx context.Context) error
}

// Servers tell whether Redis may lack the writes of its last moments.
type Servers interface {
	Succeeded(ctx context.Context) (bool, error)
	Adopt(ctx context.Context) error
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

// Wishes are an operator's or our own, and what is answered.
type Wishes interface {
	WishRebuild(ctx context.Context, wish string, hold bool) error
	RebuildWish(ctx context.Context) (string, error)
	FulfillRebuild(ctx context.Context, wish string) error
	ReportRebuild(ctx context.Context, report registry.RebuildReport) error
}

// Rebuilder restores the registry from push.registry and im.groups whenever its marker is missing or somebody wishes it.
type Rebuilder struct {
	reg    Rebuilt
	log    Scanner
	cfg    Config
	owner  string
	batch  int // records in one pipeline
	logger *zap.Logger
	evicts bool // Redis may evict users, as of the last look
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
	// round is restored is little, so each round is shorter than the one before it; whoever wrote what is left restores it:
	// see keeper.
	scanRounds = 10
)

// Run watches the marker and the wishes until ctx ends.
func (r *Rebuilder) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		r.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look rebuilds where that is due.
func (r *Rebuilder) look(ctx context.Context) {
	err := r.reg.Ready(ctx)
	before := r.evicts
	if r.evicts = errors.Is(err, registry.ErrEvicts); r.evicts {
		if !before {
			r.logger.Error("nothing is pushed before Redis keeps its users; then the registry is rebuilt", zap.Error(err))
		}
		if err := r.reg.Retract(ctx); err != nil { // each time: whoever rebuilt until now may have set the marker since
			r.logger.Error("what may be missing is not held back", zap.Error(err))
		}
		return
	}
	wish := ""
	if err == nil {
		if err := r.succeed(ctx); err != nil {
			r.logger.Warn("not known whether Redis lacks its last writes; looking again", zap.Error(err))
		}
		wish, err = r.reg.RebuildWish(ctx)
	}
	if !errors.Is(err, registry.ErrEmpty) && wish == "" {
		return
	}
	if err := r.Rebuild(ctx); err != nil && ctx.Err() == nil {
		r.logger.Error("rebuild of the registry failed; trying again", zap.Error(err))
	}
}

// succeed wishes for a rebuild next to the traffic where Redis failed over or came back from its disk: what it lacks is
// of its last moments, and not worth holding everybody's pushes.
func (r *Rebuilder) succeed(ctx context.Context) error {
	wish, err := r.reg.RebuildWish(ctx)
	if err != nil || wish != "" { // the rebuild that is wished for already looks itself
		return err
	}
	another, err := r.reg.Succeeded(ctx)
	if err != nil {
		return err
	}
	if another {
		r.logger.Warn("Redis failed over or was restarted: its last writes may be missing and are restored")
		wish = r.owner + " at " + r.cfg.Now().UTC().Format(time.RFC3339Nano) + ": Redis failed over or was restarted"
		if err := r.reg.WishRebuild(ctx, wish, false); err != nil {
			return err
		}
	}
	return r.reg.Adopt(ctx)
}

// Rebuild restores every binding, every user's settings and every membership, then sets the marker. What was applied
// meanwhile is newer and stays. Where another replica is at it, it does nothing. An error leaves the marker as it was:
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
	wish, err := r.reg.RebuildWish(ctx)
	if err != nil {
		return err
	}
	if err := r.reg.Adopt(ctx); err != nil {
		return err
	}
	p := newProgress(r.reg, r.owner, wish, r.logger)
	r.logger.Info("rebuild of the registry begins", zap.String("wish", wish))
	err = r.rebuild(ctx, p)
	p.end(ctx, err)
	if err != nil {
		return err
	}
	r.logger.Info("registry rebuilt", zap.Int64("records", p.report.Records), zap.Duration("took", p.took()), zap.String("wish", wish))
	if wish == "" {
		return nil
	}
	return r.reg.FulfillRebuild(ctx, wish)
}

func (r *Rebuilder) rebuild(ctx context.Context, p *progress) error {
	restore := restoration{reg: r.reg, cfg: r.cfg, batch: r.batch, logger: r.logger, extend: func() error {
		p.tell(ctx)
		return r.reg.ExtendRebuild(ctx, r.owner, rebuildLease)
	}}
	groups, states := topicScan{topic: r.cfg.Topics.Groups()}, topicScan{topic: r.cfg.Topics.Registry()}
	p.scans = []*topicScan{&groups, &states}
	for range scanRounds {
		before := p.report.Records
		for _, s := range p.scans {
			if err := s.look(ctx, r.log); err != nil {
				return err
			}
		}
		for _, s := range p.scans {
			err := s.on(ctx, r.log, func(rec *stream.Record) error {
				p.report.Records++
				return restore.take(ctx, rec)
			})
			if err != nil {
				return fmt.Errorf("restore from %s: %w", s.topic, err)
			}
		}
		if err := restore.flush(ctx); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if p.report.Records == before {
			break
		}
	}
	if err := restore.extend(); err != nil {
		return err
	}
	// A replica that was promoted meanwhile has the nonces, but maybe not what was restored last.
	if another, err := r.reg.Succeeded(ctx); another || err != nil {
		return errors.Join(registry.ErrRebuildLost, err)
	}
	if err := r.reg.CompleteRebuild(ctx, r.owner); err != nil {
		return fmt.Errorf("set the marker: %w", err)
	}
	return nil
}
