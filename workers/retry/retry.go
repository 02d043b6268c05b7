// Package retry brings notifications back to their lane when their time has come. Records of a retry topic, or of the
// parked topic, flow in; each flows out to its lane's work topic when it is due, to a longer delay when its not-before
// lies further ahead, or ends as expired. It promises that a record is acknowledged only when its successor is durable,
// that no record waits for one of another delay, and that waiting costs one timer for the whole topic.
package retry

import (
	"container/heap"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Events records outcomes; *outcome.Recorder is one.
type Events interface {
	Record(ctx context.Context, e *schemasv1.Event, done func(error))
}

// Config is what the waiting room of one topic needs.
type Config struct {
	Topics   stream.Topics
	Platform push.Platform
	Delay    time.Duration  // of this topic: a record is due that long after it was appended
	Policy   outcome.Policy // knows the delays for longer waits
	Now      func() time.Time
}

// Retry is the waiting room of one topic. Handle is called by one goroutine; Run must be running.
type Retry struct {
	cfg    Config
	pub    outcome.Publisher
	events Events
	log    *zap.Logger
	in     chan *waiting
	ended  chan struct{}   // capacity 1: a generation ended, what waits for it is to be dropped
	last   context.Context // of the generation that Handle was called for last
}

// waiting is one record with its time.
type waiting struct {
	ctx context.Context // ends when the record must not be moved any more
	rec *stream.Record
	due time.Time
}

// New returns a Retry.
func New(cfg Config, pub outcome.Publisher, events Events, log *zap.Logger) *Retry {
	return &Retry{cfg: cfg, pub: pub, events: events, log: log, in: make(chan *waiting), ended: make(chan struct{}, 1)}
}

// Handle takes records; they wait in Run. The source's window bounds how many.
func (r *Retry) Handle(ctx context.Context, batch []*stream.Record) {
	if ctx != r.last {
		r.last = ctx
		context.AfterFunc(ctx, func() {
			select {
			case r.ended <- struct{}{}:
			default:
			}
		})
	}
	for _, rec := range batch {
		select {
		case r.in <- &waiting{ctx: ctx, rec: rec, due: rec.Time.Add(r.cfg.Delay)}:
		case <-ctx.Done():
			rec.Drop()
		}
	}
}

// Run moves what is due until ctx ends. What waits when its generation ends is dropped, and read again by its next
// owner.
func (r *Retry) Run(ctx context.Context) {
	var room byDue
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for len(room) > 0 && !room[0].due.After(r.cfg.Now()) {
			if w := heap.Pop(&room).(*waiting); w.ctx.Err() == nil {
				r.move(w)
			} else {
				w.rec.Drop()
			}
		}
		next := time.Hour
		if len(room) > 0 {
			next = max(room[0].due.Sub(r.cfg.Now()), time.Millisecond)
		}
		timer.Reset(next)
		select {
		case w := <-r.in:
			heap.Push(&room, w)
		case <-r.ended:
			room = current(room)
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// current drops what waits for a generation that ended.
func current(room byDue) byDue {
	kept := room[:0]
	for _, w := range room {
		if w.ctx.Err() == nil {
			kept = append(kept, w)
		} else {
			w.rec.Drop()
		}
	}
	clear(room[len(kept):])
	heap.Init(&kept)
	return kept
}

// move gives a due record its next place.
func (r *Retry) move(w *waiting) {
	now := r.cfg.Now()
	pending := outcome.NewPending(w.rec.Ack, func(err error) {
		w.rec.Drop()
		r.log.Error("record left to be read again", zap.String("topic", w.rec.Topic), zap.Int32("partition", w.rec.Partition),
			zap.Int64("offset", w.rec.Offset), zap.Error(err))
	})
	defer pending.Done(nil)
	n, meta, err := stream.DecodeWork(w.rec)
	if err != nil {
		r.log.Error("unreadable record to the dead topic", zap.String("topic", w.rec.Topic), zap.Int32("partition", w.rec.Partition),
			zap.Int64("offset", w.rec.Offset), zap.Error(err))
		r.pub.Publish(w.ctx, stream.DeadWork(r.cfg.Topics, r.cfg.Platform, w.rec, push.ReasonInvalidMessage, now), pending.Add())
		return
	}
	if !n.Expires.After(now) {
		r.events.Record(w.ctx, outcome.EventOf(n, meta, push.Filter, push.ReasonExpired, "", now), pending.Add())
		return
	}
	topic := r.cfg.Topics.Work(r.cfg.Platform, meta.Lane)
	if left := meta.NotBefore.Sub(now); left > 0 {
		topic = r.cfg.Topics.Retry(r.cfg.Platform, r.cfg.Policy.Hop(left))
	}
	r.pub.Publish(w.ctx, stream.Message{Topic: topic, Key: w.rec.Key, Value: w.rec.Value, Headers: w.rec.Headers, Partition: -1}, pending.Add())
}

// byDue is a heap, the next due first.
type byDue []*waiting

func (q byDue) Len() int { return len(q) }
func (q byDue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) { // keeps the order of a partition
		return q[i].rec.Offset < q[j].rec.Offset
	}
	return q[i].due.Before(q[j].due)
}
func (q byDue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *byDue) Push(w any)   { *q = append(*q, w.(*waiting)) }
func (q *byDue) Pop() any {
	old := *q
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return w
}
