// Package pushtest holds what the providers' simulators share: a bounded ledger of every request, scripted answers and
// faults, counters of connections and streams, an admin API over them, a throw-away certificate authority, and an HTTPS
// server on loopback. A simulator's requests flow in; ledger lines, statistics and scripted answers flow out. It promises
// that the ledger has every request in the order of its answer, until its limits drop the oldest, and says how many
// were dropped. Nothing here checks a request: that is the simulator's own part.
package pushtest

import (
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// Control is what one simulator shares with its [Admin]: it writes the ledger and the traffic, and asks the script
// and the faults. Its parts are safe for concurrent use.
type Control struct {
	Platform push.Platform
	Ledger   *Ledger
	Script   *Script
	Faults   *faults.Engine
	Traffic  *Traffic
}

// NewControl returns an empty control with the default limits.
func NewControl(platform push.Platform) *Control {
	return &Control{
		Platform: platform,
		Ledger:   NewLedger(DefaultLimits()),
		Script:   new(Script),
		Faults:   faults.NewEngine(platform),
		Traffic:  new(Traffic),
	}
}
