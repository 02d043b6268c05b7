package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// rounds is how often what is compared is measured: the middle one counts. What is divided comes from the same round, so
// that a load that comes and goes falls on both sides.
const rounds = 5

// step is one command.
type step struct {
	title string
	dir   string
	args  []string
	env   []string // beside the process's own
}

// testBinary is a package that figures come from. It is built once and run several times.
type testBinary struct {
	pkg     string
	compare bench   // whose figures are compared, run in every round
	once    []bench // each in a process of its own: they count, or tell that process's memory
}

// bench is a pattern of benchmarks, and how long each takes, as go test understands both.
type bench struct{ pattern, time string }

var binaries = []testBinary{
	{"./pkg/message", bench{"^BenchmarkParseRender$/^text$", "1s"}, nil},
	{"./pkg/apns", bench{"^BenchmarkSend$", "50000x"}, []bench{
		{"^BenchmarkOneConnection$", "50000x"},
		{"^BenchmarkTail$", "50000x"},
		{"^BenchmarkInFlight$/^h2$", "1x"},
		{"^BenchmarkInFlight$/^std$", "1x"},
		{"^BenchmarkColdStart$", "5x"},
	}},
	{"./pkg/fcm", bench{"^BenchmarkSend$", "50000x"}, []bench{
		{"^BenchmarkLatency$", "50000x"},
		{"^BenchmarkInFlight$/^h2$", "1x"},
		{"^BenchmarkInFlight$/^std$", "1x"},
		{"^BenchmarkColdStart$", "5x"},
	}},
}

// others leaves out what the binaries measure.
const others = "^Benchmark(Send|OneConnection|Tail|Latency|InFlight|ColdStart)$"

// plan lists all steps. Test binaries are built into bin.
func plan(bin string) ([]step, error) {
	var steps []step
	binary := func(pkg string) string { return filepath.Join(bin, filepath.Base(pkg)+".test") }
	measure := func(title, pkg string, of bench) step {
		return step{title: title, dir: pkg, args: []string{
			binary(pkg), "-test.run=^$", "-test.bench=" + of.pattern, "-test.benchtime=" + of.time, "-test.benchmem", "-test.timeout=4m",
		}}
	}
	for _, b := range binaries {
		steps = append(steps, step{title: "build " + b.pkg, dir: ".", args: []string{"go", "test", "-c", "-o", binary(b.pkg), b.pkg}})
	}
	for round := range rounds {
		for _, b := range binaries {
			steps = append(steps, measure(fmt.Sprintf("%s, round %d of %d", b.pkg, round+1, rounds), b.pkg, b.compare))
		}
	}
	for _, b := range binaries {
		for _, of := range b.once {
			steps = append(steps, measure(b.pkg+" "+of.pattern, b.pkg, of))
		}
	}
	packages, err := withBenchmarks("cmd", "pkg", "schemas", "workers")
	if err != nil {
		return nil, err
	}
	rest := []string{"go", "test", "-run=^$", "-bench=.", "-skip=" + others, "-benchtime=200ms", "-benchmem", "-timeout=4m"}
	return append(steps,
		step{title: "all other benchmarks", dir: ".", args: append(rest, packages...)},
		step{
			title: "a group of 100,000 and a rebuild of 1,000,000 devices on a real Kafka and a real Redis",
			dir:   ".", env: []string{"PUSHFLEET_TEST_BENCH=1"},
			args: []string{"scripts/integration", "-run=^TestBigGroup$", "-bench=^BenchmarkRebuild$", "-benchtime=1x", "./workers/fleet", "./workers/devices"},
		},
	), nil
}

// withBenchmarks lists the packages below the directories that have benchmarks.
func withBenchmarks(directories ...string) ([]string, error) {
	var packages []string
	for _, directory := range directories {
		err := filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err == nil && bytes.Contains(source, []byte("\nfunc Benchmark")) {
				packages = append(packages, "./"+filepath.Dir(path))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Compact(packages), nil // a directory's files come one after another
}

// run passes on what the command prints, and keeps what it measured.
func (s step) run(ctx context.Context, out, problems io.Writer, got results) error {
	command := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	command.Dir, command.Env = s.dir, append(os.Environ(), s.env...)
	command.Stderr = problems
	// A script's servers are in its group. They are asked to end, as its own traps expect.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	printed, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	reading := got.read(io.TeeReader(printed, out))
	_, _ = io.Copy(out, printed) // what is left after an error of reading
	if err := command.Wait(); err != nil {
		return err
	}
	return reading
}
