package retry

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// waiting is one record with its time.
type waiting struct {
	ctx context.Context // ends when the record must not be moved any more
	rec *stream.Record
	due time.Time
}

// mover gives records their next place.
type mover struct {
	topics   stream.Topics
	platform push.Platform
	now      func() time.Time
	pub      outcome.Publisher
	events   Events
	log      *zap.Logger
}

// move publishes a record to the topic that where chooses. What cannot be read goes to the dead topic, what is too late
// ends.
func (m *mover) move(w *waiting, where func(n *push.Notification, meta stream.Meta, now time.Time) string) {
	now := m.now()
	pending := outcome.NewPending(w.rec.Ack, func(err error) {
		w.rec.Drop()
		m.log.Error("record left to be read again", zap.String("topic", w.rec.Topic), zap.Int32("partition", w.rec.Partition),
			zap.Int64("offset", w.rec.Offset), zap.Error(err))
	})
	defer pending.Done(nil)
	n, meta, err := stream.DecodeWork(w.rec)
	if err != nil {
		m.log.Error("unreadable record to the dead topic", zap.String("topic", w.rec.Topic), zap.Int32("partition", w.rec.Partition),
			zap.Int64("offset", w.rec.Offset), zap.Error(err))
		m.pub.Publish(w.ctx, stream.DeadWork(m.topics, m.platform, w.rec, push.ReasonInvalidMessage, now), pending.Add())
		return
	}
	if !n.Expires.After(now) {
		m.events.Record(w.ctx, outcome.EventOf(n, meta, push.Filter, push.ReasonExpired, "", now), pending.Add())
		return
	}
	m.pub.Publish(w.ctx, stream.Message{Topic: where(n, meta, now), Key: w.rec.Key, Value: w.rec.Value, Headers: w.rec.Headers,
		Partition: stream.ByKey}, pending.Add())
}

// current drops what waits for a generation that ended, and returns the others.
func current(room []*waiting) []*waiting {
	kept := room[:0]
	for _, w := range room {
		if w.ctx.Err() == nil {
			kept = append(kept, w)
		} else {
			w.rec.Drop()
		}
	}
	clear(room[len(kept):])
	return kept
}

// entrance hands records from the source to the one goroutine that keeps them.
type entrance struct {
	in    chan *waiting
	ended chan struct{}   // capacity 1: a generation ended, what waits for it is to be dropped
	last  context.Context // of the generation that enter was called for last
}

func newEntrance() entrance {
	return entrance{in: make(chan *waiting), ended: make(chan struct{}, 1)}
}

// enter hands records over, each due so long after it was appended. It is called by one goroutine.
func (e *entrance) enter(ctx context.Context, batch []*stream.Record, delay func(*stream.Record) time.Duration) {
	if ctx != e.last {
		e.last = ctx
		context.AfterFunc(ctx, func() {
			select {
			case e.ended <- struct{}{}:
			default:
			}
		})
	}
	for _, rec := range batch {
		select {
		case e.in <- &waiting{ctx: ctx, rec: rec, due: rec.Time.Add(delay(rec))}:
		case <-ctx.Done():
			rec.Drop()
		}
	}
}
