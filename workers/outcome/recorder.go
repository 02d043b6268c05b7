// Package outcome writes down what became of messages and notifications, in one place for every role. Events flow in
// one by one; push.events records that each pack the events of many messages flow out. It promises that an event's
// callback is called exactly once, with nil only when the event is durable, and that what waits is bounded.
package outcome

import (
	"context"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Publisher makes a record durable and says so; *stream.Publisher is one.
type Publisher interface {
	Publish(ctx context.Context, m stream.Message, done func(error))
}

const (
	linger     = 5 * time.Millisecond // what packs many outcomes into one record; adds to no push's latency
	packEvents = 500                  // about 100 KB, far below a record's limit
	maxWaiting = 50_000               // events; about 10 MB
	lastFlush  = 2 * time.Second      // for what waits when the process stops
)

// Recorder packs events. It is safe for concurrent use; Run must be running for events to leave.
type Recorder struct {
	pub        Publisher
	topic      string
	partitions func(context.Context) (int, error)
	observe    func(*schemasv1.Event)

	mu      sync.Mutex
	waiting []entry
	wake    chan struct{} // capacity 1: something waits
	room    chan struct{} // closed and replaced when a full buffer was emptied
}

type entry struct {
	event *schemasv1.Event
	done  func(error)
}

// NewRecorder returns a Recorder for a topic. partitions says how many partitions the topic has, and may block until
// its context ends while Kafka is away. observe is called with each event once, for metrics.
func NewRecorder(pub Publisher, topic string, partitions func(context.Context) (int, error), observe func(*schemasv1.Event)) *Recorder {
	return &Recorder{pub: pub, topic: topic, partitions: partitions, observe: observe,
		wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// Record hands over an event. done is called once, from another goroutine: with nil when the event is durable. Record
// blocks while too many events wait; when ctx ends meanwhile, done gets its error.
func (r *Recorder) Record(ctx context.Context, e *schemasv1.Event, done func(error)) {
	r.observe(e)
	for {
		r.mu.Lock()
		if len(r.waiting) < maxWaiting {
			r.waiting = append(r.waiting, entry{e, done})
			r.mu.Unlock()
			select {
			case r.wake <- struct{}{}:
			default:
			}
			return
		}
		room := r.room
		r.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			done(ctx.Err())
			return
		}
	}
}

// Run packs and publishes until ctx ends, then sends what still waits, as long as the publisher takes it.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			r.flush(last)
			cancel()
			return
		}
		pause := time.NewTimer(linger)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		r.flush(ctx)
	}
}

func (r *Recorder) take() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = nil
	close(r.room)
	r.room = make(chan struct{})
	return waiting
}

func (r *Recorder) flush(ctx context.Context) {
	waiting := r.take()
	if len(waiting) == 0 {
		return
	}
	n, err := r.partitions(ctx)
	if err != nil {
		for _, w := range waiting {
			w.done(err)
		}
		return
	}
	packs := make(map[int32][]entry, n)
	for _, w := range waiting {
		p := stream.Murmur2Partition([]byte(stream.MessageKey(w.event.GetApp(), w.event.GetMsgKey())), n)
		packs[p] = append(packs[p], w)
	}
	for p, entries := range packs {
		for len(entries) > 0 {
			k := min(len(entries), packEvents)
			r.publish(ctx, p, entries[:k:k])
			entries = entries[k:]
		}
	}
}

func (r *Recorder) publish(ctx context.Context, partition int32, entries []entry) {
	pack := &schemasv1.Events{Events: make([]*schemasv1.Event, len(entries))}
	for i, w := range entries {
		pack.Events[i] = w.event
	}
	value, err := pack.MarshalVT()
	if err != nil {
		for _, w := range entries {
			w.done(err)
		}
		return
	}
	r.pub.Publish(ctx, stream.Message{Topic: r.topic, Value: value, Partition: partition}, func(err error) {
		for _, w := range entries {
			w.done(err)
		}
	})
}

// EventOf describes one step of a notification.
func EventOf(n *push.Notification, meta stream.Meta, d push.Disposition, reason push.Reason, answer string, now time.Time) *schemasv1.Event {
	return &schemasv1.Event{App: n.App, MsgKey: n.MsgKey, User: n.User, Device: n.Device, Platform: string(n.Platform), Id: n.ID,
		Disposition: d.String(), Reason: string(reason), Answer: answer, TimeMs: now.UnixMilli(), Attempt: int32(meta.Attempt),
		ReceivedMs: n.Received.UnixMilli(), Purpose: n.Purpose, Redrive: int32(meta.Redrive), Sender: n.Sender, Conversation: n.Thread, MsgSeq: n.Seq}
}
