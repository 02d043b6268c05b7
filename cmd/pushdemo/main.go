// Command pushdemo tells the story of a fleet, step by step, and checks each step. It runs a whole fleet in this process,
// sends chat messages and device events to it over HTTP, and shows what reached the simulated phones: nothing in the
// foreground, a text and a badge in the background and after the app was killed, both platforms, groups, what a custom
// element brings along, a token that is gone, a provider that is down for a while, a dead letter that is sent back, and a
// record that nobody can read. It ends with 0 where every step is as expected and with 1 where one differs, and leaves
// nothing behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/workers/dev"
)

const (
	startLimit = 30 * time.Second // until the fleet is ready
	stopLimit  = 30 * time.Second // until it has ended
	storyLimit = 2 * time.Minute
)

func main() { command.Main(run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "pushdemo",
		Short: "Tell the story of a fleet, each step checked",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), stdout) },
	}
	return command.Execute(ctx, root, args, stdin, stdout, stderr)
}

// demo runs a fleet in a folder of its own, and the story on it.
func demo(ctx context.Context, out io.Writer) (err error) {
	if err := environment(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pushdemo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	began := time.Now()
	fleet, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.stop()) }()
	fmt.Fprintf(out, "The fleet is ready after %.1f s: Kafka, Redis, the providers' simulators and every role in one process.\n", time.Since(began).Seconds())

	ctx, cancel := context.WithTimeout(ctx, storyLimit)
	defer cancel()
	s, err := newStory(fleet.ready, out)
	if err != nil {
		return err
	}
	defer s.close()
	differs := s.tell(ctx)
	fmt.Fprintf(out, "\n%d steps in %.1f s, %d differ.\n", len(s.steps()), time.Since(began).Seconds(), differs)
	if differs > 0 {
		return fmt.Errorf("%d steps differ", differs)
	}
	return nil
}

// environment makes the story the same on every machine, and its retries as quick as a listener wants them.
func environment() error {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PUSHFLEET_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.Setenv("PUSHFLEET_RETRY_DELAYS", "1s,2s,4s,8s"), os.Setenv("PUSHFLEET_RETRY_PARK", "2s"))
}

// running is a fleet that runs in this process.
type running struct {
	ready  dev.Ready
	cancel context.CancelFunc
	ended  chan error
}

// start returns when every role has begun to read.
func start(ctx context.Context, dir string) (*running, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, ended: make(chan error, 1)}
	lines := make(lineWriter, 1)
	go func() {
		r.ended <- dev.Run(ctx, dev.Options{DataDir: dir, JSON: true, Out: lines, Logger: telemetry.NewLogger("error", "json")})
	}()
	select {
	case line := <-lines:
		if err := json.Unmarshal(line, &r.ready); err != nil {
			return nil, errors.Join(fmt.Errorf("ready line: %w", err), r.stop())
		}
		return r, nil
	case err := <-r.ended:
		cancel()
		return nil, errors.Join(errors.New("the fleet ended before it was ready"), err)
	case <-time.After(startLimit):
		return nil, errors.Join(fmt.Errorf("the fleet is not ready after %s", startLimit), r.stop())
	}
}

// stop ends the fleet, and returns why it did not end well.
func (r *running) stop() error {
	r.cancel()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(stopLimit):
		return fmt.Errorf("the fleet runs %s after its end", stopLimit)
	}
}

// lineWriter takes the one line that the fleet writes.
type lineWriter chan []byte

func (w lineWriter) Write(p []byte) (int, error) {
	w <- append([]byte(nil), p...)
	return len(p), nil
}
