package provider

import (
	"context"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// pace is how often open connections are looked at, while a script says that something may come over them.
const pace = 10 * time.Millisecond

// watch looks at the open connections until ctx ends.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	told := s.then()
	for {
		yes, changed := s.cfg.Control.Faults.Watched()
		if now := s.then(); now != told {
			s.tell(told, now)
			told = now
		}
		if !yes {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
			s.walk()
		case <-ctx.Done():
			return
		}
	}
}

// tell changes the limit of the connections that had the one before.
func (s *Server) tell(before, now uint32) {
	for _, c := range s.Conns() {
		if c.Streams() == before {
			c.SetStreams(now)
		}
	}
}

// walk makes the open connections suffer what is due.
func (s *Server) walk() {
	memories := make(map[uint64]*faults.Memory)
	for _, c := range s.Conns() {
		memory := s.memories[c.Number()]
		if memory == nil {
			memory = new(faults.Memory)
		}
		memories[c.Number()] = memory
		fault := s.cfg.Control.Faults.Connected(faults.Subject{Number: c.Number(), Opened: c.Opened(), Memory: memory})
		if fault == nil {
			continue
		}
		switch fault.Do {
		case faults.DoCut:
			c.Cut()
		case faults.DoSilence:
			c.Silence()
		case faults.DoGoAway:
			c.GoAway(*farewell(fault))
		case faults.DoDelay, faults.DoAnswer, faults.DoHang, faults.DoResetStream, faults.DoRefuse, faults.DoStall, faults.DoHangup:
		}
	}
	s.memories = memories // those of connections that have ended are gone
}
