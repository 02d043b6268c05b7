package deliver

import "github.com/pushfleet/pushfleet/pkg/push"

// brakeAnswers is how many answers of a credential the brake remembers.
const brakeAnswers = 100

// Brake says when rejected tokens are too many to be believed: at least Rejections of the last 100 answers of a
// credential, and at least Share of those there were.
type Brake struct {
	Rejections int
	Share      float64 // 0 to 1
}

// brake keeps a wrong configuration from emptying the registry. While it is on, no token is dropped. It comes off where
// rejections are half as frequent as what put it on. Its owner guards it.
type brake struct {
	answers  [brakeAnswers]bool // true = the token was rejected
	at, n    int                // where the next one goes, and how many there are
	rejected int
	on       bool
}

// note takes an outcome, and says whether that put the brake on or took it off.
func (b *brake) note(o push.Outcome, limit Brake) (changed bool) {
	rejected := o.Disposition == push.DropToken
	if !rejected && o.Disposition != push.Delivered {
		return false
	}
	if b.n == brakeAnswers && b.answers[b.at] {
		b.rejected--
	}
	b.answers[b.at] = rejected
	b.at = (b.at + 1) % brakeAnswers
	b.n = min(b.n+1, brakeAnswers)
	if rejected {
		b.rejected++
	}
	before := b.on
	share := float64(b.rejected) / float64(b.n)
	switch {
	case b.rejected >= limit.Rejections && share >= limit.Share:
		b.on = true
	case share < limit.Share/2:
		b.on = false
	}
	return b.on != before
}
