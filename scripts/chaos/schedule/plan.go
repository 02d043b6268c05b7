package schedule

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The names of the scenarios.
const (
	Calm       = "calm"
	Network    = "network and providers"
	Kills      = "kills"
	Brokers    = "brokers"
	Restart    = "Redis restarts"
	Loss       = "Redis loses its data"
	Everything = "everything"
)

// Size is how much of it a run has.
type Size struct {
	Messages [7]int
	Load     [7]time.Duration
}

// Full is the whole suite: more than 100,000 messages.
func Full() Size {
	return Size{
		Messages: [7]int{20_000, 20_000, 20_000, 14_000, 9_000, 7_000, 14_000},
		Load: [7]time.Duration{80 * time.Second, 150 * time.Second, 180 * time.Second, 150 * time.Second, 80 * time.Second,
			60 * time.Second, 170 * time.Second},
	}
}

// Short is what a check before each change has time for.
func Short() Size {
	return Size{
		Messages: [7]int{1_500, 1_500, 1_500, 1_500, 800, 800, 0},
		Load: [7]time.Duration{6 * time.Second, 14 * time.Second, 14 * time.Second, 16 * time.Second, 8 * time.Second,
			8 * time.Second, 0},
	}
}

// Targets are what there is to break.
type Targets struct {
	Workers []string // by name: a role, a hyphen, a number
	Roles   []string // that more workers can be added to
	Brokers int
	Proxies []string
	Scripts []string // fault scripts of the providers
}

// New makes the plan of a seed. A phase without messages is left out.
func New(seed uint64, size Size, t Targets) Plan {
	plan := Plan{Seed: seed}
	for i, name := range []string{Calm, Network, Kills, Brokers, Restart, Loss, Everything} {
		if size.Messages[i] == 0 {
			continue
		}
		d := &dice{random: rand.New(rand.NewPCG(seed, uint64(i))), end: size.Load[i], targets: t, busy: map[string]time.Duration{}}
		p := Phase{Name: name, Messages: size.Messages[i], Load: size.Load[i]}
		switch name {
		case Network:
			p.LosesAnswers = true
			d.network()
		case Kills:
			p.Kills = true
			d.kills()
		case Brokers:
			p.Kills = true
			d.brokers()
		case Restart:
			p.Kills = true
			d.redis()
		case Loss:
			p.Kills, p.LosesData = true, true
			d.add(d.end/3, 2*time.Second, WipeRedis, "", "")
		case Everything:
			p.Kills, p.LosesAnswers = true, true
			d.everything()
		}
		p.Actions = byTime(d.actions)
		plan.Phases = append(plan.Phases, p)
	}
	return plan
}

// dice draws the actions of one phase.
type dice struct {
	random  *rand.Rand
	end     time.Duration // of the load
	targets Targets
	actions []Action
	busy    map[string]time.Duration // until when a target is taken
}

func (d *dice) add(at, lasts time.Duration, kind Kind, target, arg string) {
	d.actions = append(d.actions, Action{At: at.Round(100 * time.Millisecond), For: lasts.Round(100 * time.Millisecond), Kind: kind, Target: target, Arg: arg})
}

// between draws a span.
func (d *dice) between(from, to time.Duration) time.Duration {
	return from + time.Duration(d.random.Int64N(int64(to-from)))
}

func (d *dice) one(of []string) string { return of[d.random.IntN(len(of))] }

// free says whether a target has nothing to suffer at a time and for so long; then it is taken.
func (d *dice) free(target string, at, lasts, rest time.Duration) bool {
	if at < d.busy[target] || at+lasts > d.end {
		return false
	}
	d.busy[target] = at + lasts + rest
	return true
}

// every calls draw again and again, about each gap, until the load's last moments.
func (d *dice) every(from, to time.Duration, draw func(at time.Duration)) {
	for at := d.between(from/2, from); at < d.end; at += d.between(from, to) {
		draw(at)
	}
}

// network plays every fault script once, in an order of the seed, while connections are cut and slowed and keys change.
func (d *dice) network() {
	turn := d.end / time.Duration(len(d.targets.Scripts)+1)
	for i, n := range d.random.Perm(len(d.targets.Scripts)) {
		d.add(time.Duration(i)*turn+turn/4, turn/2, Providers, "", d.targets.Scripts[n])
	}
	d.links(d.end/20, d.end/8)
	d.keys(d.end / 4)
}

// links cuts, slows and narrows connections.
func (d *dice) links(from, to time.Duration) {
	d.every(from, to, func(at time.Duration) {
		proxy, lasts := d.one(d.targets.Proxies), d.between(time.Second, 3*time.Second)
		if !d.free(proxy, at, lasts, 2*time.Second) {
			return
		}
		switch d.random.IntN(3) {
		case 0:
			d.add(at, lasts/4, Cut, proxy, "")
		case 1:
			d.add(at, lasts, Slow, proxy, fmt.Sprintf("%dms", 50+10*d.random.IntN(20)))
		default:
			d.add(at, lasts, Narrow, proxy, fmt.Sprintf("%d", 100+50*d.random.IntN(8)))
		}
	})
}

