package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// verdict is what to read after a record.
type verdict int

const (
	nextRecord verdict = iota
	nextPartition
	stopScan
)

// scan reads ranges of one topic once.
type scan struct {
	cluster  *Cluster
	topic    string
	maxBytes int32 // a request, for each partition
}

// scanRetry is the pause after a leader could not be read.
const scanRetry = 100 * time.Millisecond

func (s *scan) run(ctx context.Context, ranges []Range, fn func(*Record) verdict) error {
	left := make(map[int32]*Range, len(ranges))
	for i := range ranges {
		if ranges[i].From < ranges[i].To {
			left[ranges[i].Partition] = &ranges[i]
		}
	}
	for len(left) > 0 {
		before := len(left)
		progressed, stop, err := s.round(ctx, left, fn)
		if err != nil || stop {
			return err
		}
		if !progressed && len(left) == before && !sleep(ctx, scanRetry) {
			return fmt.Errorf("scan of %s: %w", s.topic, ctx.Err())
		}
	}
	return nil
}

// round asks every leader once. Map order starts each request with another partition, which matters where brokers
// answer for the first partitions only.
func (s *scan) round(ctx context.Context, left map[int32]*Range, fn func(*Record) verdict) (progressed, stop bool, err error) {
	leaders, err := s.cluster.leaders(ctx, []string{s.topic})
	if err != nil {
		return false, false, ctx.Err()
	}
	byLeader := map[int32][]fetchPartition{}
	for id, r := range left {
		tp := topicPartition{s.topic, id}
		if leader, ok := leaders[tp]; ok {
			byLeader[leader] = append(byLeader[leader], fetchPartition{tp, r.From, s.maxBytes})
		}
	}
	for _, ask := range byLeader {
		a, err := s.cluster.fetch(ctx, ask, fetchWait, maxFetchBytes)
		if err != nil {
			if ctx.Err() != nil {
				return progressed, false, fmt.Errorf("scan of %s: %w", s.topic, ctx.Err())
			}
			continue
		}
		for i := range a.partitions {
			p := &a.partitions[i]
			r := left[p.partition]
			if r == nil {
				continue
			}
			from := r.From
			stop, err := s.partition(p, r, fn)
			if err != nil || stop {
				a.release()
				return true, stop, err
			}
			progressed = progressed || r.From > from
			if r.From >= r.To {
				delete(left, p.partition)
			}
		}
		a.release()
	}
	return progressed, false, nil
}

// partition reads one partition's answer and moves its range on.
func (s *scan) partition(p *fetched, r *Range, fn func(*Record) verdict) (stop bool, err error) {
	if errors.Is(p.err, kafka.OffsetOutOfRange) {
		return false, fmt.Errorf("scan of %s/%d at offset %d: %w", s.topic, p.partition, r.From, p.err)
	}
	if errors.Is(p.err, kafka.TopicAuthorizationFailed) {
		return false, partitionError{p.topicPartition, p.err}
	}
	if p.err != nil { // leadership moves; the next round asks again
		return false, nil
	}
	for rest := p.batches; r.From < r.To; {
		var b batch
		var ok bool
		if b, rest, ok, err = nextBatch(rest); err != nil {
			return false, partitionError{p.topicPartition, err}
		}
		if !ok {
			return false, nil
		}
		err = b.each(s.topic, p.partition, r.From, func(rec *Record) bool {
			if rec.Offset >= r.To {
				r.From = r.To
				return false
			}
			r.From = rec.Offset + 1
			switch fn(rec) {
			case stopScan:
				stop = true
			case nextPartition:
				r.From = r.To
			}
			return !stop && r.From < r.To
		})
		if err != nil {
			return false, partitionError{p.topicPartition, err}
		}
		if stop {
			return true, nil
		}
		r.From = max(r.From, b.last+1)
	}
	return false, nil
}
