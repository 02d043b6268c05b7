// Package report writes down what a chaos run found: results flow in; a page in Markdown, lines for a terminal and the
// last line of all flow out. It judges nothing itself.
package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/check"
	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

// Result is one phase and what was found.
type Result struct {
	Phase   schedule.Phase
	Verdict *check.Verdict
	Log     []string      // what was done, and when it really was
	Settled time.Duration // from the end of the load until nothing was left to do
}

func (r Result) scenario() check.Scenario {
	return check.Scenario{Kills: r.Phase.Kills, LosesData: r.Phase.LosesData, LosesAnswers: r.Phase.LosesAnswers}
}

// Missed lists the bars that a phase did not reach.
func (r Result) Missed() []string { return r.Verdict.Missed(r.scenario()) }

// Run is a whole run.
type Run struct {
	Command  string
	Seed     uint64
	Versions []string // name and version
	Machine  string
	Took     time.Duration
	Results  []Result
	Failures []error // of the run itself
}

// Passed says whether every bar was reached and nothing failed.
func (r Run) Passed() bool {
	for _, result := range r.Results {
		if len(result.Missed()) > 0 {
			return false
		}
	}
	return len(r.Failures) == 0 && len(r.Results) > 0
}

// Line sums a phase up.
func Line(r Result) string {
	v := r.Verdict
	text := fmt.Sprintf("pushes=%d lost=%d late=%d duplicates=%d (%.3f %%) ambiguous=%d misordered=%d of %d wrong-badges=%d of %d stale=%d (under way %d, longest %.1f s) unexpected=%d wrong-ends=%d settled after %.1f s",
		v.Pushed, v.Lost, v.Late, v.Duplicates, 100*v.Share(r.scenario()), v.Ambiguous, v.Misordered, v.Ordered, v.WrongBadges, v.Badges, v.Stale,
		v.UnderWay, v.Longest.Seconds(), v.Unexpected, v.WrongEnds, r.Settled.Seconds())
	if missed := r.Missed(); len(missed) > 0 {
		return text + "; MISSED: " + strings.Join(missed, ", ")
	}
	return text
}

// Examples are some of what was found, a line each.
func Examples(v *check.Verdict) []string {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(v.Examples)) {
		for _, text := range v.Examples[kind] {
			lines = append(lines, kind+": "+text)
		}
	}
	return lines
}

// Last is the last line of a run's output.
func (r Run) Last() string {
	var sum check.Verdict
	messages := 0
	for _, result := range r.Results {
		v := result.Verdict
		messages += v.Records
		sum.Pushed += v.Pushed
		sum.Lost += v.Lost
		sum.Late += v.Late
		sum.Duplicates += v.Duplicates
		sum.Ambiguous += v.Ambiguous
		sum.Misordered += v.Misordered
		sum.Stale += v.Stale
		sum.Unexpected += v.Unexpected
		sum.WrongEnds += v.WrongEnds
		if !result.Phase.LosesData {
			sum.WrongBadges += v.WrongBadges
		}
	}
	result := "passed"
	if !r.Passed() {
		result = "failed"
	}
	return fmt.Sprintf("chaos: messages=%d lost=%d duplicates=%d ambiguous=%d misordered=%d wrong-badges=%d stale=%d late=%d unexpected=%d wrong-ends=%d pushes=%d seed=%d result=%s",
		messages, sum.Lost, sum.Duplicates, sum.Ambiguous, sum.Misordered, sum.WrongBadges, sum.Stale, sum.Late, sum.Unexpected, sum.WrongEnds,
		sum.Pushed, r.Seed, result)
}

// Write writes the page.
func (r Run) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Chaos: what a fleet loses while everything around it fails\n\n")
	b.WriteString("Written by the run itself; nothing is edited. What is played and how it is judged stands below the figures.\n\n")
	fmt.Fprintf(&b, "    %s\n    %s\n\n", r.Command, r.Last())
	fmt.Fprintf(&b, "It took %s on %s, with %s.\n\n", r.Took.Round(time.Second), r.Machine, strings.Join(r.Versions, ", "))
	r.table(&b)
	for _, err := range r.Failures {
		fmt.Fprintf(&b, "\nThe run itself failed: %v\n", err)
	}
	b.WriteString(explanation)
	b.WriteString("\n## What was done, and when\n")
	for _, result := range r.Results {
		if len(result.Log) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n```text\n", result.Phase.Name)
		for _, line := range result.Log {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		b.WriteString("```\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Run) table(b *strings.Builder) {
	b.WriteString("| Scenario | messages | bad records | faults | pushes | lost | duplicates | limit | answer lost | out of order | wrong badges | stale | late under way | late presence | unexpected | wrong ends | worked off after | bars |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, result := range r.Results {
		v := result.Verdict
		limit := "none"
		if share, ok := result.scenario().DuplicatesLimit(); ok {
			limit = fmt.Sprintf("%.1f %%", 100*share)
		}
		bars := "kept"
		if missed := result.Missed(); len(missed) > 0 {
			bars = "**missed: " + strings.Join(missed, ", ") + "**"
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d (%.3f %%) | %s | %d (%.3f %%) | %d of %d | %d of %d | %d | %d | %d | %d | %d | %.0f s | %s |\n", result.Phase.Name,
			v.Records, v.Bad, len(result.Phase.Actions), v.Pushed, v.Lost, v.Repeated(result.scenario()), 100*v.Share(result.scenario()), limit, v.Ambiguous,
			100*v.AmbiguousShare(), v.Misordered, v.Ordered, v.WrongBadges, v.Badges, v.Stale, v.UnderWay, v.Late, v.Unexpected, v.WrongEnds, result.Settled.Seconds(), bars)
	}
}
