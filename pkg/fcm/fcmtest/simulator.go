// Package fcmtest is a simulator of Firebase Cloud Messaging, HTTP v1, and of the OAuth endpoint in front of it. Send
// requests over TLS and HTTP/2 flow in; answers in FCM's own shapes and the ledger of pushtest flow out. It promises to
// refuse what the real service refuses as far as its public schema and documents say, so that a client that gets on
// with it speaks the protocol. It keeps no state on disk, and forgets everything when it is closed.
//
// A request is checked in this order; the first check that fails answers: path (404), method (405), access token (401),
// project (404 where no account has it, 403 where it is another account's), the project's quota (429), JSON and fields
// (400), the script, the faults of a script, a token that is none (400), an unregistered token (404), the rates of a
// device and a topic (429). A request with validate_only is checked alike, answered with a fake
// name, and leaves no trace in the ledger.
package fcmtest

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/provider"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

// Platform is what the ledger and the statistics call it.
const Platform push.Platform = "fcm"

// tokenPath is where access tokens are given.
const tokenPath = "/token"

// Config says how a simulator runs. The zero value is one on a free loopback port with an authority of its own.
type Config struct {
	Addr      string              // host:port; "" = a free port of 127.0.0.1
	Authority *pushtest.Authority // issues the certificate; nil = a new one
	Control   *pushtest.Control   // ledger, script and traffic; nil = new ones
	Latency   time.Duration       // of every answer to a valid message
	TokenLife time.Duration       // of access tokens; 0 = an hour, as Google's
	Now       func() time.Time    // nil = time.Now
	// SignedNow is the clock by which a client's assertions are checked: Google's libraries sign them with the true
	// time. nil = Now.
	SignedNow func() time.Time
}

// Simulator is a running FCM. Safe for concurrent use.
type Simulator struct {
	control   *pushtest.Control
	authority *pushtest.Authority
	oauth     *authority
	schema    field
	latency   time.Duration
	now       func() time.Time
	server    *provider.Server
	rules     atomic.Pointer[rules]
	messages  atomic.Uint32

	mu           sync.Mutex
	unregistered map[string]struct{}
}

// Start listens and answers until [Simulator.Close].
func Start(cfg Config) (*Simulator, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SignedNow == nil {
		cfg.SignedNow = cfg.Now
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = time.Hour
	}
	if cfg.Control == nil {
		cfg.Control = pushtest.NewControl(Platform)
	}
	if cfg.Authority == nil {
		made, err := pushtest.NewAuthority()
		if err != nil {
			return nil, err
		}
		cfg.Authority = made
	}
	certificate, err := cfg.Authority.ServerCertificate()
	if err != nil {
		return nil, err
	}
	s := &Simulator{
		control:   cfg.Control,
		authority: cfg.Authority,
		oauth: &authority{
			now: cfg.Now, signed: cfg.SignedNow, life: cfg.TokenLife, traffic: cfg.Control.Traffic,
			tokens: make(map[string]grant),
		},
		schema:       requestSchema(),
		latency:      cfg.Latency,
		now:          cfg.Now,
		unregistered: make(map[string]struct{}),
	}
	s.server = provider.New(provider.Config{
		Addr: cfg.Addr, Handler: s, Control: cfg.Control, Now: cfg.Now, HTTP1: true,
		Then: 100, // as Google's front ends announce
		TLS:  &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}, s.obey)
	if err := s.server.Start(); err != nil {
		return nil, fmt.Errorf("fcm %w", err)
	}
	return s, nil
}

// URL is the base address, for the configuration's fcm.endpoint.
func (s *Simulator) URL() string { return s.server.URL() }

// TokenURI is the address of the OAuth endpoint, for a service account's token_uri.
func (s *Simulator) TokenURI() string { return s.URL() + tokenPath }

// CAPEM is the content of a ca_file that trusts the simulator.
func (s *Simulator) CAPEM() []byte { return s.authority.CAPEM() }

// Control is the ledger, the script and the traffic.
func (s *Simulator) Control() *pushtest.Control { return s.control }

// Close cuts every connection and stops.
func (s *Simulator) Close() error { return s.server.Close() }

// Trust makes a service account known, given its JSON with the private key in PKCS #8, as Google issues it.
func (s *Simulator) Trust(serviceAccount []byte) error {
	known, err := parseAccount(serviceAccount)
	if err != nil {
		return err
	}
	s.oauth.trust(known)
	return nil
}

