package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestRedisTroublesAreTested: every trouble on the page names a test, each test exists, and each trouble that is played
// with a whole fleet stands on the page.
func TestRedisTroublesAreTested(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, folder := range []string{"pkg/registry", "workers/devices", "workers/fleet"} {
		for name := range testsIn(t, folder) {
			known[name] = true
		}
	}
	played := map[string]bool{}
	for _, c := range regexp.MustCompile(`\{name: "([^"]+)"`).FindAllStringSubmatch(read(t, "../workers/fleet/redis_trouble_test.go"), -1) {
		played["TestRedisTrouble/"+strings.ReplaceAll(c[1], " ", "_")] = true
	}
	page, rows := read(t, "redis-trouble.md"), 0
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 5 || strings.HasPrefix(cells[0], "-") || strings.Contains(cells[4], "Tests") {
			continue
		}
		rows++
		names := quoted.FindAllStringSubmatch(cells[4], -1)
		if len(names) == 0 {
			t.Errorf("no test for %s", cells[0])
		}
		for _, name := range names {
			if !known[name[1]] && !played[name[1]] {
				t.Errorf("there is no %s", name[1])
			}
		}
	}
	if rows < 15 {
		t.Errorf("the page has %d rows", rows)
	}
	for name := range played {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is not on the page", name)
		}
	}
}
