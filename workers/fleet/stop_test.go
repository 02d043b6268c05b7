package fleet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
)

func TestTheGraceIsDivided(t *testing.T) {
	t.Parallel()
	for grace, want := range map[time.Duration]ending{
		12 * time.Second: {reading: 5100 * time.Millisecond, step: stepLimit, drain: 4250 * time.Millisecond},
		14 * time.Second: {reading: 7100 * time.Millisecond, step: stepLimit, drain: drainLimit},
		3 * time.Second:  {reading: 1200 * time.Millisecond, step: 600 * time.Millisecond, drain: time.Second},
	} {
		if diff := cmp.Diff(want, newEnding(grace), cmp.AllowUnexported(ending{})); diff != "" {
			t.Errorf("%s:\n%s", grace, diff)
		}
	}
}

// stopping is a fleet of fakes and when each of them was told to end, counted from the signal.
type stopping struct {
	fleet
	told map[string]time.Duration
}

// stop runs the fleet, stops it after a minute, and returns how long that took. Who hangs is let go afterwards.
func (s *stopping) stop(t *testing.T, grace time.Duration, hangs ...string) time.Duration {
	t.Helper()
	release := make(chan struct{})
	ctx, signal := context.WithCancel(t.Context())
	var signaled time.Time
	s.told = map[string]time.Duration{}
	told := make(chan func(), 10) // what is noted; several goroutines end
	part := func(name string) func(context.Context) {
		return func(ctx context.Context) {
			<-ctx.Done()
			after := time.Since(signaled)
			told <- func() { s.told[name] = after }
			for _, h := range hangs {
				if h == name {
					<-release
				}
			}
		}
	}
	s.cfg = &config.Config{Shutdown: config.Shutdown{Grace: grace}}
	s.log, s.end = zap.NewNop(), newEnding(grace)
	s.sources = append(s.sources, func(ctx context.Context) error { part("source")(ctx); return nil })
	s.workers = append(s.workers, part("worker"))
	s.writers = append(s.writers, part("writer"))
	ended := make(chan error)
	go func() { ended <- s.run(ctx) }()
	time.Sleep(time.Minute)
	signaled = time.Now()
	signal()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	took := time.Since(signaled)
	close(release)
	synctest.Wait()
	close(told)
	for note := range told {
		note()
	}
	return took
}

func TestAStopEndsReadingThenWorkThenWriting(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hangs []string
		told  map[string]time.Duration
		took  time.Duration
	}{
		"all end": {told: map[string]time.Duration{"source": 0, "worker": 0, "writer": 0}},
		"a source hangs": {
			hangs: []string{"source"}, took: 5100 * time.Millisecond,
			told: map[string]time.Duration{"source": 0, "worker": 5100 * time.Millisecond, "writer": 5100 * time.Millisecond},
		},
		"a worker hangs: the writers wait for it as long as its step allows": {
			hangs: []string{"worker"}, took: 7400 * time.Millisecond,
			told: map[string]time.Duration{"source": 0, "worker": 0, "writer": 7400 * time.Millisecond},
		},
		"everything hangs": {
			hangs: []string{"source", "worker", "writer"}, took: 9700 * time.Millisecond,
			told: map[string]time.Duration{"source": 0, "worker": 5100 * time.Millisecond, "writer": 7400 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := new(stopping)
				took := s.stop(t, 12*time.Second, test.hangs...)
				if took != test.took {
					t.Errorf("stopped after %s, want %s", took, test.took)
				}
				if diff := cmp.Diff(test.told, s.told); diff != "" {
					t.Errorf("told to end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWhatMustNotEndEndsTheProcess(t *testing.T) {
	t.Parallel()
	broken := errors.New("listener closed")
	f := fleet{cfg: &config.Config{}, log: zap.NewNop(), end: newEnding(time.Second), sources: []func(context.Context) error{
		func(context.Context) error { return broken },
		func(ctx context.Context) error { <-ctx.Done(); return nil },
	}}
	if err := f.run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}
