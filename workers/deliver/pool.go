package deliver

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// credential names a pool.
type credential struct{ app, name string }

// pool bounds what one credential has in flight and waiting, so that it cannot take the others' place.
type pool struct {
	d    *Deliver
	cred credential

	mu      sync.Mutex
	waiting weighted[*item]
	flying  int
	refused time.Time // until then the credential's records are parked unsent
}

// poolOf is where a notification's credential is used. A platform without credentials has one pool an app.
func (d *Deliver) poolOf(n *push.Notification) *pool {
	key := credential{n.App, n.Credential}
	if d.cfg.Keyless {
		key.name = ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pools[key]
	if p == nil {
		p = &pool{d: d, cred: key, waiting: newWeighted(d.weights, laneOf)}
		d.pools[key] = p
	}
	return p
}

// shared says whether several credentials are in use.
func (d *Deliver) shared() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pools) > 1
}

// add queues an admitted item, or parks it where the credential cannot take it.
func (p *pool) add(ctx context.Context, it *item) {
	shared := p.d.shared()
	p.mu.Lock()
	refused := p.d.cfg.Now().Before(p.refused)
	full := shared && p.waiting.beside(it) >= p.d.cfg.Share
	if !refused && !full {
		p.waiting.put(it)
	}
	p.mu.Unlock()
	switch {
	case refused:
		p.d.finish(ctx, it, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused})
	case full:
		p.d.finish(ctx, it, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialShare})
	default:
		p.start(ctx)
	}
}

// start begins as many batches as the credential's concurrency allows.
func (p *pool) start(ctx context.Context) {
	for {
		p.mu.Lock()
		n := min(p.waiting.len(), p.d.cfg.Concurrency-p.flying, sendBatch)
		if n <= 0 || (n < sendBatchMin && n < p.waiting.len() && p.flying > 0) {
			p.mu.Unlock()
			return
		}
		batch := p.waiting.take(n)
		p.flying += n
		p.mu.Unlock()
		p.d.sends.Go(func() { p.send(ctx, batch) })
	}
}

// landed gives n places back.
func (p *pool) landed(ctx context.Context, n int) {
	p.mu.Lock()
	p.flying -= n
	p.mu.Unlock()
	p.start(ctx)
}

// send makes one attempt for each item of a batch and settles each as its answer comes.
func (p *pool) send(ctx context.Context, batch []*item) {
	live := p.fresh(ctx, batch)
	p.landed(ctx, len(batch)-len(live))
	if len(live) == 0 {
		return
	}
	sender, err := p.d.senders(p.cred.app, p.cred.name)
	if err != nil {
		sender = p.cannot(err)
	}
	notifications := make([]*push.Notification, len(live))
	for i, it := range live {
		notifications[i] = it.n
	}
	sendCtx, cancel := context.WithTimeout(ctx, p.d.cfg.SendTimeout)
	defer cancel()
	began := p.d.cfg.Now()
	var mu sync.Mutex
	reported := make([]bool, len(live))
	report := func(i int, o push.Outcome) {
		mu.Lock()
		again := reported[i]
		reported[i] = true
		mu.Unlock()
		if !again {
			p.answer(ctx, live[i], o, p.d.cfg.Now().Sub(began))
		}
	}
	sender.Send(sendCtx, notifications, report)
	for i := range live {
		report(i, push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Ambiguous: true})
	}
}

// fresh leaves out what must not be tried any more. What waited so long in the pool that its lease would not cover the
// attempt asks for admission again, and keeps its place meanwhile: the others behind it wait no longer for that.
func (p *pool) fresh(ctx context.Context, batch []*item) []*item {
	now := p.d.cfg.Now()
	live := make([]*item, 0, len(batch))
	var old []*item
	for _, it := range batch {
		switch {
		case it.ctx.Err() != nil || ctx.Err() != nil:
			p.d.unlease(it)
			p.d.abandon(it)
		case now.Sub(it.admitted) > leaseMargin:
			old = append(old, it)
		default:
			live = append(live, it)
		}
	}
	for _, it := range p.d.admissible(ctx, old) {
		if other := p.d.poolOf(it.n); other != p {
			other.add(ctx, it)
			continue
		}
		live = append(live, it)
	}
	return live
}

// cannot is the sender of a credential whose key cannot be used.
func (p *pool) cannot(err error) push.Sender {
	o := push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential, Err: err}
	return push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		for i := range batch {
			report(i, o)
		}
	})
}

// answer settles one item and gives its place to the next.
func (p *pool) answer(ctx context.Context, it *item, o push.Outcome, took time.Duration) {
	if o.Disposition == push.Park && o.Scope == push.ScopeCredential {
		p.refuse(o)
	}
	p.d.cfg.Observe(it.n, it.meta.Lane, o, took)
	if ctx.Err() != nil && o.Disposition == push.Retry { // stopped in the middle: costs no attempt
		p.d.unlease(it)
		p.d.abandon(it)
	} else {
		p.d.finish(ctx, it, o)
	}
	p.landed(ctx, 1)
}

// refuse notes that the provider, or its key, refuses this credential.
func (p *pool) refuse(o push.Outcome) {
	now := p.d.cfg.Now()
	p.mu.Lock()
	known := now.Before(p.refused)
	p.refused = now.Add(refusedFor)
	p.mu.Unlock()
	if !known {
		p.d.log.Error("credential refused; its records are parked", zap.String("platform", string(p.d.cfg.Platform)),
			zap.String("app", p.cred.app), zap.String("credential", p.cred.name), zap.String("answer", o.Answer), zap.Error(o.Err))
	}
}
