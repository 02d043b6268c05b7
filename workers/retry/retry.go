// Package retry brings notifications back to their lane when their time has come. Records of a retry topic flow in; each
// flows out to its lane's work topic when it is due, spread over a moment, to a longer delay when its not-before lies further ahead, or ends
// as expired. Records of a parked topic flow in, too; each flows out to its lane when its credential can send again, or
// when a sweep tries all. It promises that a record is acknowledged only when its successor is durable, that no record
// waits for one of another delay or credential, and that waiting costs one timer for the whole topic.
package retry

import (
	"container/heap"
	"context"
	"encoding/binary"
	"hash/fnv"
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
	Delay    time.Duration  // of this topic: a record is due that long after it was appended, and up to a tenth or 2 s later
	Policy   outcome.Policy // knows the delays for longer waits
	Now      func() time.Time
}

// Retry is the waiting room of one topic. Handle is called by one goroutine; Run must be running.
type Retry struct {
	entrance
	mover
	delay  time.Duration
	policy outcome.Policy
}

// New returns a Retry.
func New(cfg Config, pub outcome.Publisher, events Events, log *zap.Logger) *Retry {
	return &Retry{entrance: newEntrance(), mover: mover{cfg.Topics, cfg.Platform, cfg.Now, pub, events, log}, delay: cfg.Delay, policy: cfg.Policy}
}

// Handle takes records; they wait in Run. The source's window bounds how many.
func (r *Retry) Handle(ctx context.Context, batch []*stream.Record) {
	r.enter(ctx, batch, func(rec *stream.Record) time.Duration { return r.delay + smear(rec.Key, rec.Offset, r.delay) })
}

// What failed together must not come back together. A tenth of the delay spreads it, and mostSmear at most: records that
// are not due yet fill the room, which the source's window of 2,000 bounds, so that a longer smear would slow the topic
// down to fewer than 2,000 records a second. What is overdue already is spread no further.
const (
	smearShare = 10
	mostSmear  = 2 * time.Second
)

// smear is what a record waits beyond its topic's delay; the same for a record that is read again.
func smear(key []byte, offset int64, delay time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write(key)
	_ = binary.Write(h, binary.BigEndian, offset) // a hash never fails
	return time.Duration(h.Sum64() % uint64(min(delay/smearShare, mostSmear)+1))
}

// Run moves what is due until ctx ends. What waits when its generation ends is dropped, and read again by its next
// owner.
func (r *Retry) Run(ctx context.Context) {
	var room byDue
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for len(room) > 0 && !room[0].due.After(r.now()) {
			if w := heap.Pop(&room).(*waiting); w.ctx.Err() == nil {
				r.move(w, r.where)
			} else {
				w.rec.Drop()
			}
		}
		next := time.Hour
		if len(room) > 0 {
			next = max(room[0].due.Sub(r.now()), time.Millisecond)
		}
		timer.Reset(next)
		select {
		case w := <-r.in:
			heap.Push(&room, w)
		case <-r.ended:
			room = current(room)
			heap.Init(&room)
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// where is the lane of a due record, or a longer delay.
func (r *Retry) where(_ *push.Notification, meta stream.Meta, now time.Time) string {
	if left := meta.NotBefore.Sub(now); left > 0 {
		return r.topics.Retry(r.platform, r.policy.Hop(left))
	}
	return r.topics.Work(r.platform, meta.Lane)
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
