// Command bench measures every figure of the project and prints them in one table.
//
//	go run ./scripts/bench
//
// It runs the benchmarks of all packages, those that figures come from several times and side by side, and the big group
// on a real Kafka and a real Redis. What they print flows in, in the format of Go's benchmarks, and out again as it comes;
// the table stands at the end. A row with a bound says whether it holds. The exit code is 0 unless a run failed: a bound
// that does not hold is no failure. It takes less than 20 minutes and starts nothing that outlives it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// limit ends whatever still runs. It leaves room for the table within 20 minutes.
const limit = 19*time.Minute + 30*time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run prints the table whatever failed before it, and returns what did.
func run(ctx context.Context, out, problems io.Writer) error {
	bin, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	steps, err := plan(bin)
	if err != nil {
		return err
	}
	got := make(results)
	failed := 0
	for _, s := range steps {
		fmt.Fprintf(out, "\n== %s\n", s.title)
		began := time.Now()
		if err := s.run(ctx, out, problems, got); err != nil {
			fmt.Fprintf(problems, "bench: %s: %v\n", s.title, err)
			failed++
		}
		fmt.Fprintf(out, "== took %s\n", time.Since(began).Round(time.Second))
	}
	fmt.Fprintln(out)
	if err := writeTable(out, figures, got); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed", failed, len(steps))
	}
	return nil
}
