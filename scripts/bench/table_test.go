package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// printed is what two rounds of benchmarks print, among other lines.
const printed = `goos: linux
pkg: github.com/pushfleet/pushfleet/pkg/x
BenchmarkSend/latency=50ms/ours-2  	  100	 5000 ns/op	  20.00 cpu-µs/op	 71 allocs/op
BenchmarkSend/latency=50ms/stock-2 	  100	 9000 ns/op	  40.00 cpu-µs/op	 87 allocs/op
--- SKIP: BenchmarkOther
PASS
BenchmarkSend/latency=50ms/ours-2  	  100	 7000 ns/op	  30.00 cpu-µs/op	 71 allocs/op
BenchmarkSend/latency=50ms/stock-2 	  100	 9000 ns/op	  40.00 cpu-µs/op	 87 allocs/op
BenchmarkSend/latency=50ms/ours-2  	  100	 3000 ns/op	  90.00 cpu-µs/op	 71 allocs/op
BenchmarkSend/latency=50ms/stock-2 	  100	 9000 ns/op	 100.00 cpu-µs/op	 87 allocs/op
`

func TestARowIsMeasuredAgainstItsBound(t *testing.T) {
	t.Parallel()
	got := make(results)
	if err := got.read(strings.NewReader(printed)); err != nil {
		t.Fatal(err)
	}
	of := func(name, unit string) series { return series{"pkg/x", "Send/latency=50ms/" + name, unit} }
	for _, test := range []struct {
		figure figure
		want   row
	}{
		{
			figure{name: "the middle round's ratio", measured: of("ours", cpu), baseline: of("stock", cpu), unit: "µs", bound: atMost(0.75, "3/4")},
			row{"the middle round's ratio", "30 µs", "40 µs", "0.750", "≤ 3/4", pass},
		},
		{
			figure{name: "above", measured: of("ours", cpu), baseline: of("stock", cpu), unit: "µs", bound: atMost(0.6, "0.6")},
			row{"above", "30 µs", "40 µs", "0.750", "≤ 0.6", short},
		},
		{
			figure{name: "a value", measured: of("ours", "allocs/op"), bound: atMost(71, "71")},
			row{"a value", "71", "", "", "≤ 71", pass},
		},
		{
			figure{name: "in the table's unit", measured: of("ours", "ns/op"), unit: "µs", scale: 1e-3, bound: atMost(4.9, "4.9 µs")},
			row{"in the table's unit", "5 µs", "", "", "≤ 4.9 µs", short},
		},
		{
			figure{name: "at least", measured: of("ours", "allocs/op"), bound: atLeast(70, "70")},
			row{"at least", "71", "", "", "≥ 70", pass},
		},
		{
			figure{name: "without a bound", measured: of("ours", cpu), baseline: of("stock", cpu), unit: "µs"},
			row{"without a bound", "30 µs", "40 µs", "0.750", "", ""},
		},
		{
			figure{name: "nothing", measured: of("theirs", cpu), baseline: of("stock", cpu), bound: atMost(1, "1")},
			row{"nothing", "not measured", "", "", "≤ 1", short},
		},
		{
			figure{name: "nothing beside it", measured: of("ours", cpu), baseline: of("theirs", cpu), bound: atMost(1, "1"), needs: "a package"},
			row{"nothing beside it", "30", "not measured: install a package", "", "≤ 1", short},
		},
	} {
		if diff := cmp.Diff(test.want, test.figure.row(got), cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.figure.name, diff)
		}
	}
}

func TestANumberHasThreeDigits(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{0: "0", 4: "4", 0.33333: "0.333", 2.6781: "2.68", 45.18: "45.2", 416.1: "416", 22861.4: "22861"} {
		if got := number(value); got != want {
			t.Errorf("%v: got %s, want %s", value, got, want)
		}
	}
}
