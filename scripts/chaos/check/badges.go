package check

import (
	"fmt"
	"slices"
)

// badges checks the number of each push. A number is what the device last reported, plus the messages that were
// decided since and not filtered; which these were when the push left is known only within bounds: those whose push arrived before this
// message was produced are among them, those that were produced after this push arrived are not. Where a device went
// through nothing else, the highest number has to be exactly the sum.
func (c *checker) badges() {
	byDevice := map[*Device][]*pair{}
	for _, p := range c.ordered {
		byDevice[p.device] = append(byDevice[p.device], p)
	}
	for d, pairs := range byDevice {
		var reports timeline
		for _, change := range c.lines[d] {
			if change.Report && !change.Durable.IsZero() {
				reports = append(reports, change)
			}
		}
		if len(reports) > 0 {
			c.sum(d, pairs, reports[len(reports)-1])
		}
		for _, p := range pairs {
			for _, push := range p.accepted() {
				c.badge(p, push, pairs, reports)
			}
		}
	}
}

// badge checks one push against the reports that may have been the newest when it left.
func (c *checker) badge(p *pair, push Push, pairs []*pair, reports timeline) {
	var candidates timeline
	for _, r := range slices.Backward(reports) {
		if r.At.After(push.Time) {
			continue
		}
		candidates = append(candidates, r)
		if !r.Durable.Add(c.in.Slack + c.in.Look).After(p.admitted(push)) {
			break // it was known
		}
	}
	if len(candidates) == 0 {
		return // nobody knows what stood there before
	}
	if c.forgot(candidates[len(candidates)-1], push.Time) {
		return
	}
	c.v.Badges++
	var text string
	for _, r := range candidates {
		low, high := bounds(p, push, pairs, r)
		if low <= push.Badge && push.Badge <= high {
			return
		}
		text += fmt.Sprintf("; %d to %d after %d unread at %s", low, high, r.Unread, clock(r.At))
	}
	c.v.WrongBadges++
	for _, other := range pairs {
		if other != p && other.message.first.Time.Before(push.Time) {
			text += "; beside " + other.String()
		}
	}
	c.v.example("wrong badges", fmt.Sprintf("%s: badge %d of the push at %s is not within%s; %s", p, push.Badge, clock(push.Time), text, c.lines[p.device]))
}

// bounds are the numbers that a push may have, where a report was the newest.
func bounds(p *pair, push Push, pairs []*pair, report Change) (low, high int) {
	low, high = report.Unread, report.Unread
	for _, other := range pairs {
		at := other.message.first.Time
		if !at.After(report.At) {
			continue // it is in the report
		}
		if other == p {
			low, high = low+1, high+1
			continue
		}
		if !at.After(push.Time) {
			high++
		}
		// One whose answer was lost may have been filtered by the next attempt, and counts no more then.
		if first := other.accepted(); len(first) > 0 && first[0].Time.Before(p.message.first.Time) && !other.filtered() {
			low++
		}
	}
	return low, high
}

// filtered says whether a message was taken back for where its device was.
func (p *pair) filtered() bool {
	return slices.ContainsFunc(p.events, func(e Event) bool {
		return e.Disposition == "filter" && e.Reason != "duplicate" && e.Reason != "superseded"
	})
}

// sum checks the highest number after a device's last report, where it got a push for each message and changed nothing
// since. Of an earlier report nobody can tell: what came last before the next may have been decided after it. Nor of one
// that the fleet need not have known when the last push was let go.
func (c *checker) sum(d *Device, pairs []*pair, report Change) {
	line := c.lines[d]
	if line[len(line)-1].At != report.At || c.emptied(report) {
		return
	}
	want, highest, known := report.Unread, 0, false
	for _, p := range pairs {
		if !p.message.first.Time.After(report.At) {
			continue
		}
		accepted := p.accepted()
		if len(accepted) == 0 || p.filtered() {
			return // or it is lost: counted elsewhere
		}
		want++
		for _, push := range accepted {
			highest = max(highest, push.Badge)
			known = known || p.admitted(push).After(report.Durable.Add(c.in.Slack+c.in.Look))
		}
	}
	if known && highest < want {
		c.v.WrongBadges++
		c.v.example("wrong badges", fmt.Sprintf("%s %s: %d unread at %s and %d messages since, but no badge above %d",
			d.User, d.ID, report.Unread, clock(report.At), want-report.Unread, highest))
	}
}
