package main

import (
	"context"
	"slices"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	span        = time.Minute // whose median stands for it
)

// memory is what a role held, in bytes: the median of each minute.
type memory struct {
	role    string
	minutes []int64
}

// growth is how much more than in its first minute the role held in the fullest one, as a share; it may be negative.
func (m memory) growth() float64 { return share(slices.Max(m.minutes), m.minutes[0]) }

func share(now, before int64) float64 { return float64(now)/float64(before) - 1 }

// watch looks at every role for so long.
func (f *fleet) watch(ctx context.Context, d time.Duration) ([]memory, error) {
	all := make([]memory, len(roles))
	for i, role := range roles {
		all[i].role = role
	}
	for left := d; left > 0; left -= span {
		samples := make([][]int64, len(roles))
		for end := time.Now().Add(min(span, left)); time.Now().Before(end); {
			if err := f.pass(ctx, min(sampleEvery, max(time.Until(end), 0))); err != nil {
				return nil, err
			}
			for i, role := range roles {
				n, err := f.resident(role)
				if err != nil {
					return nil, err
				}
				samples[i] = append(samples[i], n)
			}
		}
		for i := range all {
			slices.Sort(samples[i])
			all[i].minutes = append(all[i].minutes, samples[i][len(samples[i])/2])
		}
	}
	return all, nil
}
