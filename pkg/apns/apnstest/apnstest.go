// Package apnstest simulates APNs. Pushes flow in over TLS and HTTP/2; the answers that Apple documents flow out, and a
// ledger line for each. It promises to check in one order, where the first that fails answers: path, method,
// authorization, device token, headers, topic, size. Scripted answers and forgotten tokens come after the checks.
package apnstest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// Platform is what the ledger and the statistics call it.
const Platform push.Platform = "apns"

// Config says what a simulator accepts.
type Config struct {
	Addr        string          // host:port; "" = a free port of 127.0.0.1
	Certificate tls.Certificate // the server's, see [pushtest.Authority]
	Keys        []Key           // whose tokens it accepts; none = no request is authorized
	MaxStreams  int             // of one connection; 0 = 1000
	Latency     time.Duration   // of every answer
	Control     *pushtest.Control
	Now         func() time.Time // nil = time.Now
}

// Server is a running simulator.
type Server struct {
	cfg    Config
	tokens *verifier
	server *pushtest.Server

	mu           sync.Mutex
	unregistered map[string]time.Time // by device token
}

// Start serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.Control == nil {
		cfg.Control = pushtest.NewControl(Platform)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, tokens: newVerifier(cfg.Keys), unregistered: make(map[string]time.Time)}
	server, err := pushtest.StartServer(pushtest.ServerConfig{
		Addr:       cfg.Addr,
		Handler:    s,
		TLS:        &cfg.Certificate,
		MaxStreams: cfg.MaxStreams,
		Traffic:    cfg.Control.Traffic,
	})
	if err != nil {
		return nil, fmt.Errorf("apns %w", err)
	}
	s.server = server
	return s, nil
}

// URL is the simulator's base address.
func (s *Server) URL() string { return s.server.URL() }

// Control is its ledger, script and traffic.
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

// answer is what a request gets.
type answer struct {
	status     int
	reason     string
	since      time.Time // 410 only
	retryAfter int       // s; 0 = none
	reset      bool      // reset the stream instead
}

// ServeHTTP answers one push.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		return // the client went away: it gets no answer, and so no line
	}
	now := s.cfg.Now()
	token, a := s.check(r, body, now)
	delay := s.cfg.Latency
	if a.status == http.StatusOK {
		var scripted time.Duration
		a, scripted = s.decide(token, now)
		delay += scripted
	}
	if delay > 0 {
		wait(r, delay)
	}
	id := r.Header.Get("Apns-Id")
	if id == "" {
		id = uuid.NewString()
	}
	s.cfg.Control.Ledger.Add(pushtest.Entry{
		Time: s.cfg.Now(), Platform: Platform, ID: id, Token: token, Headers: visible(r.Header), Body: body,
		Status: a.status, Reason: a.reason,
	})
	if a.reset {
		panic(http.ErrAbortHandler)
	}
	write(w, id, a)
}

// check answers 200 where nothing is wrong.
func (s *Server) check(r *http.Request, body []byte, now time.Time) (token string, a answer) {
	token, a = checkPath(r)
	if a.status != 0 {
		return token, a
	}
	key, reason := s.tokens.verify(r.Header.Get("Authorization"), now)
	if reason != "" {
		return token, answer{status: http.StatusForbidden, reason: reason}
	}
	for _, reason := range []string{checkToken(token), checkHeaders(r.Header), checkTopic(r.Header, key)} {
		if reason != "" {
			return token, answer{status: http.StatusBadRequest, reason: reason}
		}
	}
	return token, checkSize(r.Header, body)
}

// decide says what a request gets that passed every check, and after how long.
func (s *Server) decide(token string, now time.Time) (answer, time.Duration) {
	scripted, ok := s.cfg.Control.Script.Next(token)
	switch {
	case ok && scripted.Status == 0 && scripted.Reason == pushtest.ReasonReset:
		return answer{reset: true, reason: scripted.Reason}, scripted.Delay()
	case ok && scripted.Status != 0:
		since := now
		if scripted.Timestamp != 0 {
			since = time.UnixMilli(scripted.Timestamp)
		}
		return answer{status: scripted.Status, reason: scripted.Reason, since: since, retryAfter: scripted.RetryAfter}, scripted.Delay()
	}
	s.mu.Lock()
	since, gone := s.unregistered[token]
	s.mu.Unlock()
	if gone {
		return answer{status: http.StatusGone, reason: "Unregistered", since: since}, scripted.Delay()
	}
	return answer{status: http.StatusOK}, scripted.Delay()
}

// maxBodyBytes is what is read of a body: enough to see that it is too large, and to keep it in the ledger.
const maxBodyBytes = 64 << 10

func readBody(r *http.Request) ([]byte, error) {
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 512)+bytes.MinRead, maxBodyBytes)))
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, r.Body, maxBodyBytes)); err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

// wait ends early where the client goes away. Its push stands in the ledger all the same: what APNs has accepted it
// delivers, whether the sender waits for the answer or not.
func wait(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// visible is what the ledger shows of the headers: names in lower case, without authorization, which is a secret.
func visible(header http.Header) map[string]string {
	shown := make(map[string]string, len(header))
	for name, values := range header {
		if name != "Authorization" {
			shown[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return shown
}

func write(w http.ResponseWriter, id string, a answer) {
	w.Header()["Apns-Id"] = []string{id}
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if a.status == http.StatusOK {
		w.WriteHeader(a.status)
		return
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(a.status)
	timestamp := ""
	if a.status == http.StatusGone {
		timestamp = fmt.Sprintf(`,"timestamp":%d`, a.since.UnixMilli())
	}
	_, _ = io.WriteString(w, fmt.Sprintf(`{"reason":%q%s}`, a.reason, timestamp)) // a client that went away needs none
}
