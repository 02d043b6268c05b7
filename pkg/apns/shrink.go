package apns

import (
	"slices"
	"time"
)

// watchLocked looks after a while whether there are more connections than the load needs.
func (p *pool) watchLocked() {
	if p.closed || p.shrink != nil || len(p.conns) < 2 {
		return
	}
	p.busiest = p.inFlightLocked()
	p.shrink = time.AfterFunc(p.timing.shrink, p.shed)
}

// shed takes one connection out of use where the load since the last look would have fitted on fewer: they end one by
// one, with what they carry. One stays for ever.
func (p *pool) shed() {
	p.mu.Lock()
	p.shrink = nil
	needed := max((p.busiest+spread-1)/spread, 1)
	var unused []*conn
	if !p.closed && len(p.conns) > needed {
		idlest := slices.MinFunc(p.conns, byLoad)
		p.retireLocked(idlest)
		unused = p.unusedLocked(idlest)
	}
	p.watchLocked()
	p.mu.Unlock()
	closeAll(unused)
}

func (p *pool) inFlightLocked() int {
	n := 0
	for _, c := range p.conns {
		n += c.inFlight
	}
	return n
}
