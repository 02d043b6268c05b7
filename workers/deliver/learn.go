package deliver

import (
	"context"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/workers/control"
)

// longestQuiet bounds how long a credential that its provider throttles is left alone; then its sends, fewer at a time
// than before, ask again.
const longestQuiet = time.Minute

// learn takes what an answer says of the credential and of the device, and returns what is to become of the item: while
// the brake is on, a rejected token is not believed.
func (p *pool) learn(it *item, o push.Outcome, took time.Duration) push.Outcome {
	now := p.d.cfg.Now()
	if o.Disposition == push.Retry && o.Reason == push.ReasonDeviceThrottled {
		p.d.devices.put(it.rec.Key, now, max(o.RetryAfter, p.d.cfg.Policy.Delays[0]))
	}
	refused := o.Disposition == push.Park && o.Scope == push.ScopeCredential
	p.mu.Lock()
	p.limit.note(now, o, took, p.flying)
	changed := p.brake.note(o, p.d.cfg.Brake)
	braked := p.brake.on
	if o.Reason == push.ReasonProviderThrottled && o.Scope == push.ScopeCredential {
		p.quiet = now.Add(min(o.RetryAfter, longestQuiet))
	}
	first := refused && !p.refused
	p.refused = p.refused || refused
	doubted := braked && o.Disposition == push.DropToken
	p.parked = p.parked || o.Disposition == push.Park || doubted
	p.mu.Unlock()
	if first {
		p.d.log.Error("credential refused; its records are parked", p.fields(zap.String("answer", o.Answer), zap.Error(o.Err))...)
	}
	if changed && braked {
		p.d.log.Error("too many tokens rejected: none is dropped, their records are parked", p.fields(zap.String("reason", string(o.Reason)))...)
	} else if changed {
		p.d.log.Info("rejected tokens are rare again, and believed", p.fields()...)
	}
	if doubted {
		o.Disposition, o.Reason = push.Park, push.ReasonCredentialRefused
	}
	return o
}

func (p *pool) fields(more ...zap.Field) []zap.Field {
	return append([]zap.Field{zap.String("platform", string(p.d.cfg.Platform)), zap.String("app", p.cred.app),
		zap.String("credential", p.cred.name)}, more...)
}

// announce tells the parked records of the credential, once, that they may come back.
func (p *pool) announce(ctx context.Context) {
	p.mu.Lock()
	well := p.circuit.State() == gobreaker.StateClosed && !p.brake.on && p.waiting.len() <= p.d.cfg.Share/2
	tell := p.parked && well && !p.d.stops.Paused(p.cred.app, p.cred.name)
	if tell {
		p.parked, p.refused = false, false
	}
	p.mu.Unlock()
	if !tell {
		return
	}
	m := control.ReadyMessage(p.d.cfg.Topics, p.d.cfg.Platform, p.cred.app, p.cred.name, p.d.cfg.Now())
	p.d.pub.Publish(ctx, m, func(err error) {
		if err == nil {
			return
		}
		p.mu.Lock()
		p.parked = true
		p.mu.Unlock()
	})
}

// purge gives up what waits and must not be started any more, so that nobody waits for it. A generation's items all end
// together, and the oldest first: where the first ones are not over, none is looked at.
func (p *pool) purge() {
	over := func(it *item) bool { return it.ctx.Err() != nil }
	p.mu.Lock()
	var ended []*item
	if p.waiting.first(over) {
		ended = p.waiting.remove(over)
	}
	p.mu.Unlock()
	for _, it := range ended {
		p.d.unlease(it, false)
		p.d.abandon(it)
	}
}

// held is how many items wait or are being sent.
func (p *pool) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.len() + p.flying
}

// reset begins anew.
func (p *pool) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.circuit, p.brake, p.quiet, p.refused = newCredentialCircuit(), brake{}, time.Time{}, false
	p.limit = newConcurrency(p.d.cfg.Concurrency)
}

func (p *pool) state() CredentialState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return CredentialState{App: p.cred.app, Credential: p.cred.name, Circuit: p.circuit.State(),
		Paused: p.d.stops.Paused(p.cred.app, p.cred.name), Braked: p.brake.on, Limit: p.limit.places(), Flying: p.flying,
		Waiting: p.waiting.len()}
}
