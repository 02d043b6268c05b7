// Package provider is what the simulated providers have in common: a wire server that a fault script makes suffer. A
// simulator's replies flow in; the same replies, and what the script does to them and to the connections, flow out. It
// promises that a script that is put while the server runs holds from the next request on, and for connections that are
// open within 10 ms.
package provider

import (
	"context"
	"crypto/tls"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

// Config says what a provider serves, and where.
type Config struct {
	Addr    string // host:port; "" = a free port of 127.0.0.1
	Handler wire.Handler
	TLS     *tls.Config
	HTTP1   bool // serves HTTP/1.1 too
	Control *pushtest.Control
	Now     func() time.Time
	// What a connection takes at once: First until [Conn.Trust], Then from then on. A script may say otherwise.
	First, Then uint32
}

// Server is a running provider.
type Server struct {
	*wire.Server
	cfg    Config
	stop   context.CancelFunc
	walks  sync.WaitGroup
	limits atomic.Pointer[limits]

	memories map[uint64]*faults.Memory // of open connections, by number: the watching goroutine's alone
}

// limits are the stream limits of the present script.
type limits struct {
	streams faults.Streams
	began   time.Time
}

// New returns a provider that does not serve yet. onPut gets the script of now and every one that is put, and the time
// at which it was.
func New(cfg Config, onPut func(faults.Script, time.Time)) *Server {
	s := &Server{cfg: cfg, memories: make(map[uint64]*faults.Memory)}
	cfg.Control.Faults.Bind(cfg.Now, func(script faults.Script, began time.Time) {
		s.limits.Store(&limits{streams: script.StreamsOf(cfg.Control.Platform), began: began})
		onPut(script, began)
	})
	return s
}

// Start serves until [Server.Close].
func (s *Server) Start() error {
	server, err := wire.Start(wire.Config{
		Addr: s.cfg.Addr, Handler: s.cfg.Handler, TLS: s.cfg.TLS, HTTP1: s.cfg.HTTP1, Platform: s.cfg.Control.Platform,
		Ledger: s.cfg.Control.Ledger, Traffic: s.cfg.Control.Traffic, Now: s.cfg.Now, Greet: s.greet,
		Streams: func(p *wire.Peer) uint32 {
			if p.Certificate != nil {
				return s.then()
			}
			return s.first()
		},
	})
	if err != nil {
		return err
	}
	s.Server = server
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.walks.Go(func() { s.watch(ctx) })
	return nil
}

// Close stops at once: running requests and connections are cut.
func (s *Server) Close() error {
	s.stop()
	s.walks.Wait()
	return s.Server.Close()
}

func (s *Server) greet(number uint64) wire.Greeting {
	fault := s.cfg.Control.Faults.Connecting(faults.Subject{Number: number})
	switch {
	case fault == nil:
		return wire.Welcome
	case fault.Do == faults.DoHangup:
		return wire.Hangup
	}
	return wire.Stall
}

func (s *Server) first() uint32 {
	l := s.limits.Load()
	if l.streams.First > 0 {
		return l.streams.First
	}
	if s.cfg.First > 0 {
		return s.cfg.First
	}
	return s.then()
}

func (s *Server) then() uint32 {
	l := s.limits.Load()
	if n := l.streams.At(s.cfg.Now().Sub(l.began)); n > 0 {
		return n
	}
	return s.cfg.Then
}

// Conn is a simulator's memory of a connection, which it keeps in [wire.Peer.State].
type Conn struct {
	memory  faults.Memory
	trusted bool
}

// Trust makes the connection take as many streams as its provider grants to those who have shown a good token.
func (s *Server) Trust(c *Conn, reply *wire.Reply) {
	if !c.trusted {
		c.trusted = true
		reply.Streams = s.then()
	}
}

// Fault says what a request suffers, and delays the reply accordingly. nil = the simulator answers itself.
func (s *Server) Fault(where faults.Where, token, id string, peer *wire.Peer, c *Conn, reply *wire.Reply) *faults.Fault {
	hit := s.cfg.Control.Faults.Request(where, faults.Subject{
		Token: token, ID: id, Number: peer.Number, Opened: peer.Opened, Memory: &c.memory,
	})
	reply.Delay += hit.Delay
	return hit.Fault
}

// Latency is a standing delay for a request.
func (s *Server) Latency(d faults.Delay, token, id string) time.Duration {
	return s.cfg.Control.Faults.Latency(d, faults.Subject{Token: token, ID: id})
}

// Suffer shapes the reply by a fault, except for an answer, which is the simulator's to shape. answered says that it
// keeps the simulator's own answer.
func Suffer(f *faults.Fault, reply *wire.Reply) (answered bool) {
	line := &reply.Line
	line.Reason = string(f.Do)
	line.Status = 0
	if f.Accepted {
		line.Status = http.StatusOK
	}
	switch f.Do {
	case faults.DoHang:
		reply.Do = wire.Hang
	case faults.DoSilence:
		reply.Do = wire.Silence
	case faults.DoCut:
		reply.Do, reply.Status = wire.Cut, http.StatusOK
	case faults.DoRefuse:
		reply.Do, line.Skip = wire.Refuse, true
	case faults.DoResetStream:
		reply.Do = wire.Reset
		reply.Code, _ = f.ErrCode() // the script was checked
	case faults.DoGoAway:
		reply.GoAway = farewell(f)
		line.Reason = ""
		return true
	case faults.DoAnswer, faults.DoDelay, faults.DoStall, faults.DoHangup:
	}
	return false
}

// RetryAfter is the header that asks for a pause, in whole seconds, rounded up, or as a date; no name where there is none.
func RetryAfter(after time.Duration, date bool, now time.Time) hpack.HeaderField {
	switch {
	case after <= 0:
		return hpack.HeaderField{}
	case date:
		return hpack.HeaderField{Name: "retry-after", Value: now.Add(after).UTC().Format(http.TimeFormat)}
	}
	return hpack.HeaderField{Name: "retry-after", Value: strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10)}
}

func farewell(f *faults.Fault) *wire.GoAway {
	g := &wire.GoAway{Reason: f.Reason, Close: f.Close}
	switch f.Last {
	case "before":
		g.Last = wire.LastBefore
	case "none":
		g.Last = wire.LastNone
	}
	return g
}
