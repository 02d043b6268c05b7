package devices

import (
	"context"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// restoreBytes bounds what is held of the records: a user's settings may take up to 300 KB.
const restoreBytes = 4 << 20

// restoration collects records of push.registry and im.groups and restores them in batches.
type restoration struct {
	reg    Restorer
	cfg    Config
	batch  int // records in one pipeline
	logger *zap.Logger
	extend func() error // keeps the lock; fails where what was restored may be lost

	bytes       int // of the values collected
	states      []registry.State
	users       []*schemasv1.UserState
	memberships []registry.Membership
}

// take adds a record. What cannot be read is left out: one bad record must not keep the registry empty for ever.
func (r *restoration) take(ctx context.Context, rec *stream.Record) error {
	r.bytes += len(rec.Value)
	if rec.Topic == r.cfg.Topics.Groups() {
		// The role has put what it could not read here to the dead topic, and has said so.
		if m, err := ReadMembership(rec, r.cfg); err == nil {
			r.memberships = append(r.memberships, m)
		}
	} else if len(rec.Value) > 0 {
		r.state(rec)
	}
	if max(len(r.states), len(r.users), len(r.memberships)) < r.batch && r.bytes < restoreBytes {
		return nil
	}
	return r.flush(ctx)
}

// state adds a record of push.registry: a user's under app|user, a device's under app|user|device.
func (r *restoration) state(rec *stream.Record) {
	ids, err := stream.SplitKey(rec.Key)
	switch {
	case err != nil:
	case len(ids) == 2:
		user := new(schemasv1.UserState)
		if err = user.UnmarshalVT(rec.Value); err == nil {
			r.users = append(r.users, user)
		}
	default:
		device := new(schemasv1.DeviceState)
		if err = device.UnmarshalVT(rec.Value); err == nil {
			r.states = append(r.states, registry.StateOf(device))
		}
	}
	if err != nil {
		r.logger.Error("unreadable state skipped", zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset), zap.Error(err))
	}
}

// flush restores what was collected.
func (r *restoration) flush(ctx context.Context) error {
	r.bytes = 0
	if len(r.states)+len(r.users)+len(r.memberships) == 0 {
		return nil
	}
	if err := r.extend(); err != nil {
		return err
	}
	if len(r.states) > 0 {
		if err := r.reg.Restore(ctx, r.states); err != nil {
			return err
		}
	}
	if len(r.users) > 0 {
		if err := r.reg.RestoreSettings(ctx, r.users); err != nil {
			return err
		}
	}
	if len(r.memberships) > 0 {
		if err := r.reg.RestoreMemberships(ctx, r.memberships); err != nil {
			return err
		}
	}
	clear(r.users)
	r.states, r.users, r.memberships = r.states[:0], r.users[:0], r.memberships[:0]
	return nil
}
