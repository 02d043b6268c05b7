package h2

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"time"
)

// growLocked starts to open a connection where there may be one more. The error is that of a set-up that failed so
// recently that it is not tried again yet.
func (p *Pool) growLocked() error {
	if p.closed || p.dialing || len(p.conns) >= p.limits.Conns || slices.ContainsFunc(p.conns, func(c *Conn) bool { return !c.isProven() }) {
		return nil
	}
	now := time.Now()
	if rest := p.limits.Grow - now.Sub(p.grown); len(p.conns) > 0 && rest > 0 {
		if p.pace == nil {
			p.pace = time.AfterFunc(rest, p.look)
		}
		return nil
	}
	if now.Before(p.redialAt) {
		return p.dialErr
	}
	p.dialing = true
	p.running.Go(p.connect)
	return nil
}

// look is taken when one more connection may be opened, in case that nothing else happens.
func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace = nil
	p.dispatchLocked()
}

// connect opens a connection.
func (p *Pool) connect() {
	ctx, cancel := context.WithTimeout(p.ctx, p.limits.Dial)
	defer cancel()
	nc, err := p.dial(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = false
	switch {
	case err != nil:
		p.failedLocked(err)
	case p.closed:
		_ = nc.Close() // it was never used
	default:
		p.addLocked(nc)
	}
	p.dispatchLocked()
}

func (p *Pool) addLocked(nc net.Conn) {
	p.running.Add(1)
	c := newConn(nc, p.make, hooks{changed: p.changed, closed: p.gone})
	p.conns = append(p.conns, c)
	p.alive[c] = struct{}{}
	p.grown = time.Now()
	p.watchLocked()
}

// failedLocked keeps the next set-up waiting.
func (p *Pool) failedLocked(err error) {
	if of := (*DialError)(nil); !errors.As(err, &of) {
		err = &DialError{Cause: err}
	}
	p.dialErr = err
	p.redialAt = time.Now().Add(p.redial.NextBackOff())
}

// watchLocked looks after a while whether there are more connections than the load needs.
func (p *Pool) watchLocked() {
	if p.closed || p.shrink != nil || len(p.conns) < 2 {
		return
	}
	p.busiest = p.inFlightLocked()
	p.shrink = time.AfterFunc(p.limits.Shrink, p.shed)
}

// shed takes one connection out of use where the load since the last look would have fitted on fewer: they end one by
// one, with what they carry. One stays for ever.
func (p *Pool) shed() {
	p.mu.Lock()
	p.shrink = nil
	needed := max((p.busiest+p.limits.Spread-1)/p.limits.Spread, 1)
	var idlest *Conn
	if !p.closed && len(p.conns) > needed {
		idlest = slices.MinFunc(p.conns, func(a, b *Conn) int { return cmp.Compare(a.load.Load(), b.load.Load()) })
		p.dropLocked(idlest)
	}
	p.watchLocked()
	p.mu.Unlock()
	if idlest != nil {
		idlest.Retire()
	}
}

func (p *Pool) inFlightLocked() int {
	n := int64(0)
	for _, c := range p.conns {
		n += c.load.Load()
	}
	return int(n)
}
