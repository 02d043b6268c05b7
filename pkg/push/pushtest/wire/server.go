package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// Greeting is what a new connection meets.
type Greeting uint8

// The greetings.
const (
	Welcome Greeting = iota
	Hangup           // it is closed before TLS begins
	Stall            // TLS never begins: the connection stays as it is
)

// Config says what a server serves, and where.
type Config struct {
	Addr    string // host:port; "" = a free port of 127.0.0.1
	Handler Handler
	TLS     *tls.Config // with a certificate; the protocols are the server's to choose
	HTTP1   bool        // serves HTTP/1.1 too, to clients that ask for it

	Platform push.Platform // of the ledger's lines
	Ledger   *pushtest.Ledger
	Traffic  *pushtest.Traffic
	Now      func() time.Time // of the ledger's lines and the date header; delays are real

	// Streams is what a new connection takes at once. It is asked for each connection.
	Streams func(*Peer) uint32
	// Greet says what a new connection meets; nil = Welcome.
	Greet func(number uint64) Greeting
}

// Server is a running server.
type Server struct {
	cfg      Config
	listener net.Listener
	http1    *http1
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	opened uint64
	raw    map[net.Conn]struct{} // every open connection
	conns  map[uint64]*Conn      // those that speak HTTP/2, by number
}

// Start listens and serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	cfg.TLS = cfg.TLS.Clone()
	cfg.TLS.NextProtos = []string{"h2"}
	if cfg.HTTP1 {
		cfg.TLS.NextProtos = append(cfg.TLS.NextProtos, "http/1.1")
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s := &Server{cfg: cfg, listener: listener, raw: make(map[net.Conn]struct{}), conns: make(map[uint64]*Conn)}
	if cfg.HTTP1 {
		s.http1 = newHTTP1(s)
	}
	s.running.Go(s.accept)
	return s, nil
}

// Addr is where it listens, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is its base address, without a slash at the end.
func (s *Server) URL() string { return "https://" + s.Addr() }

// Conns are the connections that speak HTTP/2 now.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Close stops at once: running requests and connections are cut. Closing again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.raw {
		conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	if s.http1 != nil {
		s.http1.close()
	}
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of file descriptors: some come back as connections end
			continue
		}
		if number, ok := s.add(conn); ok {
			s.running.Go(func() { s.welcome(conn, number) })
		}
	}
}

func (s *Server) add(conn net.Conn) (number uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return 0, false
	}
	s.opened++
	s.raw[conn] = struct{}{}
	return s.opened, true
}

func (s *Server) drop(conn net.Conn, number uint64) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.raw, conn)
	delete(s.conns, number)
}

// handshakeTimeout is for TLS and the client's preface.
const handshakeTimeout = 10 * time.Second

// welcome speaks with one connection until its end.
func (s *Server) welcome(raw net.Conn, number uint64) {
	defer s.drop(raw, number)
	greeting := Welcome
	if s.cfg.Greet != nil {
		greeting = s.cfg.Greet(number)
	}
	switch greeting {
	case Hangup:
		return
	case Stall:
		_, _ = io.Copy(io.Discard, raw) // until one side closes
		return
	case Welcome:
	}
	conn := tls.Server(raw, s.cfg.TLS)
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))   // fails only on a closed connection, as does all that follows
	if conn.HandshakeContext(context.Background()) != nil { // the deadline ends it
		return
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol == "http/1.1" || state.NegotiatedProtocol == "" && s.http1 != nil {
		_ = raw.SetDeadline(time.Time{})
		s.http1.serve(conn)
		return
	}
	peer := &Peer{Number: number, Opened: s.cfg.Now()}
	if len(state.VerifiedChains) > 0 {
		peer.Certificate = state.PeerCertificates[0]
	}
	c := newConn(s, conn, raw, peer)
	s.mu.Lock()
	s.conns[number] = c
	s.mu.Unlock()
	c.serve()
}

// record writes the line of a request into the ledger.
func (s *Server) record(r *Request, line *Line) {
	if line.Skip {
		return
	}
	body := line.Body
	if body == nil {
		body = r.Body
	}
	s.cfg.Ledger.Record(pushtest.Record{
		Time: s.cfg.Now(), Platform: s.cfg.Platform, ID: line.ID, Token: line.Token, Header: r.Header, Body: body,
		Status: line.Status, Reason: line.Reason, Collapse: line.Collapse,
	})
}

// http1 serves the connections that speak HTTP/1.1.
type http1 struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	ended  sync.WaitGroup
}

func newHTTP1(s *Server) *http1 {
	h := &http1{conns: make(chan net.Conn), done: make(chan struct{})}
	h.server = &http.Server{
		Handler: s.HTTPHandler(), ReadHeaderTimeout: handshakeTimeout,
		ErrorLog: log.New(io.Discard, "", 0), // a client that goes away is what the simulator is for
	}
	h.ended.Go(func() { _ = h.server.Serve(h) }) // ends with close
	return h
}

// serve hands a connection over and waits for its end.
func (h *http1) serve(conn net.Conn) {
	watched := &watchedConn{Conn: conn, closed: make(chan struct{})}
	select {
	case h.conns <- watched:
		<-watched.closed
	case <-h.done:
	}
}

func (h *http1) close() {
	_ = h.server.Close()
	h.ended.Wait()
}

// Accept makes h the net/http server's listener.
func (h *http1) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close is called by the net/http server, once or more often.
func (h *http1) Close() error {
	select {
	case <-h.done:
	default:
		close(h.done)
	}
	return nil
}

// Addr is nobody's.
func (h *http1) Addr() net.Addr { return &net.TCPAddr{} }

// watchedConn tells when the net/http server has closed it.
type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
