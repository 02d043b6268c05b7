package stream

import "testing"

func testLane() *lane {
	return &lane{usage: newMeter(1<<20, 1<<30, nil, []int{1}).lanes[0], room: make(chan struct{}, 1)}
}

func TestWindowFollowsTheOldestRecordThatIsNotDone(t *testing.T) {
	t.Parallel()
	l := testLane()
	w := newWindow(100, 8, l)
	records := map[int64]*Record{}
	take := func(offset int64) bool {
		r := &Record{Offset: offset, size: 10, owner: w}
		if !w.take(r) {
			return false
		}
		records[offset] = r
		return true
	}
	base := func(want int64) {
		t.Helper()
		if got, _ := w.uncommitted(); got != want {
			t.Errorf("to be committed: %d, want %d", got, want)
		}
	}
	for _, offset := range []int64{100, 101, 103} { // 102 was compacted away
		if !take(offset) {
			t.Fatalf("no room for %d", offset)
		}
	}
	records[101].Ack()
	records[103].Ack()
	base(100)
	records[101].Ack() // twice does nothing
	records[100].Ack()
	base(104)

	for offset := int64(104); offset < 112; offset++ {
		if !take(offset) {
			t.Fatalf("no room for %d", offset)
		}
	}
	if take(112) {
		t.Error("took more than the window holds")
	}
	if got := w.room(112); got != 0 {
		t.Errorf("room for %d, want 0", got)
	}
	for offset := int64(105); offset < 112; offset++ {
		records[offset].Ack()
	}
	if take(112) {
		t.Error("took a record a whole window ahead of the oldest")
	}
	records[104].Ack()
	base(112)
	if !take(5000) {
		t.Error("nothing in flight: a gap of any size is jumped")
	}
	base(5000)
	if n, bytes := l.usage.meter.inFlight(); n != 1 || bytes != 10 {
		t.Errorf("in flight %d records, %d bytes, want 1 and 10", n, bytes)
	}
}

func TestWindowMovesPastWhatHoldsNoRecord(t *testing.T) {
	t.Parallel()
	w := newWindow(0, 4, testLane())
	w.skip(10)
	if got, dirty := w.uncommitted(); got != 10 || !dirty {
		t.Errorf("empty window: to be committed %d, %v; want 10, true", got, dirty)
	}
	r := &Record{Offset: 10, owner: w}
	if !w.take(r) {
		t.Fatal("no room")
	}
	w.skip(12)
	r.Ack()
	if got, _ := w.uncommitted(); got != 12 {
		t.Errorf("after a record and a control batch: to be committed %d, want 12", got)
	}
}

func TestDroppedRecordsAreReadAgain(t *testing.T) {
	t.Parallel()
	l := testLane()
	w := newWindow(0, 4, l)
	a, b := &Record{Offset: 0, owner: w}, &Record{Offset: 1, owner: w}
	w.take(a)
	w.take(b)
	a.Drop()
	b.Ack()
	if got, _ := w.uncommitted(); got != 0 {
		t.Errorf("to be committed %d, want 0", got)
	}
	if n := w.outstanding(); n != 0 {
		t.Errorf("%d records outstanding, want 0: nothing waits for a dropped one", n)
	}
}

func TestClosedWindowCountsNothing(t *testing.T) {
	t.Parallel()
	l := testLane()
	w := newWindow(0, 4, l)
	a, b := &Record{Offset: 0, size: 5, owner: w}, &Record{Offset: 1, size: 5, owner: w}
	w.take(a)
	w.take(b)
	if n := w.close(); n != 2 {
		t.Errorf("%d outstanding at the close, want 2", n)
	}
	a.Ack()
	b.Drop()
	if got, _ := w.uncommitted(); got != 0 {
		t.Errorf("an acknowledgement after the close moved the offset to %d", got)
	}
	if n, bytes := l.usage.meter.inFlight(); n != 0 || bytes != 0 {
		t.Errorf("in flight %d records, %d bytes after the close", n, bytes)
	}
	if w.take(&Record{Offset: 2, owner: w}) {
		t.Error("took a record after the close")
	}
}
