package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// node is one node, whether its process runs or not.
type node struct {
	java             []string // arguments before the class
	properties, data string

	mu      sync.Mutex
	process *os.Process   // nil = it does not run
	ended   chan struct{} // closed when it has
}

// log is where the node's process writes, anew at each start.
func (n *node) log() string { return n.data + ".log" }

// format makes the data folder, for a node that was never started.
func (n *node) format(ctx context.Context, cluster, voters string) error {
	args := slices.Concat(n.java, []string{"kafka.tools.StorageTool", "format", "-t", cluster, "-c", n.properties, "--initial-controllers", voters})
	cmd := exec.CommandContext(ctx, "java", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting: %w: %s", err, tail(out))
	}
	return nil
}

// startedMark is the broker's last line of a start.
const startedMark = "Kafka Server started"

// start starts the process and waits until it takes requests.
func (n *node) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ended, err := n.launch(context.WithoutCancel(ctx)) // the node outlives its start
	if err != nil {
		return err
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		log, err := os.ReadFile(n.log())
		if err != nil {
			return err
		}
		if bytes.Contains(log, []byte(startedMark)) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("ended while it started: %s", tail(log))
		case <-ctx.Done():
			n.kill()
			return fmt.Errorf("not started: %w: %s", ctx.Err(), tail(log))
		case <-poll.C:
		}
	}
}

// launch starts the process. Its parent is a thread of its own: a thread's end is the child's death signal.
func (n *node) launch(ctx context.Context) (ended chan struct{}, err error) {
	log, err := os.Create(n.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "java", slices.Concat(n.java, []string{"kafka.Kafka", n.properties})...)
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
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process, n.ended = cmd.Process, ended
	return ended, nil
}

// kill ends the process, a frozen one too, and waits for its end.
func (n *node) kill() {
	n.mu.Lock()
	process, ended := n.process, n.ended
	n.process = nil
	n.mu.Unlock()
	if process != nil {
		_ = process.Kill() // fails only where it has ended
		<-ended
	}
}

var errNotRunning = errors.New("kafkatest: the node does not run")

func (n *node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return errNotRunning
	}
	return n.process.Signal(s)
}

// tail is the end of what a process wrote.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
