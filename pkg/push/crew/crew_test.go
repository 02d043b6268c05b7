package crew

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// never is for jobs that must not be skipped.
func never(t *testing.T) func(int, error) {
	return func(i int, err error) { t.Errorf("job %d was skipped: %v", i, err) }
}

func TestEachJobIsDoneOnce(t *testing.T) {
	t.Parallel()
	const callers, jobs = 10, 1000
	c := New[struct{}](7)
	var done [callers][jobs]atomic.Int32
	var running, most atomic.Int32
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			c.Run(t.Context(), jobs, func(i int, _ *struct{}) {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				done[caller][i].Add(1)
				running.Add(-1)
			}, never(t))
			for i := range jobs {
				if n := done[caller][i].Load(); n != 1 {
					t.Errorf("when Run returned job %d was done %d times", i, n)
				}
			}
		})
	}
	all.Wait()
	c.Close()
	if most.Load() > 7 {
		t.Errorf("%d jobs ran at a time, want at most 7", most.Load())
	}
}

func TestAWorkerKeepsItsStateAndItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](2)
		defer c.Close()
		for range 3 {
			c.Run(t.Context(), 1, func(_ int, state *int) { *state++ }, never(t))
			synctest.Wait() // it rests
		}
		c.Run(t.Context(), 1, func(_ int, state *int) {
			if *state != 3 {
				t.Errorf("the worker has done %d jobs, want 3", *state)
			}
		}, never(t))
	})
}

func TestAWorkerThatRestsForLongEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](10)
		defer c.Close()
		workers := func() int {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.workers
		}
		slow := func(int, *int) { time.Sleep(time.Second) }
		c.Run(t.Context(), 10, slow, never(t))
		for range 30 { // one job at a time, for half a minute
			c.Run(t.Context(), 1, slow, never(t))
		}
		if n := workers(); n != 1 {
			t.Errorf("%d workers, want the one that has work", n)
		}
		time.Sleep(2 * linger)
		if n := workers(); n != 0 {
			t.Errorf("%d workers that have had nothing to do", n)
		}
		c.Run(t.Context(), 10, slow, never(t))
		if n := workers(); n != 10 {
			t.Errorf("%d workers, want new ones", n)
		}
	})
}

func TestWhatHasNotBegunWhenTheContextEndsIsSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](2)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var mu sync.Mutex
		var done, skipped []int
		note := func(list *[]int, i int) {
			mu.Lock()
			defer mu.Unlock()
			*list = append(*list, i)
		}
		skip := func(i int, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("job %d: %v", i, err)
			}
			note(&skipped, i)
		}
		began := time.Now()
		c.Run(ctx, 5, func(i int, _ *int) {
			time.Sleep(3 * time.Second)
			note(&done, i)
		}, skip)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Run took %s, want as long as the jobs that had begun", took)
		}
		slices.Sort(done)
		if !slices.Equal(done, []int{0, 1}) || !slices.Equal(skipped, []int{2, 3, 4}) {
			t.Errorf("done %v, skipped %v", done, skipped)
		}
		c.Run(ctx, 1, func(int, *int) { t.Error("a job began after its context had ended") }, skip)
		c.Run(t.Context(), 1, func(i int, _ *int) { note(&done, i) }, never(t))
		if len(done) != 3 || len(skipped) != 4 {
			t.Errorf("later: done %v, skipped %v", done, skipped)
		}
	})
}

func TestCloseSkipsWhatHasNotBegunAndWaitsForWhatHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](3)
		var done, skipped atomic.Int32
		skip := func(_ int, err error) {
			if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			skipped.Add(1)
		}
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				c.Run(t.Context(), 5, func(int, *int) {
					time.Sleep(time.Second)
					done.Add(1)
				}, skip)
			})
		}
		synctest.Wait()
		c.Close()
		if done.Load() != 3 || skipped.Load() != 7 {
			t.Errorf("%d done, %d skipped, want 3 and 7", done.Load(), skipped.Load())
		}
		callers.Wait()
		c.Run(t.Context(), 1, func(int, *int) { t.Error("a job began after Close") }, skip)
		if skipped.Load() != 8 {
			t.Error("a job after Close was not skipped")
		}
	})
}

func TestBatchesBeginInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](1)
		defer c.Close()
		var order []int // by one worker
		var callers sync.WaitGroup
		for caller := range 3 {
			callers.Go(func() {
				c.Run(t.Context(), 2, func(int, *int) {
					time.Sleep(time.Second)
					order = append(order, caller)
				}, never(t))
			})
			synctest.Wait()
		}
		callers.Wait()
		if !slices.Equal(order, []int{0, 0, 1, 1, 2, 2}) {
			t.Errorf("got %v", order)
		}
	})
}

func TestABatchMayGrowWhileItsJobsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](2)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var done, skipped atomic.Int32
		b := c.Begin(ctx, func(int, *int) {
			time.Sleep(time.Second)
			done.Add(1)
		}, func(_ int, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			skipped.Add(1)
		})
		for range 5 {
			b.Add(1)
			time.Sleep(600 * time.Millisecond)
		}
		cancel()
		synctest.Wait()
		b.Add(1)
		if got := skipped.Load(); got != 1 {
			t.Errorf("%d jobs were skipped, want the one that came after the end", got)
		}
		b.Wait()
		if done.Load() != 5 {
			t.Errorf("%d jobs were done, want those that had begun", done.Load())
		}
	})
}
