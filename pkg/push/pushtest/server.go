package pushtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// ServerConfig says what [StartServer] serves, and where.
type ServerConfig struct {
	Addr       string // host:port; "" = a free port of 127.0.0.1
	Handler    http.Handler
	TLS        *tls.Certificate // nil = plain HTTP/1.1, as the admin API is served
	MaxStreams int              // of one HTTP/2 connection, announced to the client; 0 = 1000, as APNs
	Traffic    *Traffic         // counts connections and streams; nil = not counted
}

// Server is a running HTTP server.
type Server struct {
	listener net.Listener
	scheme   string
	server   *http.Server
	done     chan struct{}
}

// StartServer listens and serves until [Server.Close].
func StartServer(cfg ServerConfig) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1000
	}
	if cfg.Traffic == nil {
		cfg.Traffic = new(Traffic)
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s := &Server{
		listener: listener,
		scheme:   "http",
		done:     make(chan struct{}),
		server: &http.Server{
			Handler:           cfg.Traffic.count(cfg.Handler),
			ConnContext:       cfg.Traffic.connected,
			ConnState:         cfg.Traffic.changed,
			ReadHeaderTimeout: 10 * time.Second,
			HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: cfg.MaxStreams},
			ErrorLog:          log.New(io.Discard, "", 0), // a client that goes away is what the simulator is for
		},
	}
	if cfg.TLS != nil {
		s.scheme = "https"
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cfg.TLS}, MinVersion: tls.VersionTLS12}
	}
	go func() {
		defer close(s.done)
		s.serve()
	}()
	return s, nil
}

func (s *Server) serve() {
	var err error
	if s.server.TLSConfig != nil {
		err = s.server.ServeTLS(s.listener, "", "")
	} else {
		err = s.server.Serve(s.listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		panic(fmt.Sprintf("simulator on %s: %v", s.Addr(), err)) // its listener broke: no test result would be true
	}
}

// Addr is where it listens, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is its base address, without a slash at the end.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr() }

// Close stops at once: running requests and connections are cut.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}
