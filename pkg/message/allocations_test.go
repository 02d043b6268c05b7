//go:build !race

package message_test

import "testing"

// TestAllocationsOfOneTextMessage holds the limit of the benchmark wherever the tests run, but for the race detector, which makes
// the decoder's pools forget at random; time is the benchmark's to show.
func TestAllocationsOfOneTextMessage(t *testing.T) {
	values := variants(oneToOne)
	for _, value := range values {
		parseAndRender(t, value)
	}
	i := 0
	if n := testing.AllocsPerRun(len(values), func() { parseAndRender(t, values[i%len(values)]); i++ }); n > limitAllocs {
		t.Errorf("%v allocations, limit %d", n, limitAllocs)
	}
}
