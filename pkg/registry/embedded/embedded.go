// Package embedded is a Redis inside the process, for the fleet without a server and for tests: connections flow in on
// a loopback address, and what Redis would answer flows out. It promises the commands and scripts that the registry
// uses, and expiry by the wall clock; it keeps everything in memory and forgets it when it is closed.
package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Config says where the server listens.
type Config struct {
	Addr string // host:port; default a free port on 127.0.0.1
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	redis *miniredis.Miniredis
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
}

// tick is how often expired keys go. miniredis has no clock of its own, and its option to follow the wall clock looks
// at every key on every command.
const tick = time.Second

// Start runs a server until Close.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	s := &Server{redis: miniredis.NewMiniRedis(), stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.redis.StartAddr(cfg.Addr); err != nil {
		return nil, fmt.Errorf("embedded Redis: listen on %s: %w", cfg.Addr, err)
	}
	go s.follow(time.Now())
	return s, nil
}

// follow advances the server's clock with the wall clock.
func (s *Server) follow(last time.Time) {
	defer close(s.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr is where the server listens, as host:port.
func (s *Server) Addr() string { return s.redis.Addr() }

// Close ends all connections and forgets everything. Later calls do nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.stop)
		<-s.done
		s.redis.Close()
	})
}
