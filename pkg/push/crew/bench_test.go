package crew

import (
	"sync"
	"testing"
)

// BenchmarkBatch compares a crew with a goroutine for each job, for jobs that need about as much stack as a push
// through the providers' libraries: less than 4 KiB, in 12 calls.
func BenchmarkBatch(b *testing.B) {
	const jobs = 100
	b.Run("crew", func(b *testing.B) {
		c := New[int](jobs)
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			c.Run(b.Context(), jobs, func(int, *int) { descend(12) }, func(int, error) {})
		}
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var all sync.WaitGroup
			for range jobs {
				all.Go(func() { descend(12) })
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
