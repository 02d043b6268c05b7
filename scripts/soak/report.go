package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// mostGrowth is the share by which a role's memory may exceed that of its first minute.
const mostGrowth = 0.10

// report is what a run found.
type report struct {
	options
	machine            string
	began              time.Time
	took               time.Duration
	steady, waiting    []memory
	recoveries         []recovery
	produced, accepted int64
}

// beside is how much more a role held while records waited than in the first minute under load.
func (r *report) beside(i int) float64 {
	return share(slices.Max(r.waiting[i].minutes), r.steady[i].minutes[0])
}

func (r *report) passed() bool {
	for i := range r.steady {
		if r.steady[i].growth() > mostGrowth || i < len(r.waiting) && r.beside(i) > mostGrowth {
			return false
		}
	}
	return !slices.ContainsFunc(r.recoveries, func(c recovery) bool { return !c.ok() })
}

// last is the line for scripts.
func (r *report) last(err error) string {
	verdict := "passed"
	if err != nil || !r.passed() {
		verdict = "missed"
	}
	line := "soak: " + verdict + fmt.Sprintf(" messages=%d", r.produced)
	for i := range r.steady {
		line += fmt.Sprintf(" %s=%+.0f%%", r.steady[i].role, 100*r.steady[i].growth())
	}
	for _, c := range r.recoveries {
		line += fmt.Sprintf(" %s_recovery=%.0fs", c.platform, max(c.lanes, c.waiting).Seconds())
	}
	return line
}

// write makes the page.
func (r *report) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Soak: memory over time, and recovery from an outage

Printed by `+"`make soak`"+` on %s, in %s, on %s. One process for each role, a real Kafka of one node, a real Redis, both simulators
(30 ms an answer) and the load share the machine. %d messages a second, half of them to each platform; %d messages produced.

## Memory under a steady load

Resident, the median of each minute of %s, after %s of warming up. The bar: no minute more than 10 %% above the first.

| Role | first minute | last minute | fullest minute | growth | |
|---|---|---|---|---|---|
`, r.began.Format("2006-01-02"), r.took.Round(time.Second), r.machine, r.rate, r.produced, r.options.steady, r.warm)
	for _, m := range r.steady {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %+.1f %% | %s |\n", m.role, mib(m.minutes[0]), mib(m.minutes[len(m.minutes)-1]), mib(slices.Max(m.minutes)),
			100*m.growth(), verdict(m.growth() <= mostGrowth))
	}
	fmt.Fprintf(&b, `
## Memory while %d records wait

FCM is paused (`+"`pushctl pause --platform fcm`"+`), and that many messages wait in its lane, for %s. The bar: no more than 10 %% above the first
minute under load.

| Role | first minute under load | fullest minute while they wait | growth | |
|---|---|---|---|---|
`, r.options.waiting, r.hold)
	for i, m := range r.waiting {
		fmt.Fprintf(&b, "| %s | %s | %s | %+.1f %% | %s |\n", m.role, mib(r.steady[i].minutes[0]), mib(slices.Max(m.minutes)), 100*r.beside(i), verdict(r.beside(i) <= mostGrowth))
	}
	fmt.Fprintf(&b, `
## After an outage

Both providers answer 503 to everything for %s while the load goes on. Counted from their return: until less is unread in a platform's lanes than
comes in half a second, and until the last record has left its retry and parked topics.

| Platform | most unread | lanes read up | nothing waits | bar | |
|---|---|---|---|---|---|
`, r.outage)
	for _, c := range r.recoveries {
		fmt.Fprintf(&b, "| %s | %d | %.1f s | %.1f s | %.0f s | %s |\n", c.platform, c.highest, c.lanes.Seconds(), c.waiting.Seconds(), c.bar.Seconds(), verdict(c.ok()))
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "**missed**"
}

// machine is what this one can do.
func machine() string {
	return fmt.Sprintf("%d cores (%s/%s), %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
