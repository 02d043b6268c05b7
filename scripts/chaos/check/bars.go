package check

import "fmt"

// The bars on duplicates, as shares of the pushes.
const (
	duplicatesWithoutKills = 0.001
	duplicatesWithKills    = 0.01
)

// Scenario is what a phase was about, as far as it changes what is allowed.
type Scenario struct {
	Kills     bool // processes were killed: more duplicates are allowed
	LosesData bool // Redis forgot everything: as many duplicates and wrong numbers as there are
	// LosesAnswers says that connections to providers broke: what was sent again for want of an answer is counted apart.
	LosesAnswers bool
}

// DuplicatesLimit is how many of the pushes may be repetitions; ok is false where there is no limit.
func (s Scenario) DuplicatesLimit() (share float64, ok bool) {
	switch {
	case s.LosesData:
		return 0, false
	case s.Kills:
		return duplicatesWithKills, true
	}
	return duplicatesWithoutKills, true
}

// Repeated is how many pushes count against the limit. A push whose answer was lost on the way has to be sent again, or it
// might be lost itself: such are counted apart where the scenario breaks the way. Where it does not, all count.
func (v *Verdict) Repeated(s Scenario) int {
	if s.LosesAnswers {
		return v.Duplicates
	}
	return v.Duplicates + v.Ambiguous
}

// Share is how many of the pushes count against the limit.
func (v *Verdict) Share(s Scenario) float64 { return v.share(v.Repeated(s)) }

// AmbiguousShare is how many of the pushes came again after an answer that was lost, whether they count or not.
func (v *Verdict) AmbiguousShare() float64 { return v.share(v.Ambiguous) }

func (v *Verdict) share(n int) float64 {
	if v.Pushed == 0 {
		return 0
	}
	return float64(n) / float64(v.Pushed)
}

// Missed lists the bars that were not reached; none is good.
func (v *Verdict) Missed(s Scenario) []string {
	var missed []string
	none := func(n int, what string) {
		if n > 0 {
			missed = append(missed, fmt.Sprintf("%d %s", n, what))
		}
	}
	none(v.Lost, "lost")
	none(v.Late, "not pushed because of late presence")
	none(v.Misordered, "out of order")
	none(v.Unexpected, "unexpected pushes")
	none(v.Stale, "pushes to a device in the foreground or logged out")
	none(v.WrongEnds, "unexpected ends")
	if !s.LosesData {
		none(v.WrongBadges, "wrong badges")
	}
	if limit, ok := s.DuplicatesLimit(); ok && v.Share(s) > limit {
		missed = append(missed, fmt.Sprintf("%.3f %% duplicates, more than %.1f %%", 100*v.Share(s), 100*limit))
	}
	if v.Pushed == 0 {
		missed = append(missed, "no push at all")
	}
	return missed
}
