package faults

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Engine runs the script of one simulator. It has none until [Engine.Put]. Safe for concurrent use.
type Engine struct {
	platform push.Platform
	busy     atomic.Bool // there are faults

	mu         sync.Mutex
	now        func() time.Time
	onPut      func(Script, time.Time)
	script     Script
	began      time.Time
	generation uint64
	rules      []*rule
	changed    chan struct{} // closed when a script is put
}

// rule is a fault and how often it came.
type rule struct {
	Fault
	index    int
	hits     uint64
	counted  tally
	attempts map[uint64]uint32 // by request: how often it was met
}

// tally is what the counting conditions count.
type tally struct{ seen, hits int }

// maxAttempts bounds what a rule remembers of requests. Beyond it all are forgotten, and draws repeat.
const maxAttempts = 1_000_000

// NewEngine returns an engine without a script.
func NewEngine(platform push.Platform) *Engine {
	return &Engine{platform: platform, now: time.Now, began: time.Now(), changed: make(chan struct{})}
}

// Bind gives it the simulator's clock, and calls onPut with the script of now, and with every one that is put, and the
// time at which it was. onPut must not call the engine.
func (e *Engine) Bind(now func() time.Time, onPut func(Script, time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now, e.onPut, e.began = now, onPut, now()
	onPut(e.script, e.began)
}

// Put replaces the script; its times begin now.
func (e *Engine) Put(s Script) error {
	if err := s.Check(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script, e.began, e.rules = s, e.now(), nil
	e.generation++
	for i, f := range s.of(e.platform) {
		if f.Name == "" {
			f.Name = "faults[" + strconv.Itoa(i) + "]"
		}
		e.rules = append(e.rules, &rule{Fault: f, index: i, attempts: make(map[uint64]uint32)})
	}
	e.busy.Store(len(e.rules) > 0)
	if e.onPut != nil {
		e.onPut(s, e.began)
	}
	close(e.changed)
	e.changed = make(chan struct{})
	return nil
}

// State is what GET /faults tells of one platform.
type State struct {
	Script Script            `json:"script"`
	Began  time.Time         `json:"began"` // by the simulator's clock
	Now    time.Time         `json:"now"`   // likewise
	Hits   map[string]uint64 `json:"hits"`  // by fault: how often it came
}

// State is the script and what it has done.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := State{Script: e.script, Began: e.began, Now: e.now(), Hits: make(map[string]uint64, len(e.rules))}
	for _, r := range e.rules {
		s.Hits[r.Name] += r.hits
	}
	return s
}

// Watched says whether connections have to be looked at from time to time, and when that may change.
func (e *Engine) Watched() (yes bool, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	yes = len(e.script.StreamsOf(e.platform).Steps) > 0
	for _, r := range e.rules {
		yes = yes || r.Where == Connection
	}
	return yes, e.changed
}

// Memory is what the engine remembers of one connection. The zero value is that of a new one.
type Memory struct {
	generation uint64
	tallies    map[int]*tally
	suffered   map[int]bool
}

// Subject is a request or a connection, as the conditions of faults see it.
type Subject struct {
	Token, ID string // of a request; its id is what tells it from others for the same token
	Number    uint64 // of the connection
	Opened    time.Time
	Memory    *Memory // nil = the connection is not known
}

// Hit is what a subject has to suffer.
type Hit struct {
	Fault *Fault        // nil = nothing but the delay
	Delay time.Duration // in all
}

// Request says what a request suffers: the first fault that concerns it, and the delays before that one.
func (e *Engine) Request(where Where, s Subject) Hit {
	var hit Hit
	if !e.busy.Load() {
		return hit
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	elapsed := e.now().Sub(e.began)
	for _, r := range e.rules {
		if r.Where != where || !e.concerns(r, s, elapsed) {
			continue
		}
		hit.Delay += e.delay(r.Delay, s, r.index)
		if r.Do != DoDelay {
			hit.Fault = &r.Fault
			return hit
		}
	}
	return hit
}

// Connecting says what a new connection suffers; nil = nothing.
func (e *Engine) Connecting(s Subject) *Fault { return e.Request(Connect, s).Fault }

// Connected says what an open connection has to suffer now; nil = nothing. A fault comes once over a connection.
func (e *Engine) Connected(s Subject) *Fault {
	if !e.busy.Load() {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	elapsed := e.now().Sub(e.began)
	memory := e.memory(s.Memory)
	for _, r := range e.rules {
		if r.Where != Connection || memory.suffered[r.index] || !e.timely(r, s, elapsed) {
			continue
		}
		memory.suffered[r.index] = true
		if e.chosen(r, s) && r.count(&r.counted) {
			return &r.Fault
		}
	}
	return nil
}

// Latency draws a standing delay for a request.
func (e *Engine) Latency(d Delay, s Subject) time.Duration {
	if d.P99 <= d.P50 && d.Min == 0 {
		return d.at(0)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delay(d, s, latencySalt)
}

// concerns says whether a fault comes over a subject.
func (e *Engine) concerns(r *rule, s Subject, elapsed time.Duration) bool {
	if !e.timely(r, s, elapsed) || r.Token != "" && r.Token != s.Token {
		return false
	}
	if !e.chosen(r, s) {
		return false
	}
	counted := &r.counted
	if r.Per == "connection" && s.Memory != nil {
		memory := e.memory(s.Memory)
		if memory.tallies[r.index] == nil {
			memory.tallies[r.index] = new(tally)
		}
		counted = memory.tallies[r.index]
	}
	return r.count(counted)
}

// timely checks the time and the connection's age.
func (e *Engine) timely(r *rule, s Subject, elapsed time.Duration) bool {
	if elapsed < time.Duration(r.From) || r.Until > 0 && elapsed >= time.Duration(r.Until) {
		return false
	}
	if r.Age == (Delay{}) {
		return true
	}
	connection := Subject{Number: s.Number}
	return e.now().Sub(s.Opened) >= e.delay(r.Age, connection, r.index)
}

// chosen draws whether a subject belongs to a fault's share.
func (e *Engine) chosen(r *rule, s Subject) bool {
	if r.Share == nil {
		return true
	}
	key := s.key(e.script.Seed, r.index)
	switch {
	case r.By == "token":
		key = Subject{Token: s.Token}.key(e.script.Seed, r.index)
	case r.Where == Push || r.Where == OAuth:
		if len(r.attempts) >= maxAttempts {
			clear(r.attempts)
		}
		attempt := r.attempts[key]
		r.attempts[key]++
		key = mix(key + uint64(attempt)*golden)
	}
	return uniform(key) < *r.Share
}

// count applies the counting conditions.
func (r *rule) count(t *tally) bool {
	t.seen++
	switch after := t.seen - r.After - 1; {
	case after < 0, r.Every > 1 && after%r.Every != 0, r.Times > 0 && t.hits >= r.Times:
		return false
	}
	t.hits++
	r.hits++
	return true
}

// memory is the memory of a connection for the present script.
func (e *Engine) memory(m *Memory) *Memory {
	if m.generation != e.generation || m.tallies == nil {
		*m = Memory{generation: e.generation, tallies: make(map[int]*tally), suffered: make(map[int]bool)}
	}
	return m
}

func (e *Engine) delay(d Delay, s Subject, salt int) time.Duration {
	if d == (Delay{}) {
		return 0
	}
	if d.P99 <= d.P50 {
		return d.at(0)
	}
	return d.at(normal(s.key(e.script.Seed, salt)))
}
