package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// world is an engine and its clock.
type world struct {
	*faults.Engine
	mu  sync.Mutex
	now time.Time
}

func run(t *testing.T, script faults.Script) *world {
	t.Helper()
	w := &world{Engine: faults.NewEngine("apns"), now: time.Unix(1790000000, 0)}
	w.Bind(func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}, func(faults.Script, time.Time) {})
	if err := w.Put(script); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// word is what a request suffers.
func word(hit faults.Hit) string {
	if hit.Fault == nil {
		return "-"
	}
	return hit.Fault.Reason
}

func answer(reason string) faults.Fault {
	return faults.Fault{Do: faults.DoAnswer, Status: 503, Reason: reason}
}

func request(i int) faults.Subject {
	return faults.Subject{Token: "token-" + strconv.Itoa(i%100), ID: "id-" + strconv.Itoa(i)}
}

func TestTheSameSeedGivesTheSameRequestsTheSameFaultsInAnyOrder(t *testing.T) {
	t.Parallel()
	a, b := answer("a"), answer("b")
	a.Share, b.Share = new(0.2), new(0.2)
	slow := faults.Fault{Do: faults.DoDelay, Delay: faults.Delay{P50: faults.Duration(time.Millisecond), P99: faults.Duration(time.Second)}}
	suffered := func(seed uint64, shuffle bool) map[string][]string {
		w := run(t, faults.Script{Seed: seed, Faults: []faults.Fault{slow, a, b}})
		order := make([]int, 2000)
		for i := range order {
			order[i] = i % 1000 // each comes twice
		}
		if shuffle {
			rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		found := make(map[string][]string)
		for _, i := range order {
			s := request(i)
			hit := w.Request(faults.Push, s)
			found[s.ID] = append(found[s.ID], fmt.Sprint(word(hit), hit.Delay))
		}
		return found
	}
	first := suffered(7, false)
	if diff := cmp.Diff(first, suffered(7, true)); diff != "" {
		t.Errorf("in another order (-want +got):\n%s", diff)
	}
	if cmp.Equal(first, suffered(8, false)) {
		t.Error("another seed gives the same")
	}
	again := 0
	for _, words := range first {
		if words[0] != words[1] {
			again++
		}
	}
	if again < 200 {
		t.Errorf("%d of 1000 requests fare otherwise when they come again", again)
	}
}

func TestAShareIsOfRequestsOrOfTokens(t *testing.T) {
	t.Parallel()
	for by, want := range map[string][2]int{"request": {850, 1150}, "token": {0, 0}} {
		f := answer("hit")
		f.Share, f.By = new(0.1), by
		w := run(t, faults.Script{Seed: 3, Faults: []faults.Fault{f}})
		hits, tokens := 0, make(map[string]map[string]bool)
		for i := range 10_000 {
			s := request(i)
			got := word(w.Request(faults.Push, s))
			if got != "-" {
				hits++
			}
			if tokens[s.Token] == nil {
				tokens[s.Token] = make(map[string]bool)
			}
			tokens[s.Token][got] = true
		}
		if by == "request" && (hits < want[0] || hits > want[1]) {
			t.Errorf("%d of 10000 requests are hit", hits)
		}
		if by == "token" {
			for token, words := range tokens {
				if len(words) != 1 {
					t.Errorf("%s fares now so, now otherwise", token)
				}
			}
			if hits == 0 || hits > 3000 || hits%100 != 0 {
				t.Errorf("%d of 10000 requests are hit", hits)
			}
		}
	}
}

func TestCountingConditions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault faults.Fault
		want  string // hits (x) and misses (-) of eight requests
	}{
		"all":                     {faults.Fault{}, "xxxxxxxx"},
		"after two":               {faults.Fault{After: 2}, "--xxxxxx"},
		"twice":                   {faults.Fault{Times: 2}, "xx------"},
		"each third":              {faults.Fault{Every: 3}, "x--x--x-"},
		"each second, after one":  {faults.Fault{Every: 2, After: 1, Times: 2}, "-x-x----"},
		"of one token":            {faults.Fault{Token: "token-3"}, "---x----"},
		"of none":                 {faults.Fault{Share: new(0.0)}, "--------"},
		"of another platform":     {faults.Fault{Platform: "fcm"}, "--------"},
		"of its own platform":     {faults.Fault{Platform: "apns", Times: 1}, "x-------"},
		"of the OAuth endpoint":   {faults.Fault{Where: faults.OAuth}, "--------"},
		"of a connection's first": {faults.Fault{Times: 1, Per: "connection"}, "x---x---"}, // the fifth is on another one
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := test.fault
			f.Do, f.Status = faults.DoAnswer, 503
			w := run(t, faults.Script{Faults: []faults.Fault{f}})
			memories := []*faults.Memory{new(faults.Memory), new(faults.Memory)}
			got := ""
			for i := range 8 {
				s := request(i)
				s.Memory = memories[i/4]
				if w.Request(faults.Push, s).Fault != nil {
					got += "x"
				} else {
					got += "-"
				}
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAFaultHasItsTime(t *testing.T) {
	t.Parallel()
	f := answer("brown-out")
	f.From, f.Until = faults.Duration(10*time.Second), faults.Duration(20*time.Second)
	w := run(t, faults.Script{Faults: []faults.Fault{f}})
	var got []string
	for range 5 {
		got = append(got, word(w.Request(faults.Push, request(0))))
		w.pass(5 * time.Second)
	}
	if diff := cmp.Diff([]string{"-", "-", "brown-out", "brown-out", "-"}, got); diff != "" {
		t.Error(diff)
	}
	if hits := w.State().Hits["faults[0]"]; hits != 2 {
		t.Errorf("%d hits are shown", hits)
	}
}

func TestTheFirstFaultAnswersAfterTheDelaysBefore(t *testing.T) {
	t.Parallel()
	slow := faults.Fault{Do: faults.DoDelay, Delay: faults.Always(time.Second)}
	first, second := answer("first"), answer("second")
	first.Delay = faults.Always(time.Millisecond)
	w := run(t, faults.Script{Faults: []faults.Fault{slow, slow, first, second, slow}})
	if hit := w.Request(faults.Push, request(0)); word(hit) != "first" || hit.Delay != 2001*time.Millisecond {
		t.Errorf("got %s after %s", word(hit), hit.Delay)
	}
}

func TestAConnectionSuffersAFaultOnce(t *testing.T) {
	t.Parallel()
	f := faults.Fault{Where: faults.Connection, Do: faults.DoGoAway, Age: faults.Always(time.Minute)}
	w := run(t, faults.Script{Faults: []faults.Fault{f}})
	s := faults.Subject{Number: 1, Opened: w.now, Memory: new(faults.Memory)}
	var got []bool
	for range 4 {
		got = append(got, w.Connected(s) != nil)
		w.pass(30 * time.Second)
	}
	if diff := cmp.Diff([]bool{false, false, true, false}, got); diff != "" {
		t.Error(diff)
	}
	if err := w.Put(w.State().Script); err != nil {
		t.Fatal(err)
	}
	if w.Connected(s) == nil {
		t.Error("a script that is put again does not come over it again")
	}
}

func TestConnectionsThatAreNewSufferAShare(t *testing.T) {
	t.Parallel()
	stalled := func(seed uint64) []uint64 {
		f := faults.Fault{Where: faults.Connect, Do: faults.DoStall, Share: new(0.3)}
		w := run(t, faults.Script{Seed: seed, Faults: []faults.Fault{f}})
		var found []uint64
		for number := range uint64(100) {
			if w.Connecting(faults.Subject{Number: number}) != nil {
				found = append(found, number)
			}
		}
		return found
	}
	first := stalled(1)
	if len(first) < 10 || len(first) > 50 || !slices.Equal(first, stalled(1)) || slices.Equal(first, stalled(2)) {
		t.Errorf("got %v, then %v", first, stalled(1))
	}
}

func TestDelaysAreDrawnFromTheirDistribution(t *testing.T) {
	t.Parallel()
	d := faults.Delay{P50: faults.Duration(20 * time.Millisecond), P99: faults.Duration(200 * time.Millisecond),
		Min: faults.Duration(2 * time.Millisecond), Max: faults.Duration(time.Second)}
	w := run(t, faults.Script{Seed: 5})
	var drawn []time.Duration
	for i := range 20_000 {
		drawn = append(drawn, w.Latency(d, request(i)))
	}
	slices.Sort(drawn)
	near := func(got, want time.Duration) bool { return got > want*8/10 && got < want*12/10 }
	if p50, p99 := drawn[10_000], drawn[19_800]; !near(p50, 20*time.Millisecond) || !near(p99, 200*time.Millisecond) {
		t.Errorf("p50 %s, p99 %s", p50, p99)
	}
	if first, last := drawn[0], drawn[len(drawn)-1]; first < 2*time.Millisecond || last > time.Second {
		t.Errorf("from %s to %s", first, last)
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1790000000, 0)
	l := faults.NewLimiter(faults.Rate{Burst: 2, Every: faults.Duration(time.Minute)})
	take := func(key string) string {
		ok, wait := l.Take(key, now)
		if ok {
			return "ok"
		}
		return wait.String()
	}
	got := []string{take("a"), take("a"), take("a"), take("b")}
	now = now.Add(50 * time.Second)
	got = append(got, take("a"))
	now = now.Add(10 * time.Second)
	got = append(got, take("a"), take("a"))
	now = now.Add(time.Hour) // no more than the burst is saved up
	got = append(got, take("a"), take("a"), take("a"))
	if diff := cmp.Diff([]string{"ok", "ok", "1m0s", "ok", "10s", "ok", "1m0s", "ok", "ok", "1m0s"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1790000000, 0)
	m := faults.NewMeter(faults.Quota{Messages: 2, Per: faults.Duration(time.Minute)})
	take := func(key string) string {
		ok, wait := m.Take(key, now)
		if ok {
			return "ok"
		}
		return wait.String()
	}
	got := []string{take("a")}
	now = now.Add(50 * time.Second)
	got = append(got, take("a"), take("a"), take("b"))
	now = now.Add(10 * time.Second)
	got = append(got, take("a"), take("a"), take("a"))
	if diff := cmp.Diff([]string{"ok", "ok", "10s", "ok", "ok", "ok", "1m0s"}, got); diff != "" {
		t.Error(diff)
	}
}
