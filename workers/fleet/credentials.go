package fleet

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
)

// credentialPeriod is between two looks at the files of credentials: a replaced key is in use after two of them.
const credentialPeriod = 5 * time.Second

// expiryWarnings are the days before its end at which a credential is warned of, the last one first.
var expiryWarnings = []int{1, 7, 14, 30}

// credentialWatch follows the credentials of a platform, and says what becomes of them. One goroutine uses it.
type credentialWatch struct {
	keeper  push.CredentialKeeper
	metrics *telemetry.Metrics
	log     *zap.Logger
	now     func() time.Time
	known   map[credentialName]knownCredential
	// replaced is called when another key than the last one known is in use; nil = not.
	replaced func(push.CredentialState)
}

type credentialName struct{ app, name string }

// knownCredential is what was said of a credential last.
type knownCredential struct {
	fingerprint string
	problem     string
	warned      int // days; 0 = not warned
}

func newCredentialWatch(keeper push.CredentialKeeper, metrics *telemetry.Metrics, log *zap.Logger, now func() time.Time) *credentialWatch {
	return &credentialWatch{keeper: keeper, metrics: metrics, log: log, now: now, known: make(map[credentialName]knownCredential)}
}

// run looks at once, and then again and again until ctx ends.
func (w *credentialWatch) run(ctx context.Context) {
	tick := time.NewTicker(credentialPeriod)
	defer tick.Stop()
	for {
		for _, s := range w.keeper.RefreshCredentials() {
			w.tell(s)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell says what is new: each thing once.
func (w *credentialWatch) tell(s push.CredentialState) {
	now := w.now()
	w.metrics.Credential(s, now)
	name := credentialName{s.App, s.Name}
	before, told := w.known[name]
	if told && w.replaced != nil && s.Fingerprint != "" && s.Fingerprint != before.fingerprint {
		w.replaced(s)
	}
	log := w.log.With(zap.String("platform", string(s.Platform)), zap.String("app", s.App), zap.String("credential", s.Name),
		zap.String("source", s.Source), zap.String("kind", s.Kind), zap.String("key_id", s.KeyID), zap.String("fingerprint", s.Fingerprint))
	if before.fingerprint != "" && s.Fingerprint != before.fingerprint {
		log.Info("credential replaced", zap.String("fingerprint_before", before.fingerprint))
		w.metrics.CredentialReplaced(s)
		before.warned = 0
	}
	switch {
	case s.Problem == before.problem:
	case s.Problem == "":
		log.Info("credential is good again")
	case s.Fingerprint == "":
		log.Error("credential cannot be used; its notifications are parked", zap.String("problem", s.Problem))
	default:
		log.Error("credential has a problem; what is in use stays so", zap.String("problem", s.Problem))
	}
	warned := expiryWarning(s.Expires, now)
	if warned != 0 && warned != before.warned {
		log.Warn("credential expires soon", zap.Time("expires", s.Expires), zap.Int("days", int(s.Expires.Sub(now).Hours()/24)))
	}
	w.known[name] = knownCredential{fingerprint: s.Fingerprint, problem: s.Problem, warned: warned}
}

// expiryWarning is the warning that is due: the smallest of the list that the days left do not exceed, 0 where none is,
// or the credential has expired, which is a problem and no warning.
func expiryWarning(expires, now time.Time) int {
	if expires.IsZero() || !now.Before(expires) {
		return 0
	}
	for _, days := range expiryWarnings {
		if expires.Sub(now) <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}
