// Package redistest is real Redis servers for tests and for the chaos program: single ones, replicas and clusters, each
// a process that can be killed, frozen, started again and reconfigured. Everything is on the loopback interface, and gone
// after Close, also where the process that started it is killed (on Linux). It needs redis-server on the PATH, and for a
// cluster redis-cli; Debian's package redis-server has both.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds the start of a server.
const startTimeout = 20 * time.Second

// Server is one server, whether its process runs or not. Methods may be called from any goroutine, but one at a time.
type Server struct {
	dir   string
	port  int
	args  []string
	close sync.Once

	mu      sync.Mutex
	process *os.Process   // nil = it does not run
	ended   chan struct{} // closed when it has
}

// Start starts a server that keeps nothing on disk, with further arguments as redis-server takes them, later ones first.
// It returns when the server answers, be it with an error.
func Start(ctx context.Context, args ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	s := &Server{dir: dir, args: args}
	if s.port, err = freePort(); err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("redistest: %w", err)
	}
	return s, nil
}

// Addr is host:port. It stays the same over a restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is where the server listens.
func (s *Server) Port() int { return s.port }

// Kill ends the server as a power cut of its process would: SIGKILL. One that does not run is left alone.
func (s *Server) Kill() {
	s.mu.Lock()
	process, ended := s.process, s.ended
	s.process = nil
	s.mu.Unlock()
	if process != nil {
		_ = process.Kill() // fails only where it has ended
		<-ended
	}
}

// Restart kills the server where it runs and starts it again at the same address, with the arguments of its start and
// further ones that hold from now on. What it kept in memory alone is gone.
func (s *Server) Restart(ctx context.Context, args ...string) error {
	s.Kill()
	s.args = append(s.args, args...)
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	return nil
}

// Pause freezes the server (SIGSTOP): its connections stay open, and nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Continue ends Pause.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

// Close kills the server and removes its data.
func (s *Server) Close() {
	s.close.Do(func() {
		s.Kill()
		_ = os.RemoveAll(s.dir) // what is left is in the system's folder for such things
	})
}

// Do runs one command on the server and returns what redis-cli prints; an error that the server answers is one.
func (s *Server) Do(ctx context.Context, args ...string) (string, error) {
	all := append([]string{"-e", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)}, args...)
	out, err := exec.CommandContext(ctx, "redis-cli", all...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("redistest: %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *Server) signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("redistest: the server does not run")
	}
	return s.process.Signal(signal)
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// start starts the process and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ended, err := s.launch(context.WithoutCancel(ctx)) // the server outlives its start
	if err != nil {
		return err
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !answers(ctx, s.Addr()) {
		select {
		case <-ended:
			log, _ := os.ReadFile(s.log())
			return fmt.Errorf("server ended while it started: %s", bytes.TrimSpace(log))
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("server not started: %w", ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// launch starts the process. Its parent is a thread of its own: a thread's end is the child's death signal.
func (s *Server) launch(ctx context.Context) (ended chan struct{}, err error) {
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir, "--save", "", "--appendonly", "no"}
	cmd := exec.CommandContext(ctx, "redis-server", slices.Concat(args, s.args)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, dieWithParent()
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // that it was killed is no news
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.ended = cmd.Process, ended
	return ended, nil
}

// answers says whether somebody at the address speaks Redis.
func answers(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	var first [1]byte
	n, err := conn.Read(first[:])
	return err == nil && n == 1 && (first[0] == '+' || first[0] == '-')
}

// freePort is one that nobody listens on, below the range from which the system picks ports for outgoing connections: a
// server that is down keeps its port. So is the one 10,000 above, for the bus of a cluster.
func freePort() (int, error) {
	for range 100 {
		port := 10_000 + rand.IntN(10_000)
		if free(port) && free(port+busOffset) {
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

// busOffset is how far above its port a cluster's node speaks to the others.
const busOffset = 10_000

func free(port int) bool {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
