// Package apnstest simulates APNs. Pushes flow in over TLS and HTTP/2; the answers that Apple documents flow out, and a
// ledger line for each. It promises to check in one order, where the first that fails answers: path, method,
// authorization, device token, headers, topic, size. Scripted answers, the faults of a script, forgotten tokens and the
// rate of a device come after the checks, in this order. A connection takes one request at a time until one of them has
// shown a good provider token, and ends with GOAWAY, not silently.
package apnstest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/provider"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

// Platform is what the ledger and the statistics call it.
const Platform push.Platform = "apns"

// Environment is one of Apple's two.
type Environment string

// The environments.
const (
	Production  Environment = "" // api.push.apple.com
	Development Environment = "development"
)

// Config says what a simulator accepts.
type Config struct {
	Addr        string          // host:port; "" = a free port of 127.0.0.1
	Certificate tls.Certificate // the server's, see [pushtest.Authority]
	Keys        []Key           // whose tokens it accepts; none = no request is authorized by a token
	// ClientCAs issue the certificates that authorize connections; nil = none do.
	ClientCAs   *x509.CertPool
	Environment Environment
	MaxStreams  int // of one connection, once it has shown a good token or certificate; 0 = 1000
	// FirstStreams is what a connection takes until then; 0 = 1, as APNs.
	FirstStreams int
	Latency      time.Duration // of every answer
	Control      *pushtest.Control
	Now          func() time.Time // nil = time.Now
}

// Server is a running simulator.
type Server struct {
	cfg    Config
	tokens *verifier
	server *provider.Server
	rules  atomic.Pointer[rules]

	mu           sync.Mutex
	unregistered map[string]time.Time // by device token
}

// rules are the standing rules of the present script.
type rules struct {
	faults.APNs
	began   time.Time
	devices *faults.Limiter
	lives   map[string]faults.Life
}

// Start serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.Control == nil {
		cfg.Control = pushtest.NewControl(Platform)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1000
	}
	if cfg.FirstStreams == 0 {
		cfg.FirstStreams = 1
	}
	s := &Server{cfg: cfg, tokens: newVerifier(cfg.Keys, cfg.Environment, cfg.Control.Traffic), unregistered: make(map[string]time.Time)}
	s.server = provider.New(provider.Config{
		Addr: cfg.Addr, Handler: s, Control: cfg.Control, Now: cfg.Now,
		First: uint32(cfg.FirstStreams), Then: uint32(cfg.MaxStreams),
		TLS: &tls.Config{
			Certificates: []tls.Certificate{cfg.Certificate}, MinVersion: tls.VersionTLS12,
			ClientCAs: cfg.ClientCAs, ClientAuth: clientAuth(cfg), Time: cfg.Now,
		},
	}, s.obey)
	if err := s.server.Start(); err != nil {
		return nil, fmt.Errorf("apns %w", err)
	}
	return s, nil
}

func clientAuth(cfg Config) tls.ClientAuthType {
	if cfg.ClientCAs == nil {
		return tls.NoClientCert
	}
	return tls.VerifyClientCertIfGiven
}

// obey takes over the standing rules of a script.
func (s *Server) obey(script faults.Script, began time.Time) {
	r := &rules{APNs: script.APNs, began: began, devices: faults.NewLimiter(script.APNs.DeviceRate), lives: make(map[string]faults.Life)}
	for _, life := range script.APNs.Tokens {
		r.lives[life.Token] = life
	}
	s.rules.Store(r)
	s.tokens.forgetTeams()
}

// URL is the simulator's base address.
func (s *Server) URL() string { return s.server.URL() }

// Control is its ledger, script, faults and traffic.
func (s *Server) Control() *pushtest.Control { return s.cfg.Control }

// Close stops at once: running requests and connections are cut.
func (s *Server) Close() error { return s.server.Close() }

// Unregister makes a token answer 410 Unregistered, known to be dead since then.
func (s *Server) Unregister(token string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unregistered[token] = since
}

// Register undoes [Server.Unregister].
func (s *Server) Register(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unregistered, token)
}

// ServeHTTP answers one push under a net/http server, as [wire.Server.HTTPHandler] says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.server.HTTPHandler().ServeHTTP(w, r)
}

// answer is what a request gets.
type answer struct {
	status     int
	reason     string
	since      time.Time         // 410 only; zero = none
	retryAfter hpack.HeaderField // no name = none
}

func refused(status int, reason string) answer { return answer{status: status, reason: reason} }

// connection is the simulator's memory of one.
type connection struct {
	provider.Conn
	wedged bool
	bound  keyName // the key that it has carried
	// certified is what its client certificate allows, and why it does not.
	certified  bool
	allowed    []string
	wrongPlace bool
}

// connectionOf finds the memory of a request's connection, or begins it.
func (s *Server) connectionOf(p *wire.Peer) *connection {
	if c, ok := p.State.(*connection); ok {
		return c
	}
	c := new(connection)
	if p.Certificate != nil {
		c.certified = true
		c.allowed = certificateTopics(p.Certificate)
		c.wrongPlace = !certifiedFor(p.Certificate, s.cfg.Environment)
	}
	p.State = c
	return c
}

