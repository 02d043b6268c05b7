package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what a run found.
type report struct {
	options
	machine         string
	began           time.Time
	took            time.Duration
	steady, waiting []memory
	resumed         *recovery // FCM's, after the records waited; nil = not played
	recoveries      []recovery
	counts          counts
	failure         error // why a part was not played to its end
}

// last is the line for scripts.
func (r *report) last() string {
	verdict := "passed"
	if !r.passed() {
		verdict = "missed"
	}
	line := fmt.Sprintf("soak: %s messages=%d failed=%d missing=%d again=%d", verdict, r.counts.produced, r.counts.failed, r.counts.missing(), r.counts.again)
	for _, m := range r.steady {
		line += fmt.Sprintf(" %s=%+.0f%%", m.role, 100*m.growth())
	}
	for i, m := range r.waiting {
		line += fmt.Sprintf(" %s_waiting=%+.0f%%", m.role, 100*r.beside(i))
	}
	if r.resumed != nil {
		line += fmt.Sprintf(" resumed=%.0fs resumed_rate=%.0f", r.resumed.lanes.Seconds(), r.resumed.pace())
	}
	for _, c := range r.recoveries {
		line += fmt.Sprintf(" %s_recovery=%.0fs", c.platform, c.took().Seconds())
	}
	return line
}

// write makes the page.
func (r *report) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Soak: memory over time, and recovery from an outage

Printed by `+"`make soak`"+` on %s, in %s, on %s. One process for each role, a real Kafka of one node, a real Redis, both simulators
(30 ms an answer) and the load share the machine. %d messages a second, half of them to each platform.

    %s

| Bar | figure | limit | |
|---|---|---|---|
`, r.began.Format("2006-01-02"), r.took.Round(time.Second), r.machine, r.rate, r.last())
	for _, x := range r.bars() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", x.name, x.figure, x.limit, verdict(x.reached))
	}
	if r.failure != nil {
		fmt.Fprintf(&b, "\nThe run itself failed: %v\n", r.failure)
	}
	fmt.Fprintf(&b, `
Of %d messages that Kafka took %d became a push; %d pushes came again.

## Memory under a steady load

Resident, the median of each minute of %s, after %s of warming up. The bar: no minute more than 10 %% above the first.

| Role | first minute | last minute | fullest minute | growth |
|---|---|---|---|---|
`, r.counts.produced, r.counts.accepted, r.counts.again, r.options.steady, r.warm)
	for _, m := range r.steady {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %+.1f %% |\n", m.role, mib(m.minutes[0]), mib(m.minutes[len(m.minutes)-1]), mib(slices.Max(m.minutes)),
			100*m.growth())
	}
	fmt.Fprintf(&b, `
## Memory while %d records wait

FCM is paused (`+"`pushctl pause --platform fcm`"+`), and that many messages are made to wait in its lane while the load goes on. Looked at
for %s, from %s after the last of them: the load is that of the first minute again. The bar: no more than 10 %% above that minute.

| Role | first minute under load | fullest minute while they wait | growth |
|---|---|---|---|
`, r.options.waiting, r.hold, settle)
	for i, m := range r.waiting {
		fmt.Fprintf(&b, "| %s | %s | %s | %+.1f %% |\n", m.role, mib(r.steady[i].minutes[0]), mib(slices.Max(m.minutes)), 100*r.beside(i))
	}
	if r.resumed != nil {
		fmt.Fprintf(&b, `
Resumed, FCM had %d unread. After %s less was unread than comes in half a second: %.0f a second beside the load, with the quota of the
configuration and the default ramp.
`, r.resumed.highest, seconds(r.resumed.lanes), r.resumed.pace())
	}
	fmt.Fprintf(&b, `
## After an outage

Both providers answer 503 to everything for %s while the load goes on. Counted from their return: until less is unread in a platform's lanes than
comes in half a second, and until the last record has left its retry and parked topics.

| Platform | most unread | lanes read up | nothing waits |
|---|---|---|---|
`, r.outage)
	for _, c := range r.recoveries {
		fmt.Fprintf(&b, "| %s | %d | %s | %s |\n", c.platform, c.highest, seconds(c.lanes), seconds(c.waiting))
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// machine is what this one can do.
func machine() string {
	return fmt.Sprintf("%d cores (%s/%s), %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
