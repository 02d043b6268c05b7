package check

import (
	"fmt"
	"slices"
	"time"
)

// pair is one message at one device.
type pair struct {
	message *sent
	device  *Device

	pushes []Push
	events []Event
}

func (p *pair) String() string {
	s := fmt.Sprintf("%s at %s %s, produced %s", p.message.key, p.device.User, p.device.ID, clock(p.message.first.Time))
	for _, push := range p.pushes {
		s += fmt.Sprintf("; push %s badge %d accepted %t", clock(push.Time), push.Badge, push.Accepted)
	}
	for _, e := range p.events {
		s += fmt.Sprintf("; %s %s %s", clock(e.Time), e.Disposition, e.Reason)
	}
	return s
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// accepted are the pushes that the provider took.
func (p *pair) accepted() []Push {
	var out []Push
	for _, push := range p.pushes {
		if push.Accepted {
			out = append(out, push)
		}
	}
	return out
}

// checker is a check under way.
type checker struct {
	in       Input
	v        *Verdict
	messages map[string]*sent // by key
	lines    map[*Device]timeline
	byUser   map[string][]*Device
	byToken  map[string]*Device
	pairs    map[pairKey]*pair
	ordered  []*pair // by record
}

type pairKey struct {
	key    string
	device *Device
}

// Run checks one phase.
func Run(in Input) *Verdict {
	c := &checker{in: in, v: &Verdict{Examples: map[string][]string{}}, messages: map[string]*sent{},
		lines: map[*Device]timeline{}, byUser: map[string][]*Device{}, byToken: map[string]*Device{}, pairs: map[pairKey]*pair{}}
	c.index()
	c.kept()
	c.expect()
	c.attribute()
	for _, p := range c.ordered {
		c.end(p)
		c.staleness(p)
		c.repeats(p)
	}
	c.order()
	c.badges()
	c.letters()
	return c.v
}

func (c *checker) index() {
	for _, d := range c.in.Devices {
		c.byUser[d.User] = append(c.byUser[d.User], d)
		c.byToken[d.Token] = d
	}
	for _, change := range c.in.Changes {
		c.lines[change.Device] = append(c.lines[change.Device], change)
	}
	for d, line := range c.lines {
		slices.SortStableFunc(line, func(a, b Change) int { return a.At.Compare(b.At) })
		c.lines[d] = line
	}
}

// expect works out who is to get what.
func (c *checker) expect() {
	for _, r := range c.in.Records {
		if c.in.Bad[string(r.Value)] {
			c.v.Bad++
			continue
		}
		m, err := readMessage(r, c.in.Groups)
		if err != nil {
			c.v.WrongEnds++
			c.v.example("wrong ends", fmt.Sprintf("record %d/%d: %v", r.Partition, r.Offset, err))
			continue
		}
		if before := c.messages[m.key]; before != nil {
			before.records++
			if r.Time.Before(before.first.Time) {
				before.first = r
			}
			continue
		}
		c.v.Records++
		c.messages[m.key] = &m
		for _, user := range m.to {
			for _, d := range c.byUser[user] {
				p := &pair{message: &m, device: d}
				c.pairs[pairKey{m.key, d}] = p
				c.ordered = append(c.ordered, p)
			}
		}
	}
	slices.SortStableFunc(c.ordered, func(a, b *pair) int {
		x, y := a.message.first, b.message.first
		if x.Partition != y.Partition {
			return int(x.Partition - y.Partition)
		}
		return int(x.Offset - y.Offset)
	})
}

// kept compares what Kafka said that it has with what it has.
func (c *checker) kept() {
	log := make(map[string]bool, len(c.in.Records))
	for _, r := range c.in.Records {
		log[string(r.Value)] = true
	}
	for _, value := range c.in.Produced {
		if !log[string(value)] {
			c.v.Lost++
			c.v.example("lost", fmt.Sprintf("Kafka has not what it took: %.80q", value))
		}
	}
}

// attribute gives each push and each end to its message and device.
func (c *checker) attribute() {
	for _, push := range c.in.Pushes {
		p := c.pairs[pairKey{push.MsgKey, c.byToken[push.Token]}]
		if p == nil {
			c.v.Unexpected++
			c.v.example("unexpected pushes", fmt.Sprintf("%s to %.12s at %s", push.MsgKey, push.Token, clock(push.Time)))
			continue
		}
		p.pushes = append(p.pushes, push)
	}
	devices := map[[2]string]*Device{}
	for _, d := range c.in.Devices {
		devices[[2]string{d.User, d.ID}] = d
	}
	for _, e := range c.in.Events {
		if p := c.pairs[pairKey{e.MsgKey, devices[[2]string{e.User, e.Device}]}]; p != nil {
			p.events = append(p.events, e)
		}
	}
}

// states of a reason's filter that explain it.
var states = map[string]State{"foreground": Foreground, "logged_out": LoggedOut}

// end says whether a message came to a device, or why not.
func (c *checker) end(p *pair) {
	line, at := c.lines[p.device], p.message.first.Time
	pushed := len(p.accepted()) > 0
	if pushed {
		c.v.Pushed++
	}
	explained := false
	for _, e := range p.events {
		switch e.Disposition {
		case "filter":
			state, known := states[e.Reason]
			switch {
			case e.Reason == "duplicate" || e.Reason == "superseded": // of another record or attempt: no end by itself
			case known && line.known(at, e.Time, c.in.Slack+c.in.Look)[state]:
				explained = true
			case known && !pushed:
				explained = true // counted here, not as lost
				c.v.Late++
				c.v.example("late presence", fmt.Sprintf("%s; %s", p, line))
			case !known:
				c.v.WrongEnds++
				c.v.example("wrong ends", p.String())
			}
		case "dead", "drop_token":
			c.v.WrongEnds++
			c.v.example("wrong ends", p.String())
		}
	}
	if !pushed && !explained {
		c.v.Lost++
		c.v.example("lost", p.String())
	}
}

// staleness says whether a push went to a device that did not want it any more.
func (c *checker) staleness(p *pair) {
	line := c.lines[p.device]
	for _, push := range p.accepted() {
		fits := func(at time.Time, slack time.Duration) bool {
			for state := range line.known(at, at, slack) {
				if state.wantsPush() {
					return true
				}
			}
			return false
		}
		if fits(push.Time, c.in.Slack) {
			continue
		}
		since, _ := line.last(push.Time)
		if since.State == Foreground && c.forgot(since, push.Time) {
			c.v.Forgotten++
			continue
		}
		c.v.Longest = max(c.v.Longest, push.Time.Sub(since.At))
		if fits(p.admitted(push), c.in.Slack+c.in.Look) {
			c.v.UnderWay++
			c.v.example("stale, but under way", c.stale(p, since))
			continue
		}
		c.v.Stale++
		c.v.example("stale", c.stale(p, since))
	}
}

// admitted is when the attempt that led to a push was let go, as the fleet tells it; where it does not, when the push
// came.
func (p *pair) admitted(push Push) time.Time {
	found := push.Time
	for _, e := range p.events {
		if !e.Admitted.IsZero() && e.Admitted.Before(push.Time) && !e.Time.Before(push.Time.Add(-time.Second)) {
			found = e.Admitted
		}
	}
	return found
}

func (c *checker) stale(p *pair, since Change) string {
	return fmt.Sprintf("%s; %s", p, timeline{since})
}

// forgot says whether Redis lost a change before a push.
func (c *checker) forgot(since Change, at time.Time) bool {
	return c.emptied(since) && at.After(c.in.Emptied)
}

// emptied says whether Redis ever lost a change.
func (c *checker) emptied(since Change) bool {
	return !c.in.Emptied.IsZero() && since.At.Before(c.in.Emptied)
}

// unsure are the reasons of a repetition after which the push may have arrived. Of network both senders say that the
// provider never had it, or has told that it did not look at it.
var unsure = map[string]bool{"ambiguous": true, "timeout": true}

// repeats counts what came more than once.
func (c *checker) repeats(p *pair) {
	accepted, excused := p.accepted(), 0
	for i := 1; i < len(accepted); i++ {
		if excused < p.unanswered(accepted[i].Time) {
			excused++
			c.v.Ambiguous++
			c.v.example("ambiguous", p.String())
			continue
		}
		c.v.Duplicates++
		c.v.example("duplicates", p.String())
	}
}

// underWay is how long after its connection was lost a provider may still take a push that it has read, or that a slow
// connection has yet to hand over.
const underWay = 2 * time.Second

// unanswered is how many attempts, of those that the first accepted push may be one of, had ended by a time without an
// answer that tells anything, by the fleet's word or by the provider's: often both tell of the same one. Each is a reason
// for one more attempt. An attempt that ended well before the first accepted push delivered nothing.
func (p *pair) unanswered(by time.Time) int {
	accepted, told, known := p.accepted(), 0, 0
	since := accepted[0].Time.Add(-underWay)
	for _, e := range p.events {
		if e.Disposition == "retry" && unsure[e.Reason] && !e.Time.Before(since) && !e.Time.After(by) {
			told++
		}
	}
	for _, push := range accepted {
		if push.Unanswered && push.Time.Before(by) {
			known++
		}
	}
	return max(told, known)
}

// order compares first attempts: those that nothing sent around, or took away from their place.
func (c *checker) order() {
	type thread struct {
		device *Device
		name   string
	}
	latest := map[thread]*pair{}
	for _, p := range c.ordered {
		if p.message.records > 1 || !firstAttempt(p) {
			continue
		}
		t := thread{p.device, p.message.thread}
		before := latest[t]
		if before != nil {
			c.v.Ordered++
			if p.pushes[0].Time.Before(before.pushes[0].Time) {
				c.v.Misordered++
				c.v.example("misordered", fmt.Sprintf("%s, but before it was produced: %s", p, before))
				continue
			}
		}
		latest[t] = p
	}
}

// firstAttempt says whether the one push of a pair was its first attempt, on its straight way.
func firstAttempt(p *pair) bool {
	if len(p.pushes) != 1 || !p.pushes[0].Accepted {
		return false
	}
	return !slices.ContainsFunc(p.events, func(e Event) bool {
		return e.Disposition == "retry" || e.Disposition == "park" || e.Reason == "superseded"
	})
}

// letters compares what cannot be read with the dead letters.
func (c *checker) letters() {
	bad := map[string]bool{}
	for _, r := range c.in.Records {
		if c.in.Bad[string(r.Value)] {
			bad[string(r.Value)] = true
		}
	}
	for _, value := range c.in.BadLetters {
		bad[string(value)] = true
	}
	dead := map[string]bool{}
	for _, value := range c.in.Dead {
		dead[string(value)] = true
		if !bad[string(value)] {
			c.v.WrongEnds++
			c.v.example("wrong ends", fmt.Sprintf("dead letter of a good record %.80q", value))
		}
	}
	for value := range bad {
		if !dead[value] {
			c.v.Lost++
			c.v.example("lost", fmt.Sprintf("no dead letter of the bad record %.80q", value))
		}
	}
	if c.in.DeadOut > 0 {
		c.v.WrongEnds += c.in.DeadOut
		c.v.example("wrong ends", fmt.Sprintf("%d dead letters of notifications", c.in.DeadOut))
	}
}