// Serve answers one push.
func (s *Server) Serve(r *wire.Request) wire.Reply {
	now := s.cfg.Now()
	rules := s.rules.Load()
	conn := s.connectionOf(r.Peer)
	reply := wire.Reply{Delay: s.cfg.Latency}
	f := fieldsOf(r.Header)
	token, a := checkPath(r)
	if a.status == 0 {
		a = s.check(r, &f, token, rules, conn, &reply, now)
	}
	id := f.id
	if id == "" {
		id = uuid.NewString()
	}
	reply.Line = wire.Line{ID: id, Token: token, Collapse: f.collapseID}
	reply.Delay += s.server.Latency(rules.Latency, token, id)
	if a.status != http.StatusOK {
		return finish(reply, id, a, nil)
	}
	return s.decide(r, id, token, rules, conn, reply, now)
}

// check answers 200 where nothing is wrong.
func (s *Server) check(r *wire.Request, f *fields, token string, rules *rules, conn *connection, reply *wire.Reply, now time.Time) answer {
	allowed, a := s.tokens.authorize(f, conn, rules, now)
	if a.status != 0 {
		return a
	}
	s.server.Trust(&conn.Conn, reply)
	for _, reason := range [...]string{checkToken(token), f.check(), f.checkTopic(allowed)} {
		if reason != "" {
			return refused(http.StatusBadRequest, reason)
		}
	}
	return f.checkSize(r.Body)
}

// decide says what a request gets that passed every check.
func (s *Server) decide(r *wire.Request, id, token string, rules *rules, conn *connection, reply wire.Reply, now time.Time) wire.Reply {
	if scripted, ok := s.cfg.Control.Script.Next(token); ok {
		reply.Delay += scripted.Delay()
		switch {
		case scripted.Status == 0 && scripted.Reason == pushtest.ReasonReset:
			reply.Do, reply.Code, reply.Line.Reason = wire.Reset, http2.ErrCodeInternal, pushtest.ReasonReset
			return reply
		case scripted.Status != 0:
			return finish(reply, id, answer{status: scripted.Status, reason: scripted.Reason,
				since: stamp(scripted.Timestamp, now), retryAfter: provider.RetryAfter(time.Duration(scripted.RetryAfter)*time.Second, false, now)}, nil)
		}
	} else if f := s.server.Fault(faults.Push, token, id, r.Peer, &conn.Conn, &reply); f != nil {
		if f.Do == faults.DoAnswer {
			return finish(reply, id, answer{status: f.Status, reason: f.Reason, since: stamp(f.Timestamp, now),
				retryAfter: provider.RetryAfter(time.Duration(f.RetryAfter), f.RetryAs == "date", now)}, f)
		}
		if !provider.Suffer(f, &reply) {
			return reply
		}
	}
	return finish(reply, id, s.own(token, rules, now), nil)
}

// own is the simulator's own answer.
func (s *Server) own(token string, rules *rules, now time.Time) answer {
	if life, known := rules.lives[token]; known {
		switch life.Phase(now.Sub(rules.began)) {
		case -1:
			return refused(http.StatusBadRequest, "BadDeviceToken")
		case 1:
			a := answer{status: http.StatusGone, reason: life.Reason, since: rules.began.Add(time.Duration(life.Until))}
			if a.reason == "" {
				a.reason = "Unregistered"
			}
			return a
		}
	}
	s.mu.Lock()
	since, gone := s.unregistered[token]
	s.mu.Unlock()
	if gone {
		return answer{status: http.StatusGone, reason: "Unregistered", since: since}
	}
	if ok, _ := rules.devices.Take(token, now); !ok {
		return refused(http.StatusTooManyRequests, "TooManyRequests")
	}
	return answer{status: http.StatusOK}
}

func stamp(ms int64, now time.Time) time.Time {
	if ms != 0 {
		return time.UnixMilli(ms)
	}
	return now
}

// finish shapes the reply by an answer, less what a fault leaves out.
func finish(reply wire.Reply, id string, a answer, f *faults.Fault) wire.Reply {
	reply.Status, reply.Line.Status, reply.Line.Reason = a.status, a.status, a.reason
	omits := func(what string) bool { return f != nil && f.Omits(what) }
	reply.HTTPDate = !omits("date")
	header := make([]hpack.HeaderField, 0, 3)
	if !omits("apns-id") {
		header = append(header, hpack.HeaderField{Name: "apns-id", Value: id})
	}
	if a.retryAfter.Name != "" {
		header = append(header, a.retryAfter)
	}
	switch {
	case f != nil && f.Body != nil:
		reply.Body = []byte(*f.Body)
		if f.ContentType != "" {
			header = append(header, hpack.HeaderField{Name: "content-type", Value: f.ContentType})
		}
	case a.status != http.StatusOK && !omits("body"):
		header = append(header, hpack.HeaderField{Name: "content-type", Value: "application/json"})
		reply.Body = append(strconv.AppendQuote([]byte(`{"reason":`), a.reason), '}')
		if a.status == http.StatusGone && !omits("timestamp") {
			reply.Body = append(strconv.AppendInt(append(reply.Body[:len(reply.Body)-1], `,"timestamp":`...), a.since.UnixMilli(), 10), '}')
		}
	}
	reply.Header = header
	return reply
}
