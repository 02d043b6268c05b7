package crew

import (
	"sync"
	"testing"
)

// BenchmarkBatch compares a crew with a goroutine for each job, for jobs that go as deep as a push goes through the
// providers' libraries: some 8 KiB of stack in 32 calls.
func BenchmarkBatch(b *testing.B) {
	const jobs = 100
	b.Run("crew", func(b *testing.B) {
		c := New[int](jobs)
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			c.Run(b.Context(), jobs, func(int, *int) { descend(32) }, func(int, error) {})
		}
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var all sync.WaitGroup
			for range jobs {
				all.Go(func() { descend(32) })
			}
			all.Wait()
		}
	})
}

//go:noinline
func descend(calls int) byte {
	var frame [256]byte
	if calls > 0 {
		frame[calls] = descend(calls - 1)
	}
	return frame[calls/2]
}
