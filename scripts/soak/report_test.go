package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flat is a run that reached every bar.
func flat() *report {
	r := &report{options: options{rate: 2000, steady: 2 * time.Minute, waiting: 1000}, counts: counts{produced: 5, accepted: 5, again: 1},
		resumed:    &recovery{platform: "fcm", highest: 1000, lanes: 10 * time.Second, waiting: 11 * time.Second},
		recoveries: []recovery{{platform: "apns", bar: time.Minute, lanes: 50 * time.Second, waiting: time.Minute}}}
	for _, role := range roles {
		r.steady = append(r.steady, memory{role, []int64{100, 109, 90}})
		r.waiting = append(r.waiting, memory{role, []int64{109, 60}})
	}
	return r
}

func TestEveryBarIsJudged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*report)
		page   string // has to be on the page
		passed bool
	}{
		"flat":                       {func(*report) {}, "soak: passed messages=5 failed=0 missing=0 again=1 route=+9%", true},
		"grown under load":           {func(r *report) { r.steady[1].minutes[1] = 111 }, "| memory of deliver-apns under load | +11.0 % | +10 % | **missed** |", false},
		"grown while records wait":   {func(r *report) { r.waiting[2].minutes[1] = 111 }, "| memory of deliver-fcm while records wait | +11.0 % | +10 % | **missed** |", false},
		"lanes too late":             {func(r *report) { r.recoveries[0].lanes = 61 * time.Second }, "| no lag of apns after the outage | 61.0 s | 60 s | **missed** |", false},
		"the last retry too late":    {func(r *report) { r.recoveries[0].waiting = 62 * time.Second }, "| no lag of apns after the outage | 62.0 s | 60 s | **missed** |", false},
		"lag that stayed":            {func(r *report) { r.recoveries[0].lanes = 0 }, "| no lag of apns after the outage | some is left | 60 s | **missed** |", false},
		"a message not produced":     {func(r *report) { r.counts.failed = 1 }, "| messages that Kafka did not take | 1 | 0 | **missed** |", false},
		"a message without a push":   {func(r *report) { r.counts.accepted = 4 }, "| messages that no provider took | 1 | 0 | **missed** |", false},
		"no message at all":          {func(r *report) { r.counts = counts{} }, "| messages that no provider took | 0 | 0 | **missed** |", false},
		"flat, and then a failure":   {func(r *report) { r.failure = errors.New("route ended") }, "The run itself failed: route ended", false},
		"no records that waited":     {func(r *report) { r.waiting = nil }, "soak: missed", false},
		"records that stayed paused": {func(r *report) { r.resumed = nil }, "soak: missed", false},
		"no outage":                  {func(r *report) { r.recoveries = nil }, "soak: missed", false},
		"how fast they were read up": {func(*report) {}, "Resumed, FCM had 1000 unread. After 10.0 s less was unread than comes in half a second: 100 a second", true},
	} {
		r := flat()
		test.change(r)
		if got := r.passed(); got != test.passed {
			t.Errorf("%s: passed %t", name, got)
		}
		file := filepath.Join(t.TempDir(), "reports", "page.md")
		if err := r.write(file); err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{test.page, r.last()} {
			if !strings.Contains(string(page), want) {
				t.Errorf("%s: the page has no %q:\n%s", name, want, page)
			}
		}
		if test.passed && strings.Contains(string(page), "missed") {
			t.Errorf("%s: the page says missed:\n%s", name, page)
		}
	}
}

func TestLagThatComesBackIsNotOver(t *testing.T) {
	t.Parallel()
	at := time.Duration(0)
	for i, over := range []bool{false, true, true, false, true, true} {
		at = first(at, time.Duration(i), over)
	}
	if at != 4 {
		t.Errorf("it was over at %d, want 4, when it was over for good", at)
	}
}
