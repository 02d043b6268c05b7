package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/check"
)

// A phone stays where it is for so long; the longest time is far below the foreground lease (400 s), the shortest above
// the 2 s within which foreground and background are one.
const (
	shortestStay = 4 * time.Second
	longestStay  = 50 * time.Second
)

// Presence moves the phones that are not steady, and keeps the record of all. Step is for one goroutine; Durable and
// Changes may be called from any.
type Presence struct {
	people *Population
	random *rand.Rand
	due    map[*Phone]time.Time

	mu    sync.Mutex
	line  []check.Change
	state map[*Phone]check.State
}

// NewPresence is the record of phones that nobody has heard of.
func NewPresence(people *Population, seed uint64) *Presence {
	return &Presence{people: people, random: rand.New(rand.NewPCG(seed, 1<<34)), due: map[*Phone]time.Time{}, state: map[*Phone]check.State{}}
}

// Event is a record and the place of its change in the record of all; -1 = it changes nothing.
type Event struct {
	Record
	Change int
	Bad    bool // no reader can use it
}

// Login logs every phone in.
func (p *Presence) Login(now time.Time) []Event {
	var all []Event
	for _, phone := range p.people.Phones {
		all = append(all, p.move(phone, check.Foreground, now, true))
	}
	return all
}

// Rest brings every phone to a known place for a new phase: those that are logged in to the background, with a new
// number; the others stay logged out.
func (p *Presence) Rest(now time.Time) []Event {
	var all []Event
	for _, phone := range p.people.Phones {
		if p.of(phone) != check.LoggedOut {
			all = append(all, p.move(phone, check.Background, now, false))
		}
		p.due[phone] = now.Add(p.stay() / 2)
	}
	return all
}

// Step moves the phones whose time has come.
func (p *Presence) Step(now time.Time) []Event {
	var all []Event
	for _, phone := range p.people.Phones {
		if phone.Steady || now.Before(p.due[phone]) {
			continue
		}
		p.due[phone] = now.Add(p.stay())
		from := p.of(phone)
		all = append(all, p.move(phone, p.next(from), now, from == check.LoggedOut))
		if p.random.IntN(200) == 0 {
			all = append(all, p.bad(phone, now))
		}
	}
	return all
}

func (p *Presence) stay() time.Duration {
	return shortestStay + time.Duration(p.random.Int64N(int64(longestStay-shortestStay)))
}

// next is where a phone goes from a state.
func (p *Presence) next(from check.State) check.State {
	draw := p.random.IntN(10)
	switch from {
	case check.LoggedOut:
		return check.Foreground
	case check.Foreground:
		switch draw {
		case 0:
			return check.LoggedOut
		case 1:
			return check.Killed
		}
		return check.Background
	default:
		if draw == 0 {
			return check.LoggedOut
		}
		return check.Foreground
	}
}

func (p *Presence) of(phone *Phone) check.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state[phone]
}

// move makes the event of a phone's step and notes it.
func (p *Presence) move(phone *Phone, to check.State, now time.Time, login bool) Event {
	change := check.Change{Device: &phone.Device, State: to, At: now.Truncate(time.Millisecond)}
	e := Event{Record: Record{Topic: "im.presence", Key: p.people.userKey(phone.User)}}
	fields := map[string]any{"App": p.people.App, "User": phone.User, "Device": phone.ID, "EventTime": change.At.UnixMilli()}
	switch to {
	case check.Background:
		change.Report, change.Unread = true, p.random.IntN(20)
		fields["Event"], fields["Unread"] = "background", change.Unread
	case check.Killed:
		fields["Event"] = "killed"
	case check.LoggedOut:
		e.Topic, fields["Event"] = "im.devices", "logout"
	case check.Foreground:
		if fields["Event"] = "foreground"; login {
			e.Topic, fields["Event"] = "im.devices", "login"
			fields["Platform"], fields["Token"], fields["Credential"], fields["Language"] = phone.Platform, phone.Token, phone.Credential, "en"
		}
	}
	e.Value = encode(fields)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state[phone] = to
	p.line = append(p.line, change)
	e.Change = len(p.line) - 1
	return e
}

// bad is an event that ends as a dead letter.
func (p *Presence) bad(phone *Phone, now time.Time) Event {
	return Event{Change: -1, Bad: true, Record: Record{"im.presence", p.people.userKey(phone.User),
		fmt.Appendf(nil, `{"App":%q,"User":%q,"Device":%q,"Event":"flown away","EventTime":%d}`, p.people.App, phone.User, phone.ID, now.UnixMilli())}}
}

// Durable notes when Kafka had an event.
func (p *Presence) Durable(e Event, at time.Time) {
	if e.Change < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line[e.Change].Durable = at
}

// Changes is a copy of the record from a time on, and of where each phone was before.
func (p *Presence) Changes(since time.Time) []check.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := map[*check.Device]check.Change{}
	var all []check.Change
	for _, c := range p.line {
		if c.At.Before(since) {
			before[c.Device] = c
			continue
		}
		all = append(all, c)
	}
	for _, c := range before {
		all = append(all, c)
	}
	return all
}
