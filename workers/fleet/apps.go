package fleet

import (
	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/workers/route"
)

// Apps is the set of configured apps.
func Apps(cfg *config.Config) map[string]bool {
	apps := make(map[string]bool, len(cfg.Apps))
	for name := range cfg.Apps {
		apps[name] = true
	}
	return apps
}

// Policies says what each configured app decides for its messages.
func Policies(cfg *config.Config) map[string]route.Policy {
	apps := make(map[string]route.Policy, len(cfg.Apps))
	for name, app := range cfg.Apps {
		apps[name] = route.Policy{Privacy: app.Privacy, AnyForeground: app.ForegroundSilences == config.SilencesUser,
			Rate: float64(app.Rate), ServiceWait: app.ServiceWait}
	}
	return apps
}

// anyForeground says whether one device in the foreground silences its user's others, in an app.
func (f *fleet) anyForeground(app string) bool {
	return f.cfg.Apps[app].ForegroundSilences == config.SilencesUser
}
