// Command profile says where a push's processor time goes, step by step.
//
//	go run ./scripts/profile
//
// It runs the senders' benchmarks with a profile, on the simulators in processes of their own, and gives each sample to
// the step that its innermost known function belongs to: what that step calls in the standard library, and the memory
// that it takes, counts as its own. The senders' and the workers' other functions count for themselves only where no step
// called them. Garbage collection and scheduling are steps of their own.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"text/tabwriter"

	"golang.org/x/perf/benchfmt"
)

// subject is one benchmark, and the steps of what it measures.
type subject struct {
	title, pkg, benchmark string
	steps                 []step
}

var subjects = []subject{
	{"A push to APNs, transport h2", "./pkg/apns", "^BenchmarkSend$/^latency=0s$/^h2$", apnsSteps},
	{"A send to FCM, transport h2, 50 in flight", "./pkg/fcm", "^BenchmarkSend$/^h2$/^in-flight=50$", fcmSteps},
}

// pushes are enough for a sample of every step.
const pushes = "500000x"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, s := range subjects {
		if err := s.print(ctx, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "profile: %s: %v\n", s.title, err)
			os.Exit(1)
		}
	}
}

func (s subject) print(ctx context.Context, to io.Writer) error {
	dir, err := os.MkdirTemp("", "profile")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, profile := filepath.Join(dir, "test"), filepath.Join(dir, "cpu")
	printed, err := run(ctx, "go", "test", "-run=^$", "-bench="+s.benchmark, "-benchtime="+pushes, "-o="+binary, "-cpuprofile="+profile, s.pkg)
	if err != nil {
		return err
	}
	cost, err := costOf(printed)
	if err != nil {
		return err
	}
	traces, err := run(ctx, "go", "tool", "pprof", "-traces", binary, profile)
	if err != nil {
		return err
	}
	shares, err := attribute(bytes.NewReader(traces), s.steps)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(to, "%s: %.1f µs of the client's processor time\n", s.title, cost)
	for _, share := range shares {
		fmt.Fprintf(w, "%.2f µs\t%.0f %%\t  %s\n", share.part*cost, share.part*100, share.name)
	}
	return w.Flush()
}

// run returns what a command prints.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Stderr = os.Stderr
	return command.Output()
}

// costOf finds the processor time of one push, in µs.
func costOf(printed []byte) (float64, error) {
	reader := benchfmt.NewReader(bytes.NewReader(printed), "the benchmark's output")
	for reader.Scan() {
		if result, ok := reader.Result().(*benchfmt.Result); ok {
			if cost, ok := result.Value("cpu-µs/op"); ok {
				return cost, nil
			}
		}
	}
	return 0, fmt.Errorf("no figure in:\n%s", printed)
}
