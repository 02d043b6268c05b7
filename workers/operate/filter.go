package operate

import (
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Filter chooses letters. Empty fields choose all.
type Filter struct {
	Topic        string // a dead topic's whole name
	Platform     push.Platform
	App          string
	Reason       push.Reason
	Credential   string
	User         string // whose device it was for; of a dead chat message, its sender or one of those whom it names
	MsgKey       string
	Since, Until time.Time // when it died: not before Since, and before Until
	Redriven     bool      // those too that were sent back already
	Discarded    bool      // those too that were discarded
}

// All says whether the filter leaves no letter out but those that were dealt with.
func (f Filter) All() bool {
	f.Redriven, f.Discarded = false, false
	return f == Filter{}
}

func (f Filter) matches(l *Letter) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(string(f.Platform), string(l.Platform)) && same(f.App, l.App) && same(string(f.Reason), string(l.Reason)) &&
		same(f.Credential, l.Credential) && same(f.MsgKey, l.MsgKey) &&
		(f.User == "" || f.User == l.User || slices.Contains(l.named, f.User)) &&
		(f.Since.IsZero() || !l.Time.Before(f.Since)) && (f.Until.IsZero() || l.Time.Before(f.Until)) &&
		f.wants(l.Redriven, l.Discarded)
}

// wants says whether letters with such marks are chosen.
func (f Filter) wants(redriven int, discarded bool) bool {
	if discarded {
		return f.Discarded
	}
	return f.Redriven || redriven == 0
}
