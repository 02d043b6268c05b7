package fcm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func quotaOf(perMinute float64, rampUp time.Duration) *quota {
	q := newQuota(rampUp)
	q.bound(perMinute)
	return q
}

// flow asks a quota for demand messages a second, for so many seconds, and returns how many it allowed in each.
func flow(t *testing.T, q *quota, demand, seconds int) []int {
	t.Helper()
	allowed := make([]int, seconds)
	var mu sync.Mutex
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second-time.Nanosecond)
	defer cancel()
	const askers = 50
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			pause := time.NewTicker(askers * time.Second / time.Duration(demand))
			defer pause.Stop()
			for {
				select {
				case <-pause.C:
				case <-ctx.Done():
					return
				}
				if q.take(ctx) != nil {
					return
				}
				mu.Lock()
				allowed[int(time.Since(began)/time.Second)]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return allowed
}

// near allows what the bucket's burst and the ends of seconds add.
func near(got int, want, by float64) bool { return float64(got) >= want-by && float64(got) <= want+by }

func TestQuotaGrowsOverAMinuteWhereItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := quotaOf(120_000, time.Minute) // 2,000 a second
		allowed := flow(t, q, 10_000, 70)
		for second, want := range map[int]float64{0: 200, 10: 500, 30: 1100, 50: 1700, 65: 2000} {
			if got := allowed[second]; !near(got, want, 70) {
				t.Errorf("second %d: %d allowed, want about %.0f", second, got, want)
			}
		}
		total := 0
		for _, got := range allowed[:60] {
			total += got
		}
		if total > 120_000 {
			t.Errorf("%d in the first minute, above the quota", total)
		}
	})
}

func TestQuotaFallsBackWhileNothingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := quotaOf(120_000, time.Minute)
		flow(t, q, 10_000, 65)
		time.Sleep(30 * time.Second)
		flow(t, q, 1, 2) // the first message after a pause shows how long it was
		if got := flow(t, q, 10_000, 1)[0]; !near(got, 1100, 120) {
			t.Errorf("after half a minute: %d a second, want about 1100", got)
		}
		time.Sleep(2 * time.Minute)
		flow(t, q, 1, 2)
		if got := flow(t, q, 10_000, 1)[0]; !near(got, 200, 70) {
			t.Errorf("after two minutes: %d a second, want about 200", got)
		}
	})
}

func TestQuotaGrowsNoFurtherThanTwiceItsUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := quotaOf(120_000, time.Minute)
		flow(t, q, 500, 120)
		if got := flow(t, q, 10_000, 1)[0]; got > 1150 {
			t.Errorf("%d a second after a steady 500, want at most about 1000", got)
		}
	})
}

func TestQuotaWithoutARamp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		perMinute float64
		rampUp    time.Duration
		want      float64
	}{
		"a rate that is no spike": {3000, time.Minute, 50},
		"no ramp":                 {120_000, 0, 2000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				allowed := flow(t, quotaOf(c.perMinute, c.rampUp), 10_000, 3)
				if got := allowed[1]; !near(got, c.want, c.want/10+1) {
					t.Errorf("%d a second, want %.0f", got, c.want)
				}
			})
		})
	}
}

func TestQuotaThatIsUsedUpHoldsBackUntilTheTimeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := quotaOf(6, 0) // one every 10 s
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := q.take(ctx); err != nil {
			t.Errorf("the first: %v", err)
		}
		began := time.Now()
		if err := q.take(ctx); !errors.Is(err, errQuota) {
			t.Errorf("the second: got %v, want %v", err, errQuota)
		}
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("held for %s, want 5s", waited)
		}
		time.Sleep(5 * time.Second) // what could not wait took nothing
		if err := q.take(t.Context()); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("the third: %v after %s, want 10s", err, time.Since(began))
		}

		stopped, stop := context.WithCancel(t.Context())
		stop()
		if err := q.take(stopped); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: got %v", err)
		}
	})
}

func TestNoQuotaAllowsEverything(t *testing.T) {
	t.Parallel()
	if err := quotaOf(0, time.Minute).take(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOfSeveralQuotasTheLowestHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(0)
		for _, perMinute := range []float64{0, 12_000, 6_000, 60_000, 0} {
			q.bound(perMinute)
		}
		if got := flow(t, q, 1000, 3)[1]; !near(got, 100, 11) {
			t.Errorf("%d a second, want 100", got)
		}
	})
}

// noBlock is a section of a configuration that is not there.
type noBlock struct{ endpoint string }

func (noBlock) Path() string { return "" }

func (b noBlock) Decode(v any) error {
	if p, ok := v.(*platformBlock); ok {
		p.Endpoint = b.endpoint
	}
	if c, ok := v.(*credentialBlock); ok {
		c.ServiceAccountFile = "sa.json"
	}
	return nil
}

func TestQuotaByDefaultIsGooglesWhereGoogleIsAsked(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]float64{"": 600_000, "https://localhost:1": 0} {
		read, err := readSettings(push.Settings{Block: noBlock{endpoint}, Apps: map[string]push.AppSettings{
			"demo": {Block: noBlock{}, Credentials: map[string]push.Block{"demo-android": noBlock{}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := read.apps["demo"].credentials["demo-android"].perMinute; got != want || read.platform.RampUp != time.Minute {
			t.Errorf("endpoint %q: %v a minute, ramp %s, want %v and a minute", endpoint, got, read.platform.RampUp, want)
		}
	}
}
