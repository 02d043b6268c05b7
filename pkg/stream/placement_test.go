package stream

import (
	"fmt"
	"testing"
	"time"
)

// The publisher learns how many partitions a topic has after the first record was handed over.
func TestThePartitionKeyHoldsFromTheFirstRecordOn(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(4)
	p := l.publisher()
	done := make(chan error, 8)
	for i := range 8 {
		p.Publish(t.Context(), Message{Topic: topic, Key: fmt.Append(nil, "key", i), PartitionKey: []byte("one place"), Partition: ByKey},
			func(err error) { done <- err })
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	want := Murmur2Partition([]byte("one place"), 4)
	for partition, values := range l.scanAll(topic) {
		if partition != want {
			t.Errorf("%d records on partition %d, want all on %d", len(values), partition, want)
		}
	}
}

func TestARecordCarriesTheTimeThatItWasGiven(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	topic := l.topic(1)
	p := l.publisher()
	began := time.Now().Truncate(time.Millisecond)
	given := began.Add(-time.Hour)
	done := make(chan error, 2)
	p.Publish(t.Context(), Message{Topic: topic, Time: given}, func(err error) { done <- err })
	p.Publish(t.Context(), Message{Topic: topic}, func(err error) { done <- err })
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var got []time.Time
	err := l.cluster.Scan(t.Context(), topic, nil, func(r *Record) bool {
		got = append(got, r.Time)
		return true
	})
	if err != nil || len(got) != 2 || !got[0].Equal(given) || got[1].Before(began) {
		t.Errorf("times %v, %v; want %s, and one since %s", got, err, given, began)
	}
}
