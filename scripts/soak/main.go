// Command soak shows that the fleet can run for long: that no role's memory grows, neither under a steady load nor while a
// million records wait beside it, that lag is gone soon after a provider was down, and that each message comes through. A
// rate and durations flow in; a page with figures and a last line for scripts flow out. It starts a real Kafka, a real
// Redis, the providers' simulators and one process for each role, all on the loopback interface, and stops them however
// it ends. It exits with 0 where every bar was reached, else with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	rate    int
	steady  time.Duration
	warm    time.Duration
	outage  time.Duration
	waiting int
	hold    time.Duration
	page    string
	binary  string
	pushctl string
}

func main() {
	var o options
	flag.IntVar(&o.rate, "rate", 2000, "messages a second, half of them to each platform")
	flag.DurationVar(&o.warm, "warm", 2*time.Minute, "load before anything is measured")
	flag.DurationVar(&o.steady, "steady", 10*time.Minute, "load under which memory has to stay flat")
	flag.DurationVar(&o.outage, "outage", time.Minute, "how long both providers are down, while the load goes on")
	flag.IntVar(&o.waiting, "waiting", 1_000_000, "records that wait while memory is looked at")
	flag.DurationVar(&o.hold, "hold", 2*time.Minute, "how long memory is looked at while they wait and the load goes on")
	flag.StringVar(&o.page, "report", "", "file that the figures are written to (default: none)")
	flag.StringVar(&o.binary, "pushfleet", "bin/pushfleet", "the program under test")
	flag.StringVar(&o.pushctl, "pushctl", "bin/pushctl", "its operator's program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := o.run(ctx)
	r.failure = err
	if o.page != "" {
		r.failure = errors.Join(err, r.write(o.page))
	}
	if r.failure != nil {
		fmt.Fprintln(os.Stderr, "soak:", r.failure)
	}
	for _, b := range r.bars() {
		say("%s", b)
	}
	fmt.Println(r.last())
	if !r.passed() {
		os.Exit(1)
	}
}

// run plays the parts, one after another, on the same processes and under the same load.
func (o options) run(ctx context.Context) (*report, error) {
	r := &report{options: o, began: time.Now(), machine: machine()}
	f, err := startFleet(ctx, o)
	if err != nil {
		return r, err
	}
	defer f.close()
	defer func() { r.took = time.Since(r.began) }()
	say("%d users log in with a phone each", users)
	if err := f.login(ctx); err != nil {
		return r, err
	}
	say("%d messages a second for %s", o.rate, o.warm)
	load := startLoad(ctx, f, o.rate)
	defer load.stop()
	if err := f.pass(ctx, o.warm); err != nil {
		return r, err
	}

	say("memory under load, %s", o.steady)
	if r.steady, err = f.watch(ctx, o.steady); err != nil {
		return r, err
	}
	say("%d records are made to wait, while the load goes on", o.waiting)
	if r.waiting, err = f.pile(ctx, o, load); err != nil {
		return r, err
	}
	say("FCM is resumed")
	if r.resumed, err = f.resume(ctx, o); err != nil {
		return r, err
	}
	say("%d records were read up in %s, %.0f a second", r.resumed.highest, seconds(r.resumed.lanes), r.resumed.pace())
	say("both providers are down for %s", o.outage)
	if r.recoveries, err = f.recover(ctx, o); err != nil {
		return r, err
	}
	load.stop()
	if err := f.drain(ctx); err != nil {
		return r, err
	}
	r.counts.produced, r.counts.failed = load.produced.Load(), load.failed.Load()
	r.counts.accepted, r.counts.again = f.accepted()
	return r, nil
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
