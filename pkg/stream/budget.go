package stream

import (
	"math"
	"sync"
	"sync/atomic"
)

// Budget bounds bytes and records in flight over several sources. A budget smaller than the sum of its sources'
// MaxBytes makes them compete; even then a lane with nothing in flight gets one record through.
type Budget struct {
	maxBytes, maxRecords int64
	bytes, records       atomic.Int64
}

// NewBudget returns a budget of that many bytes and records; 0 = no limit.
func NewBudget(maxBytes, maxRecords int) *Budget {
	b := &Budget{maxBytes: int64(maxBytes), maxRecords: int64(maxRecords)}
	if maxBytes <= 0 {
		b.maxBytes = math.MaxInt64
	}
	if maxRecords <= 0 {
		b.maxRecords = math.MaxInt64
	}
	return b
}

// Used returns what is in flight.
func (b *Budget) Used() (bytes, records int) { return int(b.bytes.Load()), int(b.records.Load()) }

// take counts one record in, unless that would exceed the budget; with force in any case.
func (b *Budget) take(size int, force bool) bool {
	bytes, records := b.bytes.Add(int64(size)), b.records.Add(1)
	if !force && (bytes > b.maxBytes || records > b.maxRecords) {
		b.give(1, size)
		return false
	}
	return true
}

func (b *Budget) give(records, bytes int) {
	b.bytes.Add(-int64(bytes))
	b.records.Add(-int64(records))
}

// room is what can still be taken.
func (b *Budget) room() (records, bytes int) {
	return int(max(0, b.maxRecords-b.records.Load())), int(max(0, b.maxBytes-b.bytes.Load()))
}

// meter bounds what one source has in flight and shares it among the source's lanes: each lane has a reserve that no
// other can take, by its weight; the other half goes to whoever needs it. So a lane full of records that have to wait
// never keeps another lane from being fetched.
type meter struct {
	maxRecords, maxBytes int
	budget               *Budget

	mu    sync.Mutex
	lanes []*usage
}

// usage is what one lane has in flight.
type usage struct {
	meter          *meter
	reserveRecords int
	reserveBytes   int
	records        int // guarded by meter.mu
	bytes          int // guarded by meter.mu
}

func newMeter(maxRecords, maxBytes int, budget *Budget, weights []int) *meter {
	if budget == nil {
		budget = NewBudget(0, 0)
	}
	m := &meter{maxRecords: maxRecords, maxBytes: maxBytes, budget: budget}
	total := 0
	for _, w := range weights {
		total += w
	}
	for _, w := range weights {
		m.lanes = append(m.lanes, &usage{
			meter:          m,
			reserveRecords: maxRecords * w / (2 * total),
			reserveBytes:   maxBytes * w / (2 * total),
		})
	}
	return m
}

// free is what the lane can take of the source's limits; guarded by meter.mu.
func (u *usage) free() (records, bytes int) {
	records, bytes = u.meter.maxRecords, u.meter.maxBytes
	for _, other := range u.meter.lanes {
		if other == u {
			records -= u.records
			bytes -= u.bytes
			continue
		}
		records -= max(other.records, other.reserveRecords)
		bytes -= max(other.bytes, other.reserveBytes)
	}
	return max(records, u.reserveRecords-u.records, 0), max(bytes, u.reserveBytes-u.bytes, 0)
}

// take counts a record in. A lane with nothing in flight takes any record, so that the largest one passes.
func (u *usage) take(size int) bool {
	u.meter.mu.Lock()
	defer u.meter.mu.Unlock()
	force := u.records == 0
	if !force {
		if records, bytes := u.free(); records < 1 || bytes < size {
			return false
		}
	}
	if !u.meter.budget.take(size, force) {
		return false
	}
	u.records++
	u.bytes += size
	return true
}

func (u *usage) give(records, bytes int) {
	u.meter.mu.Lock()
	u.records -= records
	u.bytes -= bytes
	u.meter.mu.Unlock()
	u.meter.budget.give(records, bytes)
}

// worthFetching says how many bytes to ask for, 0 where there is too little room: what does not fit is read,
// decompressed and thrown away, so fetching waits until a quarter of the lane's reserve is free. idle is a lane with
// nothing in flight, which takes one record of any size.
func (u *usage) worthFetching() (bytes int, idle bool) {
	u.meter.mu.Lock()
	defer u.meter.mu.Unlock()
	if u.records == 0 {
		_, inBudget := u.meter.budget.room()
		return max(minFetchBytes, min(u.meter.maxBytes, inBudget)), true
	}
	records, bytes := u.free()
	inBudget, bytesInBudget := u.meter.budget.room()
	records, bytes = min(records, inBudget), min(bytes, bytesInBudget)
	if records <= u.reserveRecords/4 || bytes <= u.reserveBytes/4 {
		return 0, false
	}
	return bytes, false
}

// inFlight is the whole source's usage.
func (m *meter) inFlight() (records, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.lanes {
		records += u.records
		bytes += u.bytes
	}
	return records, bytes
}
