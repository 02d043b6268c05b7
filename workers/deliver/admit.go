package deliver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// admit asks the registry which notifications may be tried now, and sends each on its way.
func (d *Deliver) admit(ctx context.Context, batch []*item) {
	now := d.cfg.Now()
	live := batch[:0]
	for _, it := range batch {
		switch {
		case it.ctx.Err() != nil:
			d.abandon(it)
		case !it.n.Expires.After(now):
			d.finish(ctx, it, push.Outcome{Disposition: push.Filter, Reason: push.ReasonExpired})
		default:
			live = append(live, it)
		}
	}
	if len(live) == 0 {
		return
	}
	admissions, err := d.ask(ctx, live)
	if err != nil {
		for _, it := range live {
			d.abandon(it)
		}
		return
	}
	now = d.cfg.Now()
	for i, a := range admissions {
		live[i].admitted = now
		d.admitted(ctx, live[i], a)
	}
}

// ask repeats until the registry answers, or until none of the items may be started any more.
func (d *Deliver) ask(ctx context.Context, items []*item) ([]registry.Admission, error) {
	requests := make([]registry.AdmitRequest, len(items))
	for i, it := range items {
		n := it.n
		requests[i] = registry.AdmitRequest{App: n.App, User: n.User, Device: n.Device, ID: n.ID, MsgKey: n.MsgKey,
			Owner: d.cfg.Owner, Lease: d.cfg.SendTimeout + 2*leaseMargin, Attempt: it.meta.Attempt, Redrive: it.meta.Redrive,
			Platform: n.Platform, Version: n.Version}
	}
	for failed := 0; ; failed++ {
		admissions, err := d.reg.Admit(ctx, requests)
		if err == nil {
			return admissions, nil
		}
		if failed == 0 {
			d.log.Warn("registry does not answer; deliver holds", zap.String("platform", string(d.cfg.Platform)), zap.Error(err))
		}
		if err := d.pause(ctx, items); err != nil {
			return nil, err
		}
	}
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

// admitted sends one item on its way.
func (d *Deliver) admitted(ctx context.Context, it *item, a registry.Admission) {
	switch a.Verdict {
	case registry.Go:
		n := *it.n
		n.Badge = a.Badge
		if a.Binding != nil {
			n.Token, n.Credential, n.Version = a.Binding.Token, a.Binding.Credential, a.Binding.Version
		}
		it.n = &n
		if !d.cfg.Known(n.App, n.Credential) { // a device may name anything: it must not cost a pool
			d.finish(ctx, it, push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential})
			return
		}
		d.pool(n.App, n.Credential).add(ctx, it)
	case registry.Moved:
		if !d.cfg.Serves(a.Binding.Platform) { // its topics do not exist
			d.finish(ctx, it, push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential})
			return
		}
		d.move(ctx, it, *a.Binding)
	case registry.Done:
		d.repeat(ctx, it, a)
	case registry.Leased:
		d.finish(ctx, it, push.Outcome{Disposition: push.Retry, Reason: push.ReasonLeased})
	case registry.Filtered:
		d.finish(ctx, it, push.Outcome{Disposition: push.Filter, Reason: a.Reason})
	}
}
