//go:build unix

package drivertest

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cost starts to count what a benchmark spends. The returned function reports what one of it cost this process
// (cpu-µs/op), and how many there were in a second, in the unit given, as "pushes/s".
func Cost(b *testing.B, rate string) (report func()) {
	b.Helper()
	b.ReportAllocs()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ResetTimer()
	before, began := used(), time.Now()
	return func() {
		b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), rate)
	}
}

// Resident is this process's memory in MB, as a field of Linux's /proc/self/status has it: VmRSS: now, VmHWM: at most so
// far. getrusage would count the parent's, too. It may be called from any goroutine.
func Resident(b *testing.B, field string) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(status), field)
	var kilobytes float64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		b.Error(err)
	}
	return kilobytes / 1024
}
