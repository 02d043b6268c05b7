package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var trial = regexp.MustCompile(`(?m)^\s+\{"([^"]+)", test\w+\},$`)

// TestEveryTroubleHasARowAndATest: the last column of the table names the cases of TestKafkaTrouble, each once.
func TestEveryTroubleHasARowAndATest(t *testing.T) {
	t.Parallel()
	var tests, rows []string
	for _, found := range trial.FindAllStringSubmatch(read(t, "../pkg/stream/trouble_test.go"), -1) {
		tests = append(tests, found[1])
	}
	for line := range strings.Lines(read(t, "kafka-trouble.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			continue
		}
		if name := quoted.FindStringSubmatch(cells[4]); name != nil {
			rows = append(rows, name[1])
		}
	}
	slices.Sort(tests)
	slices.Sort(rows)
	if diff := cmp.Diff(tests, rows); diff != "" || len(rows) < 20 {
		t.Errorf("%d rows (-tests +rows):\n%s", len(rows), diff)
	}
}