// keys replaces the credentials three times: by good ones, by garbage, by such as the providers do not know.
func (d *dice) keys(gap time.Duration) {
	for i, kind := range []Kind{RotateKeys, GarbageKeys, UnknownKeys} {
		at := gap/2 + time.Duration(i)*gap + d.between(0, gap/4)
		lasts := min(d.between(16*time.Second, 20*time.Second), gap*3/4)
		if kind == RotateKeys {
			lasts = 0
		}
		d.add(at, lasts, kind, "", "")
	}
}

// kills takes workers away in every way.
func (d *dice) kills() {
	order := d.random.Perm(len(d.targets.Workers)) // each is hit before one is hit twice
	next := 0
	d.every(min(d.end/6, 4*time.Second), min(d.end/5, 8*time.Second), func(at time.Duration) {
		worker := d.targets.Workers[order[next%len(order)]]
		next++
		d.worker(at, worker)
	})
}

// worker breaks one worker. Being paused may last longer than a session (10 s), so that its work goes to another one
// while it still thinks that it owns it.
func (d *dice) worker(at time.Duration, worker string) {
	kind, lasts := KillWorker, d.between(500*time.Millisecond, 3*time.Second)
	switch d.random.IntN(10) {
	case 0:
		kind = StopWorker
	case 1:
		kind, worker, lasts = AddWorker, d.one(d.targets.Roles), d.between(5*time.Second, 15*time.Second)
	case 2:
		kind, lasts = PauseWorker, d.between(time.Second, 4*time.Second)
	case 3:
		kind, lasts = PauseWorker, d.between(11*time.Second, 14*time.Second)
	}
	if lasts = min(lasts, d.end-at); lasts > 0 && d.free(worker, at, lasts, 3*time.Second) {
		d.add(at, lasts, kind, worker, "")
	}
}

// brokers kills and pauses one broker at a time, and in a full run once two.
func (d *dice) brokers() {
	at := d.end / 20
	if d.end < time.Minute { // there is no time for more
		d.add(at, d.end/4, KillBroker, d.broker(d.random.IntN(d.targets.Brokers)), "")
		return
	}
	for i := 0; at < d.end*6/10; i++ {
		kind, lasts := KillBroker, d.between(5*time.Second, 15*time.Second)
		if i%3 == 2 {
			kind, lasts = PauseBroker, d.between(3*time.Second, 12*time.Second)
		}
		d.add(at, lasts, kind, d.broker(d.random.IntN(d.targets.Brokers)), "")
		at += lasts + brokerRest
	}
	// Two of three: less than min.insync.replicas, and no majority of controllers.
	lasts, other := d.between(6*time.Second, 10*time.Second), d.random.IntN(d.targets.Brokers)
	d.add(d.end*3/4, lasts, KillBroker, d.broker(other), "")
	d.add(d.end*3/4, lasts, KillBroker, d.broker(other+1), "")
}

// brokerRest is what a broker needs to start and to catch up, before another may go.
const brokerRest = 20 * time.Second

func (d *dice) broker(n int) string { return fmt.Sprintf("broker-%d", n%d.targets.Brokers+1) }

// redis kills and pauses Redis.
func (d *dice) redis() {
	kind := KillRedis
	d.every(d.end/6, d.end/4, func(at time.Duration) {
		lasts := d.between(500*time.Millisecond, 3*time.Second)
		if d.free("redis", at, lasts, time.Second) {
			d.add(at, lasts, kind, "", "")
		}
		if kind = KillRedis; d.random.IntN(3) == 0 {
			kind = PauseRedis
		}
	})
}

// everything mixes all but the loss of Redis' data and two brokers at once.
func (d *dice) everything() {
	turn := d.end / time.Duration(len(d.targets.Scripts)+1)
	for i, n := range d.random.Perm(len(d.targets.Scripts)) {
		if i%2 == 0 {
			d.add(time.Duration(i)*turn+turn/4, turn/2, Providers, "", d.targets.Scripts[n])
		}
	}
	d.links(d.end/12, d.end/6)
	d.keys(d.end / 4)
	d.every(d.end/14, d.end/10, func(at time.Duration) { d.worker(at, d.one(d.targets.Workers)) })
	for at := d.end / 10; at < d.end*8/10; {
		lasts := d.between(4*time.Second, 10*time.Second)
		d.add(at, lasts, KillBroker, d.broker(d.random.IntN(d.targets.Brokers)), "")
		at += lasts + 2*brokerRest
	}
	for _, at := range []time.Duration{d.end / 3, d.end * 2 / 3} {
		d.add(at, d.between(500*time.Millisecond, 2*time.Second), KillRedis, "", "")
	}
}
