// Command chaos proves what the fleet promises while everything around it fails. A seed flows in; a page with figures and
// a last line for scripts flow out. It starts three real Kafka brokers, a real Redis, the providers' simulators and two
// processes of each kind of worker, all on the loopback interface, plays a schedule of faults that the seed gives, and
// compares what was produced with what arrived. It exits with 0 where every bar was reached, else with 1, and leaves no
// process behind, however it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/report"
	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

// options are the command line.
type options struct {
	seed   uint64
	short  bool
	page   string
	only   string
	show   bool
	binary string
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "what the schedule, the users and the messages are drawn from")
	flag.BoolVar(&o.short, "short", false, "a run of three minutes in place of half an hour")
	flag.StringVar(&o.page, "report", "", "file that the figures are written to (default: none)")
	flag.StringVar(&o.only, "only", "", "play the scenarios alone whose names contain this")
	flag.BoolVar(&o.show, "show", false, "print the schedule and play nothing")
	flag.StringVar(&o.binary, "pushfleet", "bin/pushfleet", "the program under test")
	flag.Parse()
	plan := o.plan()
	if o.show {
		fmt.Print(plan)
		return
	}
	limit := longest
	if o.short {
		limit = longestShort
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the run took longer than %s", limit))
	result, err := o.run(ctx, plan)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		result.Failures = append(result.Failures, err)
	}
	if err := o.write(result); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		result.Failures = append(result.Failures, err)
	}
	fmt.Println(result.Last())
	if !result.Passed() {
		os.Exit(1)
	}
}

func (o options) plan() schedule.Plan {
	size := schedule.Full()
	if o.short {
		size = schedule.Short()
	}
	plan := schedule.New(o.seed, size, targets())
	kept := plan.Phases[:0]
	for _, phase := range plan.Phases {
		if strings.Contains(phase.Name, o.only) {
			kept = append(kept, phase)
		}
	}
	plan.Phases = kept
	return plan
}

// targets are what there is to break here.
func targets() schedule.Targets {
	t := schedule.Targets{Workers: workerNames(), Roles: kinds(), Brokers: brokers, Proxies: []string{proxyRedis, proxyAPNs, proxyFCM}, Scripts: scripts()}
	for n := range brokers {
		t.Proxies = append(t.Proxies, proxyBroker(n))
	}
	return t
}

const (
	patience      = 4 * time.Minute // for everything to be worked off after a scenario
	shortPatience = 90 * time.Second
	longest       = 28 * time.Minute // of a run, whatever happens; with what is built before it, half an hour
	longestShort  = 10 * time.Minute
)

func (o options) run(ctx context.Context, plan schedule.Plan) (result report.Run, err error) {
	began := time.Now()
	result = report.Run{Command: "make chaos SEED=" + fmt.Sprint(o.seed), Seed: o.seed, Machine: machine()}
	wait := patience
	if o.short {
		result.Command, wait = "make chaos-short SEED="+fmt.Sprint(o.seed), shortPatience
	}
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return result, err
	}
	w, err := startWorld(ctx, plan.Seed, binary)
	if err != nil {
		return result, err
	}
	defer func() {
		w.close()
		if err == nil && result.Passed() {
			err = os.RemoveAll(w.dir)
			return
		}
		fmt.Fprintln(os.Stderr, "chaos: the workers' logs are in", w.dir)
	}()
	result.Versions = versions(ctx, w)
	r := newRun(w, plan, wait, os.Stdout)
	r.say("servers started in %s; seed %d", time.Since(began).Round(100*time.Millisecond), plan.Seed)
	result.Results, err = r.play(ctx)
	result.Took = time.Since(began)
	if err != nil {
		result.Failures = r.failures
		return result, errors.Join(err, context.Cause(ctx))
	}
	if err := errors.Join(w.workers.close(true), w.workers.crashes()); err != nil {
		r.fail(err)
	}
	result.Failures = r.failures
	result.Took = time.Since(began)
	return result, nil
}

func (o options) write(result report.Run) error {
	if o.page == "" || len(result.Results) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.page), 0o755); err != nil {
		return err
	}
	file, err := os.Create(o.page)
	if err != nil {
		return err
	}
	return errors.Join(result.Write(file), file.Close())
}

// machine is what this one can do.
func machine() string {
	model := "unknown processors"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(info), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		model = strings.Trim(line, "\t :")
	}
	return fmt.Sprintf("%d cores (%s, %s/%s)", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH)
}

// versions are those of what took part.
func versions(ctx context.Context, w *world) []string {
	all := []string{runtime.Version(), "Redis " + w.redis.version(ctx)}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		all = append([]string{"pushfleet " + strings.TrimSpace(string(out))}, all...)
	}
	if pom, err := os.ReadFile("scripts/kafka/pom.xml"); err == nil {
		_, rest, _ := strings.Cut(string(pom), "<kafka.version>")
		version, _, _ := strings.Cut(rest, "<")
		all = append(all, "Kafka "+version)
	}
	return all
}
