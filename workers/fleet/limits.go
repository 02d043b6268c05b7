package fleet

import (
	"strings"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// share is a part of what the process may hold in flight.
type share struct{ records, bytes int }

// shareOf divides the limits: each deliver role of the process has a share of its own, and all other roles one together.
// So a provider that hangs fills its own share, and takes nothing from the other platforms nor from route.
func shareOf(limits config.Limits, roles []Role) share {
	parts := 1
	for _, role := range roles {
		if strings.HasPrefix(string(role), deliverPrefix) {
			parts++
		}
	}
	return share{max(limits.InFlight/parts, 1), max(int(limits.InFlightBytes)/parts, 1)}
}

// bounded sets what a source of one of the other roles may hold: no more than half of what they have together, so that a
// role that waits leaves something to the rest.
func (f *fleet) bounded(cfg stream.SourceConfig) stream.SourceConfig {
	cfg.Budget, cfg.DrainTimeout = f.budget, f.end.drain
	cfg.MaxRecords, cfg.MaxBytes = max(f.share.records/2, 1), max(f.share.bytes/2, 1)
	return cfg
}
