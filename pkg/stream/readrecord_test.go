package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOneRecordIsReadByItsPlace(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	topic := l.topic(2)
	p := l.publisher()
	l.publish(p, topic, 1, "a", "b", "c", "d")
	l.expire(topic, 1, 1)
	for name, c := range map[string]struct {
		partition int32
		offset    int64
		want      string // "" = gone
	}{
		"in the middle of a batch": {1, 2, "c"},
		"the last one":             {1, 3, "d"},
		"expired":                  {1, 0, ""},
		"not written yet":          {1, 4, ""},
		"of an empty partition":    {0, 0, ""},
		"of no partition":          {7, 0, ""},
		"of no place":              {1, -1, ""},
	} {
		r, err := l.cluster.ReadRecord(t.Context(), topic, c.partition, c.offset)
		switch {
		case c.want == "" && !errors.Is(err, ErrGone):
			t.Errorf("%s: %v, %v, want it to be gone", name, r, err)
		case c.want != "" && (err != nil || string(r.Value) != c.want || r.Offset != c.offset || r.Partition != c.partition || r.Topic != topic):
			t.Errorf("%s: %v, %v, want %s", name, r, err, c.want)
		}
	}
	if r, err := l.cluster.ReadRecord(t.Context(), "test-of-no-topic", 0, 0); !errors.Is(err, ErrNoTopic) || errors.Is(err, ErrGone) {
		t.Errorf("of no topic: %v, %v", r, err)
	}
}

// expire makes a partition's log begin at an offset.
func (l *lab) expire(topic string, partition int32, offset int64) {
	l.t.Helper()
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Partition, part.Offset = partition, offset
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, part)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis, req.Topics = 5000, append(req.Topics, of)
	res, err := req.RequestWith(l.t.Context(), l.kgo())
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func TestARecordThatNobodyAnswersForIsWaitedForAndNotGone(t *testing.T) {
	t.Parallel()
	cluster := openCluster(t, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := cluster.ReadRecord(ctx, "t", 0, 0); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("%v, %v", r, err)
	}
}
