package schedule

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func targets() Targets {
	return Targets{
		Workers: []string{"route-1", "route-2", "deliver-apns-1", "deliver-apns-2"}, Roles: []string{"route", "deliver-apns"},
		Brokers: 3, Proxies: []string{"redis", "apns"}, Scripts: []string{"down", "goaway", "resets"},
	}
}

func TestTheSameSeedGivesTheSameSchedule(t *testing.T) {
	t.Parallel()
	for _, size := range []Size{Full(), Short()} {
		first, again, other := New(7, size, targets()), New(7, size, targets()), New(8, size, targets())
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("seed 7 gave another schedule the second time:\n%s", diff)
		}
		if first.String() == other.String() {
			t.Error("seeds 7 and 8 gave the same schedule")
		}
	}
}

func TestTheFullRunHas100000Messages(t *testing.T) {
	t.Parallel()
	if n := New(1, Full(), targets()).Messages(); n < 100_000 {
		t.Errorf("%d messages", n)
	}
}

func TestEachPhaseHasWhatItIsNamedAfter(t *testing.T) {
	t.Parallel()
	want := map[string][]Kind{
		Calm:       nil,
		Network:    {Providers, RotateKeys, GarbageKeys, UnknownKeys},
		Kills:      {KillWorker},
		Brokers:    {KillBroker},
		Restart:    {KillRedis},
		Loss:       {WipeRedis},
		Everything: {Providers, RotateKeys, GarbageKeys, UnknownKeys, KillWorker, KillBroker, KillRedis},
	}
	never := map[string][]Kind{
		Network:    {KillWorker, KillBroker, KillRedis, WipeRedis, PauseWorker, StopWorker, AddWorker, PauseBroker, PauseRedis},
		Restart:    {WipeRedis},
		Everything: {WipeRedis},
	}
	for seed := range uint64(20) {
		for _, phase := range New(seed, Full(), targets()).Phases {
			has := func(k Kind) bool {
				return slices.ContainsFunc(phase.Actions, func(a Action) bool { return a.Kind == k })
			}
			for _, k := range want[phase.Name] {
				if !has(k) {
					t.Errorf("seed %d: %s without %q", seed, phase.Name, k)
				}
			}
			for _, k := range never[phase.Name] {
				if has(k) {
					t.Errorf("seed %d: %s with %q", seed, phase.Name, k)
				}
			}
			if phase.Name == Calm && len(phase.Actions) > 0 {
				t.Errorf("seed %d: the calm has %v", seed, phase.Actions)
			}
		}
	}
}

func TestFaultsEndBeforeTheLoadDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		for _, size := range []Size{Full(), Short()} {
			for _, phase := range New(seed, size, targets()).Phases {
				for _, a := range phase.Actions {
					if a.At < 0 || a.For < 0 || a.At+a.For > phase.Load+time.Second {
						t.Errorf("seed %d: %s of %s lasts beyond its load of %s", seed, a, phase.Name, phase.Load)
					}
				}
				if !slices.IsSortedFunc(phase.Actions, func(a, b Action) int { return int(a.At - b.At) }) {
					t.Errorf("seed %d: %s is not in order", seed, phase.Name)
				}
			}
		}
	}
}

// What is broken is not broken again before it was mended, and of the brokers two are away only where that is the point.
func TestNothingIsBrokenTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		for _, phase := range New(seed, Full(), targets()).Phases {
			for i, a := range phase.Actions {
				for _, b := range phase.Actions[i+1:] {
					if b.At > a.At+a.For {
						continue
					}
					twoBrokers := a.Kind == KillBroker && b.Kind == KillBroker && (phase.Name != Brokers || a.At != b.At)
					sameTarget := a.Target != "" && a.Target == b.Target && !strings.Contains(string(a.Kind+b.Kind), "scale out")
					sameWhole := a.Target == "" && b.Target == "" && a.Kind == b.Kind
					if twoBrokers || sameTarget || sameWhole {
						t.Errorf("seed %d, %s: %s while %s", seed, phase.Name, b, a)
					}
				}
			}
		}
	}
}
