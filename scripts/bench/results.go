package main

import (
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// series is one thing that a benchmark reports: its package below the module, its name without "Benchmark" and without
// the number of processors, and its unit.
type series struct{ pkg, name, unit string }

// results are the values of each series, in the order of the rounds.
type results map[series][]float64

// modulePath is cut off a package's name.
const modulePath = "github.com/pushfleet/pushfleet/"

// read takes in what benchmarks print, until its end. Lines that are not a benchmark's are none of its business.
func (r results) read(printed io.Reader) error {
	reader := benchfmt.NewReader(printed, "the benchmarks' output")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		name, parts := result.Name.Parts()
		full := string(name)
		for _, part := range parts {
			if !strings.HasPrefix(string(part), "-") { // the number of processors
				full += string(part)
			}
		}
		pkg := strings.TrimPrefix(result.GetConfig("pkg"), modulePath)
		for _, value := range result.Values {
			s := series{pkg, full, value.Unit}
			if value.OrigUnit != "" { // as the benchmark said it
				s.unit, value.Value = value.OrigUnit, value.OrigValue
			}
			r[s] = append(r[s], value.Value)
		}
	}
	return reader.Err()
}

// errNotMeasured says that there is no value.
var errNotMeasured = errors.New("not measured")

// middle is the median of a series; of an even number the lower one.
func middle(values []float64) (float64, error) {
	if len(values) == 0 {
		return 0, errNotMeasured
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2], nil
}

// quotients divides two series round by round.
func quotients(of, by []float64) []float64 {
	all := make([]float64, min(len(of), len(by)))
	for i := range all {
		all[i] = of[i] / by[i]
	}
	return all
}
