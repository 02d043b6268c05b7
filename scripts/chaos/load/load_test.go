package load

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/scripts/chaos/check"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestTheSameSeedMakesTheSameMessages(t *testing.T) {
	t.Parallel()
	produce := func(seed uint64) (all []string) {
		m := NewMessages(NewPopulation("chaos", seed), seed)
		for range 2000 {
			r, _ := m.Next(noon)
			all = append(all, string(r.Key)+" "+string(r.Value))
		}
		return all
	}
	if diff := cmp.Diff(produce(7), produce(7)); diff != "" {
		t.Errorf("seed 7 made others the second time:\n%s", diff)
	}
	if cmp.Equal(produce(7), produce(8)) {
		t.Error("seeds 7 and 8 made the same")
	}
}

func TestPhonesStayWhereTheyAreForLongEnough(t *testing.T) {
	t.Parallel()
	p := NewPresence(NewPopulation("chaos", 1), 1)
	p.Login(noon)
	p.Rest(noon.Add(5 * time.Second))
	for at := noon.Add(5 * time.Second); at.Before(noon.Add(5 * time.Minute)); at = at.Add(100 * time.Millisecond) {
		p.Step(at)
	}
	last := map[*check.Device]check.Change{}
	moved := 0
	for _, c := range p.Changes(noon) {
		if before, ok := last[c.Device]; ok {
			if moved++; c.At.Sub(before.At) <= 2*time.Second {
				t.Errorf("%s %s was %s for %s only", c.Device.User, c.Device.ID, before.State, c.At.Sub(before.At))
			}
		}
		last[c.Device] = c
	}
	if moved < 1000 {
		t.Errorf("%d steps in five minutes", moved)
	}
}

func TestWherePhonesWereBeforeAPhaseIsKept(t *testing.T) {
	t.Parallel()
	people := NewPopulation("chaos", 1)
	p := NewPresence(people, 1)
	p.Login(noon)
	p.Rest(noon.Add(5 * time.Second))
	changes := p.Changes(noon.Add(10 * time.Second))
	if len(changes) != len(people.Phones) {
		t.Fatalf("%d changes, want the last one of each of %d phones", len(changes), len(people.Phones))
	}
	for _, c := range changes {
		if c.State != check.Background {
			t.Errorf("%s %s: %s", c.Device.User, c.Device.ID, c.State)
		}
	}
}
