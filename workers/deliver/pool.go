package deliver

import (
	"context"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// credential names a pool.
type credential struct{ app, name string }

// pool bounds what one credential has in flight and waiting, so that it cannot take the others' place, and keeps what
// its answers say of it.
type pool struct {
	d    *Deliver
	cred credential

	mu      sync.Mutex
	waiting weighted[*item]
	flying  int
	limit   concurrency
	circuit *circuit
	brake   brake
	quiet   time.Time // until then the provider wants nothing of this credential
	refused bool      // and said so in the log
	parked  bool      // records were parked, and have to be told when they may come back
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
		p = &pool{d: d, cred: key, waiting: newWeighted(d.weights, laneOf), limit: newConcurrency(d.cfg.Concurrency),
			circuit: newCredentialCircuit()}
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
	if p.d.stops.Paused(p.cred.app, p.cred.name) {
		p.d.finish(ctx, it, parkedFor(push.ReasonPaused))
		return
	}
	shared := p.d.shared()
	p.mu.Lock()
	open := p.circuit.State() == gobreaker.StateOpen
	full := shared && p.waiting.beside(it) >= p.d.cfg.Share
	if !open && !full {
		p.waiting.put(it)
	}
	p.mu.Unlock()
	switch {
	case open:
		p.park(ctx, it, push.ReasonCredentialRefused)
	case full:
		p.park(ctx, it, push.ReasonCredentialShare)
	default:
		p.start(ctx)
	}
}

// park sends an item to wait until the credential can take it.
func (p *pool) park(ctx context.Context, it *item, reason push.Reason) {
	p.d.finish(ctx, it, parkedFor(reason))
	p.mu.Lock()
	p.parked = true
	p.mu.Unlock()
}

// start begins as many batches as the provider, and the credential's concurrency, allow.
func (p *pool) start(ctx context.Context) {
	for {
		permits := p.d.permits()
		p.mu.Lock()
		n := min(p.waiting.len(), p.limit.places()-p.flying, sendBatch, permits)
		wait := n < sendBatchMin && n < p.waiting.len() && n < permits && p.flying > 0
		if n <= 0 || wait || p.d.cfg.Now().Before(p.quiet) {
			p.mu.Unlock()
			return
		}
		batch := p.waiting.take(n)
		p.flying += n
		p.mu.Unlock()
		p.d.sends.Go(func() { p.send(ctx, batch) })
		if permits == 1 {
			return
		}
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
	live := p.permitted(ctx, p.fresh(ctx, batch))
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
// attempt asks for admission again, and keeps its place meanwhile: the others behind it wait no longer for that. Asking
// may take long, while Redis is away or presence is behind: then it looks at all of them again.
func (p *pool) fresh(ctx context.Context, batch []*item) []*item {
	for {
		now := p.d.cfg.Now()
		live := make([]*item, 0, len(batch))
		var old []*item
		for _, it := range batch {
			switch {
			case it.ctx.Err() != nil || ctx.Err() != nil:
				p.d.unlease(it, false)
				p.d.abandon(it)
			case p.d.stops.Paused(p.cred.app, p.cred.name):
				p.d.finish(ctx, it, parkedFor(push.ReasonPaused))
			case now.Sub(it.admitted) > leaseMargin:
				old = append(old, it)
			default:
				live = append(live, it)
			}
		}
		if len(old) == 0 {
			return live
		}
		for _, it := range p.d.admissible(ctx, old) {
			if other := p.d.poolOf(it.n); other != p {
				other.add(ctx, it)
				continue
			}
			live = append(live, it)
		}
		batch = live
	}
}

// permitted asks the circuits for an attempt for each item. Without the provider's an item goes back to wait, without the
// credential's it is parked.
func (p *pool) permitted(ctx context.Context, batch []*item) []*item {
	p.mu.Lock()
	circuit := p.circuit
	p.mu.Unlock()
	live := batch[:0]
	for _, it := range batch {
		ofProvider, err := p.d.allow()
		if err != nil {
			p.mu.Lock()
			p.waiting.put(it)
			p.mu.Unlock()
			continue
		}
		ofCredential, err := circuit.Allow()
		if err != nil {
			ofProvider(errNothing)
			p.park(ctx, it, push.ReasonCredentialRefused)
			continue
		}
		it.ofProvider, it.ofCredential = ofProvider, ofCredential
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
	p.d.cfg.Observe(it.n, it.meta.Lane, o, took)
	if ctx.Err() != nil && o.Disposition == push.Retry { // stopped in the middle: costs no attempt, and says nothing
		it.ofProvider(errNothing)
		it.ofCredential(errNothing)
		p.d.unlease(it, o.Ambiguous)
		p.d.abandon(it)
	} else {
		it.ofProvider(ofProvider(o))
		it.ofCredential(ofCredential(o))
		p.d.finish(ctx, it, p.learn(it, o, took))
		if o.Disposition == push.Park {
			p.d.nudge()
		}
	}
	p.landed(ctx, 1)
}
