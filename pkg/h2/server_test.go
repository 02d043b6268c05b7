package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// server is what a pool under test connects to, in a synctest bubble.
type server struct {
	mu sync.Mutex // of everything here and in its connections, and of writing
	script
	conns []*served
	dials int
}

// script is how the server behaves; see [server.play].
type script struct {
	settings []http2.Setting
	// answer is called for each whole request, with its connection's number, from 0; nil = 200.
	answer func(c *served, stream uint32)
	refuse error // why no connection can be set up; nil = one can
	mute   bool  // answers no ping
}

// play changes how the server behaves from now on.
func (s *server) play(change func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.script)
}

// answers changes what the server does with whole requests.
func (s *server) answers(with func(c *served, stream uint32)) {
	s.play(func(to *script) { to.answer = with })
}

// allows changes how many streams the server takes at a time, on connections that are opened from now on.
func (s *server) allows(streams uint32) {
	s.play(func(to *script) { to.settings = []http2.Setting{limit(streams)} })
}

// served is one connection of it.
type served struct {
	*http2.Framer
	server *server
	number int
	conn   net.Conn

	requests int
	most     int // streams at once
	open     map[uint32]struct{}
	ended    bool
}

func (s *server) dial(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.refuse != nil {
		return nil, s.refuse
	}
	ours, theirs := net.Pipe()
	c := &served{Framer: http2.NewFramer(theirs, theirs), server: s, number: len(s.conns), conn: theirs, open: make(map[uint32]struct{})}
	s.conns = append(s.conns, c)
	go c.serve()
	return ours, nil
}

func (c *served) serve() {
	defer c.conn.Close()
	defer c.locked(func() { c.ended = true })
	if _, err := io.ReadFull(c.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c.locked(func() { _ = c.WriteSettings(c.server.settings...) })
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			c.locked(func() {
				if !frame.IsAck() && !c.server.mute {
					_ = c.WritePing(true, frame.Data)
				}
			})
		case *http2.HeadersFrame:
			c.begin(frame.StreamID, frame.StreamEnded())
		case *http2.DataFrame:
			if frame.StreamEnded() {
				c.whole(frame.StreamID)
			}
		case *http2.RSTStreamFrame:
			c.locked(func() { delete(c.open, frame.StreamID) })
		}
	}
}

func (c *served) locked(f func()) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	f()
}

// seen is how many requests have begun.
func (c *served) seen() (n int) {
	c.locked(func() { n = c.requests })
	return n
}

func (c *served) begin(stream uint32, ended bool) {
	c.locked(func() {
		c.requests++
		c.open[stream] = struct{}{}
		c.most = max(c.most, len(c.open))
	})
	if ended {
		c.whole(stream)
	}
}

func (c *served) whole(stream uint32) {
	answer := (*served).ok
	c.locked(func() {
		if c.server.answer != nil {
			answer = c.server.answer
		}
	})
	answer(c, stream)
}

// ok answers 200, without a body.
func (c *served) ok(stream uint32) {
	c.locked(func() {
		delete(c.open, stream)
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
	})
}

// later answers 200 after a while.
func later(after time.Duration) func(*served, uint32) {
	return func(c *served, stream uint32) { time.AfterFunc(after, func() { c.ok(stream) }) }
}

// never leaves requests without an answer.
func never(*served, uint32) {}

// seen are the requests by connection.
func (s *server) seen() []int {
	return seen(s, func(c *served) int { return c.requests })
}

// most are the streams at a time by connection.
func (s *server) most() []int {
	return seen(s, func(c *served) int { return c.most })
}

// ended says by connection whether it has ended.
func (s *server) ended() []bool {
	return seen(s, func(c *served) bool { return c.ended })
}

func seen[of any](s *server, what func(*served) of) []of {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []of{}
	for _, c := range s.conns {
		all = append(all, what(c))
	}
	return all
}

// dialed is how often a set-up was tried.
func (s *server) dialed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// cut closes a connection on the server's side.
func (s *server) cut(number int) {
	s.mu.Lock()
	conn := s.conns[number].conn
	s.mu.Unlock()
	conn.Close()
}

// limit is the setting of the streams at a time.
func limit(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}

// bubble runs a test with a pool of the server's connections.
func bubble(t *testing.T, limits Limits, settings Settings, test func(t *testing.T, s *server, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		p := NewPool(s.dial, limits, settings)
		test(t, s, p)
		p.Close()
		synctest.Wait()
	})
}

// post is a request with a small body.
func post(t testing.TB, ctx context.Context) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://server.test/path", bytes.NewReader([]byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send makes n requests at once. The function that it returns waits for them, and returns their errors.
func send(t *testing.T, p *Pool, ctx context.Context, n int) (wait func() []error) {
	t.Helper()
	var callers sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		callers.Go(func() {
			response, err := p.RoundTrip(post(t, ctx))
			if errs[i] = err; err == nil {
				response.Body.Close()
			}
		})
	}
	return func() []error {
		callers.Wait()
		return errs
	}
}

// fine fails the test unless all went well.
func fine(t *testing.T, errs []error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("of %d requests: %v", len(errs), err)
	}
}

// hang is a dial that only ends with its context.
func hang(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
