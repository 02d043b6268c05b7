// Package schedule says what goes wrong in a run, and when: a seed and a size flow in, phases with their load and their
// faults flow out. It promises that the same seed gives the same schedule, that every fault is undone before its phase's
// load ends, and that only one phase takes two brokers away at once.
package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what an action does.
type Kind string

// The kinds. Each lasts for [Action.For] and is undone then.
const (
	KillWorker  Kind = "kill worker"      // SIGKILL; started again at the end
	PauseWorker Kind = "pause worker"     // SIGSTOP, then SIGCONT
	StopWorker  Kind = "scale in"         // SIGTERM; started again at the end
	AddWorker   Kind = "scale out"        // one more of a role; SIGTERM at the end
	KillBroker  Kind = "kill broker"      // SIGKILL; started again at the end
	PauseBroker Kind = "pause broker"     // SIGSTOP, then SIGCONT
	KillRedis   Kind = "kill Redis"       // SIGKILL; started again with its append-only file at the end
	WipeRedis   Kind = "empty Redis"      // SIGKILL; started again without any data at the end
	PauseRedis  Kind = "pause Redis"      // SIGSTOP, then SIGCONT
	Cut         Kind = "cut connections"  // of a proxy: all are closed, new ones are refused until the end
	Slow        Kind = "slow connections" // of a proxy: Arg is the latency in each direction
	Narrow      Kind = "narrow link"      // of a proxy: Arg is the bandwidth in KB/s
	Providers   Kind = "providers"        // Arg names a fault script
	RotateKeys  Kind = "rotate keys"      // new good keys in place of the old ones; nothing is undone
	GarbageKeys Kind = "garbage keys"     // files that hold no key; good new ones at the end
	UnknownKeys Kind = "unknown keys"     // well-formed keys that the providers refuse; good new ones at the end
)

// Action is one thing that goes wrong.
type Action struct {
	At     time.Duration // after the load of the phase began
	For    time.Duration
	Kind   Kind
	Target string // a worker, a role, "broker-1", a proxy; "" where there is only one
	Arg    string
}

func (a Action) String() string {
	s := fmt.Sprintf("%.1f s: %s", a.At.Seconds(), a.Kind)
	for _, part := range []string{a.Target, a.Arg} {
		if part != "" {
			s += " " + part
		}
	}
	if a.For > 0 {
		s += fmt.Sprintf(" for %.1f s", a.For.Seconds())
	}
	return s
}

// Phase is one scenario.
type Phase struct {
	Name     string
	Messages int
	Load     time.Duration // in which they are produced, evenly
	Actions  []Action      // by time
	// Kills says that processes are killed or taken away: more duplicates are allowed.
	Kills bool
	// LosesData says that Redis forgets everything: numbers on icons and presence are unknown then.
	LosesData bool
	// LosesAnswers says that connections break while providers answer.
	LosesAnswers bool
}

// Plan is a whole run.
type Plan struct {
	Seed   uint64
	Phases []Phase
}

// Messages is how many messages the plan has.
func (p Plan) Messages() int {
	n := 0
	for _, phase := range p.Phases {
		n += phase.Messages
	}
	return n
}

// String lists every action, a line each.
func (p Plan) String() string {
	var b strings.Builder
	for _, phase := range p.Phases {
		fmt.Fprintf(&b, "%s: %d messages in %s\n", phase.Name, phase.Messages, phase.Load)
		for _, a := range phase.Actions {
			fmt.Fprintf(&b, "  %s\n", a)
		}
	}
	return b.String()
}

func byTime(actions []Action) []Action {
	slices.SortStableFunc(actions, func(a, b Action) int { return int(a.At - b.At) })
	return actions
}
