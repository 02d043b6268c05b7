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
	r := &report{options: options{rate: 2000, steady: 2 * time.Minute, waiting: 1000}, produced: 5,
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
		err    error
		passed bool
	}{
		"flat":                            {change: func(*report) {}, passed: true},
		"grown under load":                {change: func(r *report) { r.steady[1].minutes[1] = 111 }},
		"grown while records wait":        {change: func(r *report) { r.waiting[2].minutes[1] = 111 }},
		"lanes too late":                  {change: func(r *report) { r.recoveries[0].lanes = time.Minute + 1 }},
		"the last retry too late":         {change: func(r *report) { r.recoveries[0].waiting = time.Minute + 1 }},
		"flat, and then something failed": {change: func(*report) {}, err: errors.New("failed"), passed: true},
	} {
		r := flat()
		test.change(r)
		if got := r.passed(); got != test.passed {
			t.Errorf("%s: passed %t", name, got)
		}
		want := "soak: missed "
		if test.passed && test.err == nil {
			want = "soak: passed "
		}
		if got := r.last(test.err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: the last line is %q", name, got)
		}
		file := filepath.Join(t.TempDir(), "page.md")
		if err := r.write(file); err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if missed := strings.Contains(string(page), "**missed**"); missed == test.passed {
			t.Errorf("%s: the page says missed: %t", name, missed)
		}
	}
}