// ServiceAccount makes a throw-away service account of a project, trusts it, and returns its JSON.
func (s *Simulator) ServiceAccount(project string) ([]byte, error) {
	file, err := NewServiceAccount(project, s.TokenURI())
	if err != nil {
		return nil, err
	}
	return file, s.Trust(file)
}

// WriteServiceAccount is ServiceAccount into a file that only its owner may read.
func (s *Simulator) WriteServiceAccount(project, file string) error {
	data, err := s.ServiceAccount(project)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// Unregister makes a registration token one of an app that was uninstalled.
func (s *Simulator) Unregister(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unregistered[token] = struct{}{}
}

// RevokeAccessTokens makes every access token so far invalid, as a key that was replaced does.
func (s *Simulator) RevokeAccessTokens() { s.oauth.revoke() }

// AccessTokens is how many access tokens were given.
func (s *Simulator) AccessTokens() int { return s.oauth.count() }

// ServeHTTP answers one request under a net/http server, as [wire.Server.HTTPHandler] says.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.server.HTTPHandler().ServeHTTP(w, r)
}

// Serve answers one request.
func (s *Simulator) Serve(r *wire.Request) wire.Reply {
	conn, known := r.Peer.State.(*provider.Conn)
	if !known {
		conn = new(provider.Conn)
		r.Peer.State = conn
	}
	reply := wire.Reply{HTTPDate: true, Line: wire.Line{Skip: true}}
	path, _, _ := strings.Cut(r.Path, "?") // parameters as alt=json are of no concern
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	project, sends := strings.CutPrefix(path, "/v1/projects/")
	project, found := strings.CutSuffix(project, "/messages:send")
	switch {
	case path != tokenPath && (!sends || !found || strings.Contains(project, "/")):
		plain(&reply, http.StatusNotFound, "404 page not found\n")
	case r.Method != http.MethodPost:
		reply.Header = append(reply.Header, hpack.HeaderField{Name: "allow", Value: http.MethodPost})
		plain(&reply, http.StatusMethodNotAllowed, "method not allowed\n")
	case path == tokenPath:
		s.serveToken(r, conn, path, &reply)
	default:
		s.serveSend(r, conn, project, &reply)
	}
	return reply
}

func plain(reply *wire.Reply, status int, text string) {
	reply.Status, reply.Body = status, []byte(text)
	reply.Header = append(reply.Header, hpack.HeaderField{Name: "content-type", Value: "text/plain; charset=utf-8"})
}

// serveToken answers a request for an access token. It leaves no line in the ledger.
func (s *Simulator) serveToken(r *wire.Request, conn *provider.Conn, path string, reply *wire.Reply) {
	if f := s.server.Fault(faults.OAuth, "", "", r.Peer, conn, reply); f != nil {
		if f.Do == faults.DoAnswer {
			s.oauthFault(f, reply)
			return
		}
		answered := provider.Suffer(f, reply)
		reply.Line = wire.Line{Skip: true}
		if !answered {
			return
		}
	}
	s.oauth.serve(r, path, reply)
	reply.Line = wire.Line{Skip: true}
}

// oauthFault shapes an answer of the OAuth endpoint by a fault: its reason is OAuth's word, as invalid_grant.
func (s *Simulator) oauthFault(f *faults.Fault, reply *wire.Reply) {
	if after := provider.RetryAfter(time.Duration(f.RetryAfter), f.RetryAs == "date", s.now()); after.Name != "" {
		reply.Header = append(reply.Header, after)
	}
	if f.Body != nil {
		(&failure{status: f.Status, content: f.Body, contentType: f.ContentType}).shape(reply)
		return
	}
	shapeJSON(reply, f.Status, map[string]string{"error": f.Reason, "error_description": "scripted"})
}

