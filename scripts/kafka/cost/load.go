package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is one row of the table: requests of one shape at one rate.
type load struct {
	name       string
	partitions int // in each request
	records    int // per partition; 0 in a fetch: nothing to be had
	rate       int // requests a second
	send       func(ctx context.Context, b *broker, l load) error
}

// loads are the rows. 2,000 requests a second are what one-partition requests make of a thousand records a second
// through a few topics; 50 to 500 are what a linger of 20 to 2 ms makes of any number of records.
func loads() []load {
	return []load{
		{"produce", 1, 1, 500, produce},
		{"produce", 1, 1, 2000, produce},
		{"produce", 4, 1, 500, produce},
		{"produce", 4, 10, 500, produce},
		{"produce", 4, 40, 200, produce},
		{"produce, snappy", 4, 40, 200, produceSnappy},
		{"produce", 64, 1, 50, produce},
		{"produce", 64, 1, 200, produce},
		{"produce", 64, 10, 50, produce},
		{"fetch", 1, 1, 500, fetch},
		{"fetch", 1, 1, 2000, fetch},
		{"fetch", 4, 1, 500, fetch},
		{"fetch", 4, 40, 200, fetch},
		{"fetch", 64, 1, 50, fetch},
		{"fetch", 64, 1, 200, fetch},
		{"fetch, nothing new", 4, 0, 500, fetchEnd},
		{"fetch, nothing new", 64, 0, 200, fetchEnd},
	}
}

// senders is how many requests may be under way: enough for the highest rate while a request takes 4 ms.
const senders = 8

// drive sends requests of a load at its rate for a while, and returns how many were answered.
func (b *broker) drive(ctx context.Context, l load, length time.Duration) (int, error) {
	var answered atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for s := range senders {
		group.Go(func() error {
			for n := s; ; n += senders {
				due := time.Duration(n) * time.Second / time.Duration(l.rate)
				if due >= length {
					return nil
				}
				if err := pause(ctx, time.Until(start.Add(due))); err != nil {
					return err
				}
				if time.Since(start) >= length {
					return nil
				}
				if err := l.send(ctx, b, l); err != nil {
					return err
				}
				answered.Add(1)
			}
		})
	}
	err := group.Wait()
	return int(answered.Load()), err
}

// measure returns the broker's CPU seconds per request of a load, and the requests a second that were answered.
func (b *broker) measure(ctx context.Context, pid string, l load, length time.Duration, idle float64) (cost, rate float64, err error) {
	if err := b.prepare(ctx, l); err != nil {
		return 0, 0, err
	}
	before, err := cpuSeconds(pid)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	answered, err := b.drive(ctx, l, length)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(start).Seconds()
	after, err := cpuSeconds(pid)
	if err != nil {
		return 0, 0, err
	}
	return (after - before - idle*took) / float64(answered), float64(answered) / took, nil
}

// warm drives every load in turn.
func (b *broker) warm(ctx context.Context, length time.Duration) error {
	all := loads()
	for _, l := range all {
		if err := b.prepare(ctx, l); err != nil {
			return err
		}
		if _, err := b.drive(ctx, l, length/time.Duration(len(all))); err != nil {
			return err
		}
	}
	return nil
}

// idleCPU returns the share of a core that the broker uses without requests.
func idleCPU(ctx context.Context, pid string, length time.Duration) (float64, error) {
	before, err := cpuSeconds(pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, length); err != nil {
		return 0, err
	}
	after, err := cpuSeconds(pid)
	return (after - before) / length.Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ticks is how many units of CPU time /proc counts in a second on Linux.
const ticks = 100

// cpuSeconds returns the CPU time of a process, in user and system mode, since its start.
func cpuSeconds(pid string) (float64, error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses; utime and stime are the 14th and 15th field.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %s: unexpected stat", pid)
	}
	var sum float64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, fmt.Errorf("process %s: %w", pid, err)
		}
		sum += n
	}
	return sum / ticks, nil
}
