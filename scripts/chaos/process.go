package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a child that can be killed, frozen and started again. It dies with this program, however that ends.
type process struct {
	name, log string
	args      []string
	env       []string

	mu    sync.Mutex
	child *os.Process   // nil = it does not run
	ended chan struct{} // closed when it has
	err   error         // how it ended; to be read after ended
}

var errNotRunning = errors.New("it does not run")

// start starts it; its output is appended to its log.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...) //nolint:noctx // it outlives whoever starts it, and is killed
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, dieWithParent()
	cmd.Env = append(os.Environ(), p.env...)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the end of the thread that started it is what the child takes for its parent's
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child, p.ended = cmd.Process, ended
	return nil
}

// take makes it count as not running, and returns what runs.
func (p *process) take() (*os.Process, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	child := p.child
	p.child = nil
	return child, p.ended
}

// kill ends it without a chance to finish anything, and waits for its end.
func (p *process) kill() error {
	child, ended := p.take()
	if child == nil {
		return fmt.Errorf("%s: %w", p.name, errNotRunning)
	}
	select {
	case <-ended:
		return fmt.Errorf("%s ended by itself: %w", p.name, p.err)
	default:
	}
	_ = child.Kill() // fails only where it has ended
	<-ended
	return nil
}

// stop asks it to end, and expects success within a limit.
func (p *process) stop(limit time.Duration) error {
	child, ended := p.take()
	if child == nil {
		return fmt.Errorf("%s: %w", p.name, errNotRunning)
	}
	_ = child.Signal(syscall.SIGTERM) // fails only where it has ended
	select {
	case <-ended:
		if p.err != nil {
			return fmt.Errorf("%s after SIGTERM: %w", p.name, p.err)
		}
		return nil
	case <-time.After(limit):
		_ = child.Kill()
		<-ended
		return fmt.Errorf("%s still ran %s after SIGTERM", p.name, limit)
	}
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return fmt.Errorf("%s: %w", p.name, errNotRunning)
	}
	return p.child.Signal(s)
}
