// Package fcmtest is a simulator of Firebase Cloud Messaging, HTTP v1, and of the OAuth endpoint in front of it. Send
// requests over TLS and HTTP/2 flow in; answers in FCM's own shapes and the ledger of pushtest flow out. It promises to
// refuse what the real service refuses as far as its public schema and documents say, so that a client that gets on
// with it speaks the protocol. It keeps no state on disk, and forgets everything when it is closed.
//
// A request is checked in this order; the first check that fails answers: path (404), method (405), access token (401),
// project (404 where no account has it, 403 where it is another account's), JSON and fields (400), the script, a token
// that is none (400), an unregistered token (404). A request with validate_only is checked alike, answered with a fake
// name, and leaves no trace in the ledger.
package fcmtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
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
}

// Simulator is a running FCM. Safe for concurrent use.
type Simulator struct {
	control   *pushtest.Control
	authority *pushtest.Authority
	oauth     *authority
	schema    field
	latency   time.Duration
	now       func() time.Time
	server    *pushtest.Server

	mu           sync.Mutex
	unregistered map[string]struct{}
	messages     int
}

// Start listens and answers until [Simulator.Close].
func Start(cfg Config) (*Simulator, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
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
			now: cfg.Now, life: cfg.TokenLife,
			accounts: make(map[string]*account), tokens: make(map[string]grant),
		},
		schema:       requestSchema(),
		latency:      cfg.Latency,
		now:          cfg.Now,
		unregistered: make(map[string]struct{}),
	}
	s.server, err = pushtest.StartServer(pushtest.ServerConfig{
		Addr: cfg.Addr, Handler: s, TLS: &certificate, Traffic: cfg.Control.Traffic,
		MaxStreams: 100, // as Google's front ends announce
	})
	if err != nil {
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

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	project, sends := strings.CutPrefix(r.URL.Path, "/v1/projects/")
	project, found := strings.CutSuffix(project, "/messages:send")
	switch {
	case r.URL.Path != tokenPath && (!sends || !found || strings.Contains(project, "/")):
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case r.URL.Path == tokenPath:
		s.oauth.serveToken(w, r)
	default:
		s.serveSend(w, r, project)
	}
}

// serveSend answers a send request. Its line stands in the ledger before its answer leaves.
func (s *Simulator) serveSend(w http.ResponseWriter, r *http.Request, project string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		return // the client went away, or sends what no message can be
	}
	req, invalid := s.parse(body)
	refusal, reset := s.decide(r, project, req, invalid)
	id := "fake_message_id"
	if !req.validateOnly {
		id = s.messageID()
	}
	name := "projects/" + project + "/messages/" + id
	if !req.validateOnly {
		s.record(r, body, req, refusal, reset, name)
	}
	switch {
	case reset:
		panic(http.ErrAbortHandler) // resets the stream
	case refusal != nil:
		refusal.write(w)
	default:
		writeJSON(w, http.StatusOK, map[string]string{"name": name})
	}
}

// decide says what a request gets: a refusal, nil for a message's name, or the reset of its stream.
func (s *Simulator) decide(r *http.Request, project string, req *request, invalid *violation) (_ *failure, reset bool) {
	if refusal := s.authorize(r, project); refusal != nil {
		return refusal, false
	}
	if invalid != nil {
		return rejected(invalid), false
	}
	if req.validateOnly {
		return s.checkToken(req.token), false
	}
	answer, _ := s.control.Script.Next(req.token)
	wait(r, s.latency+answer.Delay())
	switch {
	case answer.Status == 0 && answer.Reason == pushtest.ReasonReset:
		return nil, true
	case answer.Status == 0:
		return s.checkToken(req.token), false
	case answer.Status == http.StatusOK:
		return nil, false
	default:
		return scripted(answer.Status, answer.Reason, answer.RetryAfter), false
	}
}

// record writes a request into the ledger.
func (s *Simulator) record(r *http.Request, body []byte, req *request, refusal *failure, reset bool, name string) {
	entry := pushtest.Entry{
		Time: s.now(), Platform: Platform, Token: req.token, Headers: headers(r), Body: req.message,
	}
	if req.message == nil {
		entry.Body = body
	}
	switch {
	case reset:
		entry.Reason = pushtest.ReasonReset
	case refusal != nil:
		entry.Status, entry.Reason = refusal.status, refusal.reason()
	default:
		entry.Status, entry.ID = http.StatusOK, name
	}
	s.control.Ledger.Add(entry)
}

// authorize checks the access token and that its account may send for the project.
func (s *Simulator) authorize(r *http.Request, project string) *failure {
	allowed, ok := s.oauth.bearer(r)
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
func (s *Simulator) checkToken(token string) *failure {
	notPrintable := func(c rune) bool { return c <= ' ' || c > '~' }
	if strings.ContainsFunc(token, notPrintable) {
		return invalidToken()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages++
	return fmt.Sprintf("0:%d%%%08x", s.now().UnixMicro(), s.messages)
}

// wait ends early where the client goes away. Its message counts all the same: what FCM has accepted it delivers,
// whether the sender waits for the answer or not.
func wait(r *http.Request, delay time.Duration) {
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// headers are a request's, without its authorization.
func headers(r *http.Request) map[string]string {
	kept := make(map[string]string, len(r.Header))
	for name, values := range r.Header {
		if name != "Authorization" {
			kept[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return kept
}