// serveSend answers a send request.
func (s *Simulator) serveSend(r *wire.Request, conn *provider.Conn, project string, reply *wire.Reply) {
	req, invalid := s.parse(r.Body)
	reply.Line = wire.Line{Skip: req.validateOnly, Token: req.token, Body: req.message, Collapse: req.collapse()}
	refusal, answered := s.decide(r, conn, project, req, invalid, reply)
	if !answered {
		return
	}
	if refusal != nil {
		reply.Line.Status, reply.Line.Reason = refusal.status, refusal.reason()
		refusal.shape(reply)
		return
	}
	id := "fake_message_id"
	if !req.validateOnly {
		id = s.messageID()
	}
	name := "projects/" + project + "/messages/" + id
	reply.Line.ID, reply.Line.Status = name, http.StatusOK
	reply.Status = http.StatusOK
	reply.Header = append(reply.Header, jsonType)
	reply.Body = append(strconv.AppendQuote([]byte(`{"name":`), name), "}\n"...) // a project in a known account needs no escapes
}

// decide says what a request gets: a refusal, or nil for a message's name. false = no answer.
func (s *Simulator) decide(r *wire.Request, conn *provider.Conn, project string, req *request, invalid *violation, reply *wire.Reply) (_ *failure, answered bool) {
	now, rules := s.now(), s.rules.Load()
	if refusal := s.authorize(r, project); refusal != nil {
		return refusal, true
	}
	s.server.Trust(conn, reply)
	if ok, wait := rules.project.Take(project, now); !ok {
		return exceeded("project:"+project, "Quota exceeded for quota metric 'Messages sent' of the project.", wait, now), true
	}
	if invalid != nil {
		return rejected(invalid), true
	}
	if req.validateOnly {
		return s.checkToken(req.token, rules, now), true
	}
	reply.Delay = s.latency + s.server.Latency(rules.Latency, req.token, string(req.message))
	if scripted, ok := s.control.Script.Next(req.token); ok {
		reply.Delay += scripted.Delay()
		if refusal, done, answered := s.byScript(scripted, reply); done {
			return refusal, answered
		}
	} else if f := s.server.Fault(faults.Push, req.token, string(req.message), r.Peer, conn, reply); f != nil {
		if f.Do == faults.DoAnswer {
			return s.byFault(f, now), true
		}
		if !provider.Suffer(f, reply) {
			if f.Accepted {
				reply.Line.ID = "projects/" + project + "/messages/" + s.messageID()
			}
			return nil, false
		}
	}
	if refusal := s.checkToken(req.token, rules, now); refusal != nil {
		return refusal, true
	}
	return rules.throttle(req, reply, now), true
}

// byScript answers by PUT /script. done = it is not left to the simulator itself.
func (s *Simulator) byScript(a pushtest.Answer, reply *wire.Reply) (_ *failure, done, answered bool) {
	switch {
	case a.Status == 0 && a.Reason == pushtest.ReasonReset:
		reply.Do, reply.Code, reply.Line.Reason = wire.Reset, http2.ErrCodeInternal, pushtest.ReasonReset
		return nil, true, false
	case a.Status == 0:
		return nil, false, true
	case a.Status == http.StatusOK:
		return nil, true, true
	}
	f := scripted(a.Status, a.Reason)
	f.retryAfter = provider.RetryAfter(time.Duration(a.RetryAfter)*time.Second, false, s.now())
	return f, true, true
}

// byFault answers by a fault; nil = accepted.
func (s *Simulator) byFault(f *faults.Fault, now time.Time) *failure {
	if f.Status == http.StatusOK && f.Body == nil && !f.Omits("body") {
		return nil
	}
	return faulty(f, now)
}

// authorize checks the access token and that its account may send for the project.
func (s *Simulator) authorize(r *wire.Request, project string) *failure {
	allowed, ok := s.oauth.bearer(r.Get("authorization"))
	switch {
	case !ok:
		return unauthenticated()
	case allowed.project == project:
		return nil
	case s.oauth.knows(project):
		return forbidden(project)
	default:
		return notFound()
	}
}

// checkToken refuses a registration token that is none, or of an app that was uninstalled.
func (s *Simulator) checkToken(token string, rules *rules, now time.Time) *failure {
	notPrintable := func(c rune) bool { return c <= ' ' || c > '~' }
	if strings.ContainsFunc(token, notPrintable) {
		return invalidToken()
	}
	if life, known := rules.lives[token]; known && life.Phase(now.Sub(rules.began)) != 0 {
		return unregistered()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, gone := s.unregistered[token]; gone {
		return unregistered()
	}
	return nil
}

// messageID is unique among the simulators that a test starts one after the other.
func (s *Simulator) messageID() string {
	return fmt.Sprintf("0:%d%%%08x", s.now().UnixMicro(), s.messages.Add(1))
}
