package deliver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// admit asks the registry which notifications may be tried now, and hands those to their pools.
func (d *Deliver) admit(ctx context.Context, batch []*item) {
	for _, it := range d.admissible(ctx, batch) {
		d.poolOf(it.n).add(ctx, it)
	}
}

// admissible asks the registry which notifications may be tried now, and returns them; the others are sent on their way.
func (d *Deliver) admissible(ctx context.Context, batch []*item) []*item {
	now := d.cfg.Now()
	live := make([]*item, 0, len(batch))
	for _, it := range batch {
		switch {
		case it.ctx.Err() != nil:
			d.abandon(it)
		case !it.n.Expires.After(now):
			d.finish(ctx, it, push.Outcome{Disposition: push.Filter, Reason: push.ReasonExpired})
		case d.devices.left(it.rec.Key, now) > 0:
			d.postpone(ctx, it, d.devices.left(it.rec.Key, now))
		default:
			live = append(live, it)
		}
	}
	return d.judged(ctx, live, lastingTries)
}

// judged is what the registry lets go. After so many lasting errors it divides the items until the one is found that
// cannot be judged, so that it holds up no other.
func (d *Deliver) judged(ctx context.Context, items []*item, tries int) []*item {
	if len(items) == 0 {
		return nil
	}
	admissions, lasting, err := d.ask(ctx, items, tries)
	switch {
	case err != nil:
		for _, it := range items {
			d.abandon(it)
		}
		return nil
	case lasting != nil && len(items) == 1:
		d.poisoned(ctx, items[0], lasting)
		return nil
	case lasting != nil:
		half := len(items) / 2
		first := d.judged(ctx, items[:half:half], 1)
		return append(first, d.judged(ctx, items[half:], 1)...)
	}
	now := d.cfg.Now()
	live := make([]*item, 0, len(items))
	for i, a := range admissions {
		if d.admitted(ctx, items[i], a) {
			items[i].admitted = now
			live = append(live, items[i])
		}
	}
	return live
}

// ask repeats until presence is fresh and the registry answers; or until it failed so many times in a way that lasts, which is returned; or
// until none of the items may be started any more, which is the error.
func (d *Deliver) ask(ctx context.Context, items []*item, tries int) (_ []registry.Admission, lasting, err error) {
	requests := make([]registry.AdmitRequest, len(items))
	for i, it := range items {
		requests[i] = d.request(it)
	}
	for failed := 0; ; failed++ {
		err := d.cfg.Hold(ctx)
		var admissions []registry.Admission
		if err == nil {
			admissions, err = d.reg.Admit(ctx, requests)
		}
		if err == nil {
			return admissions, nil, nil
		}
		if registry.Lasting(err) {
			if tries--; tries <= 0 {
				return nil, err, nil
			}
		}
		if failed == 0 {
			d.log.Warn("no answer; deliver holds", zap.String("platform", string(d.cfg.Platform)), zap.Error(err))
		}
		if err := d.pause(ctx, items); err != nil {
			return nil, nil, err
		}
	}
}

// request asks for one item.
func (d *Deliver) request(it *item) registry.AdmitRequest {
	n := it.n
	key, content := message.SplitKey(n.MsgKey)
	q := registry.AdmitRequest{App: n.App, User: n.User, Device: n.Device, ID: n.ID,
		Owner: d.cfg.Owner, Lease: d.cfg.SendTimeout + 2*leaseMargin, Attempt: it.meta.Attempt, Redrive: it.meta.Redrive,
		Platform: n.Platform, Version: n.Version, MsgKey: n.MsgKey, Message: registry.MessageRef{App: n.App, Key: key, Content: content},
		Purpose: n.Purpose, Type: n.Type, AnyForeground: d.cfg.AnyForeground(n.App)}
	if n.Purpose != push.PurposeFirst {
		q.First = n.CollapseID
	}
	return q
}

// pause waits before the next try; its error says that there will be none.
func (d *Deliver) pause(ctx context.Context, items []*item) error {
	select {
	case <-time.After(redisPause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, it := range items {
		if it.ctx.Err() == nil {
			return nil
		}
	}
	return context.Canceled
}

// admitted says whether an item may be sent; what may not is sent on its way.
func (d *Deliver) admitted(ctx context.Context, it *item, a registry.Admission) bool {
	switch a.Verdict {
	case registry.Go:
		n := *it.n
		if a.Binding != nil {
			n = *rebound(it.n, *a.Binding)
		}
		n.Badge = a.Badge
		it.n = &n
		if d.cfg.Known(n.App, n.Credential) {
			return true
		}
		// A device may name anything: it must not cost a pool.
		d.finish(ctx, it, push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential})
	case registry.Moved:
		if !d.cfg.Serves(a.Binding.Platform) { // its topics do not exist
			d.finish(ctx, it, push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential})
			return false
		}
		d.move(ctx, it, *a.Binding)
	case registry.Done:
		d.repeat(ctx, it, a)
	case registry.Leased:
		d.finish(ctx, it, push.Outcome{Disposition: push.Retry, Reason: push.ReasonLeased})
	case registry.Filtered:
		d.finish(ctx, it, push.Outcome{Disposition: push.Filter, Reason: a.Reason})
	}
	return false
}
