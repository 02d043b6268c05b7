package main

import (
	"fmt"
	"slices"
	"time"
)

// mostGrowth is the share by which a role's memory may exceed that of its first minute under load.
const mostGrowth = 0.10

// bar is one thing that has to be so, and how it was.
type bar struct {
	name, figure, limit string
	reached             bool
}

func (b bar) String() string {
	return fmt.Sprintf("%s: %s, bar %s: %s", b.name, b.figure, b.limit, verdict(b.reached))
}

// counts are what became of the load's messages.
type counts struct {
	produced int64 // that Kafka took
	failed   int64 // that it did not
	accepted int64 // pushes that the providers took, each counted once
	again    int64 // pushes that they took once more
}

// bars are those of the parts that were played, in their order.
func (r *report) bars() []bar {
	var all []bar
	for _, m := range r.steady {
		all = append(all, growthBar("memory of "+m.role+" under load", m.growth()))
	}
	for i, m := range r.waiting {
		all = append(all, growthBar("memory of "+m.role+" while records wait", r.beside(i)))
	}
	for _, c := range r.recoveries {
		figure, took := "some is left", c.took()
		if took > 0 {
			figure = fmt.Sprintf("%.1f s", took.Seconds())
		}
		all = append(all, bar{fmt.Sprintf("no lag of %s after the outage", c.platform), figure, fmt.Sprintf("%.0f s", c.bar.Seconds()), took > 0 && took <= c.bar})
	}
	if len(r.recoveries) > 0 {
		all = append(all,
			bar{"messages that Kafka did not take", fmt.Sprint(r.counts.failed), "0", r.counts.failed == 0},
			bar{"messages that no provider took", fmt.Sprint(r.counts.missing()), "0", r.counts.missing() == 0 && r.counts.produced > 0})
	}
	return all
}

func growthBar(name string, growth float64) bar {
	return bar{name, fmt.Sprintf("%+.1f %%", 100*growth), fmt.Sprintf("%+.0f %%", 100*mostGrowth), growth <= mostGrowth}
}

func (c counts) missing() int64 { return max(0, c.produced-c.accepted) }

// beside is how much more a role held while records waited than in the first minute under load.
func (r *report) beside(i int) float64 {
	return share(slices.Max(r.waiting[i].minutes), r.steady[i].minutes[0])
}

// passed says whether every part was played and every bar reached.
func (r *report) passed() bool {
	return r.failure == nil && len(r.steady) > 0 && len(r.waiting) > 0 && r.resumed != nil && len(r.recoveries) > 0 &&
		!slices.ContainsFunc(r.bars(), func(b bar) bool { return !b.reached })
}

func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "**missed**"
}

// seconds writes when something was over.
func seconds(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
