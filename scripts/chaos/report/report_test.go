package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/check"
	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

func result(change func(*check.Verdict)) Result {
	v := &check.Verdict{Records: 1000, Bad: 4, Pushed: 2000, Ordered: 900, Badges: 2000}
	change(v)
	return Result{Phase: schedule.Phase{Name: "calm", Messages: 1000, Load: time.Minute}, Verdict: v, Log: []string{"1.0 s kill Redis  "}, Settled: 3 * time.Second}
}

func TestTheLastLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  Run
		want string
	}{
		"passed": {
			Run{Seed: 7, Results: []Result{result(func(*check.Verdict) {}), result(func(v *check.Verdict) { v.Duplicates = 2 })}},
			"chaos: messages=2000 lost=0 duplicates=2 ambiguous=0 misordered=0 wrong-badges=0 stale=0 late=0 unexpected=0 wrong-ends=0 pushes=4000 seed=7 result=passed",
		},
		"lost": {
			Run{Seed: 7, Results: []Result{result(func(v *check.Verdict) { v.Lost = 1 })}},
			"chaos: messages=1000 lost=1 duplicates=0 ambiguous=0 misordered=0 wrong-badges=0 stale=0 late=0 unexpected=0 wrong-ends=0 pushes=2000 seed=7 result=failed",
		},
		"the run itself failed": {
			Run{Results: []Result{result(func(*check.Verdict) {})}, Failures: []error{errors.New("a worker ended by itself")}},
			"chaos: messages=1000 lost=0 duplicates=0 ambiguous=0 misordered=0 wrong-badges=0 stale=0 late=0 unexpected=0 wrong-ends=0 pushes=2000 seed=0 result=failed",
		},
		"nothing was played": {
			Run{}, "chaos: messages=0 lost=0 duplicates=0 ambiguous=0 misordered=0 wrong-badges=0 stale=0 late=0 unexpected=0 wrong-ends=0 pushes=0 seed=0 result=failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.run.Last(); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestThePageSaysWhatWasMissed(t *testing.T) {
	t.Parallel()
	run := Run{Command: "make chaos SEED=7", Seed: 7, Machine: "2 cores", Versions: []string{"Redis 7", "Kafka 4"}, Took: 20 * time.Minute,
		Results:  []Result{result(func(v *check.Verdict) { v.Lost, v.Duplicates, v.Ambiguous = 3, 30, 10 })},
		Failures: []error{errors.New("no Redis")}}
	var b strings.Builder
	if err := run.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"make chaos SEED=7", run.Last(), "20m0s on 2 cores, with Redis 7, Kafka 4", "| calm | 1000 | 4 | 0 | 2000 | 3 | 40 (2.000 %) | 0.1 % | 10 (0.500 %) |",
		"**missed: 3 lost, 2.000 % duplicates, more than 0.1 %**", "The run itself failed: no Redis", "1.0 s kill Redis\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page has no %q:\n%s", want, b.String())
		}
	}
}
