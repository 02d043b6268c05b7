// Package deliver is the worker pool of one platform. Records of its work topics flow in; an attempt is made for each
// that the registry admits, and what the attempt led to flows out: an event, a retry, parked or dead record, a rejected
// token. It promises that a record is acknowledged only when its end is durable, that a device's notifications of one
// lane start in order and one at a time, that no credential has more than its share of sends in flight, that lanes are
// served by their weights however much waits in another, and that a slow answer delays nothing but its own device.
//
// What the answers say is kept apart by what they are about: a refused credential parks its own records, a provider that
// is down holds the fetch and what was read, a throttled device waits alone, and a burst of rejected tokens drops none.
// None of that charges an attempt.
//
// The way of a record: Handle → the device's line → admit (one pipelined script for many) → the credential's pool →
// the platform's Sender → settle (publish what follows, mark the notification, write the event, acknowledge).
package deliver

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/workers/outcome"
)

// Admitter is the registry's side of an attempt; *registry.Registry is one.
type Admitter interface {
	Admit(ctx context.Context, requests []registry.AdmitRequest) ([]registry.Admission, error)
	Settle(ctx context.Context, marks []registry.Mark) error
}

// Events records outcomes; *outcome.Recorder is one.
type Events interface {
	Record(ctx context.Context, e *schemasv1.Event, done func(error))
}

// Stops says what an operator has paused; *control.Board is one.
type Stops interface {
	PlatformPaused(p push.Platform) bool
	Paused(app, credential string) bool
}

// Fetch is the source of the platform's records, which is held while nothing can be sent; *stream.Source is one.
type Fetch interface {
	Pause()
	Resume()
}

// Config is what a pool needs to know.
type Config struct {
	Platform    push.Platform
	Topics      stream.Topics
	Owner       string            // names this process in leases
	Policy      outcome.Policy    // when and how often an attempt is repeated
	SendTimeout time.Duration     // for one attempt, waiting for a connection included
	Concurrency int               // the most sends in flight per credential
	Share       int               // what one credential may hold waiting in a lane, where several are in use
	Weights     map[push.Lane]int // of the lanes; absent = 1
	Brake       Brake
	Keyless     bool                              // the platform needs no credential: an app has one pool
	Known       func(app, credential string) bool // configured; what is not is a dead letter and gets no pool
	Serves      func(push.Platform) bool          // platforms that have topics
	// AnyForeground says whether one device in the foreground silences its user's others, in this app.
	AnyForeground func(app string) bool
	// Hold returns nil when presence is fresh enough to judge by, else why not; it is asked before each batch. nil = it
	// always is.
	Hold    func(ctx context.Context) error
	Now     func() time.Time
	Observe func(n *push.Notification, lane push.Lane, o push.Outcome, took time.Duration) // called once per attempt
}

const (
	leaseMargin  = 5 * time.Second // what may pass between the lease and the send, and after it
	admitBatch   = 256             // notifications in one pipeline
	admitters    = 2               // one waits for Redis while the other is built
	markBatch    = 256
	markers      = 2
	redisPause   = 100 * time.Millisecond // between two tries while Redis is away
	lastingTries = 5                      // of an error that asking again does not heal; then the culprit is looked for
	markTries    = 20                     // 2 s; after that the committed offset alone guards against a second push
	lastMarks    = 2 * time.Second        // for what is settled when the process stops
	governEvery  = 100 * time.Millisecond // how soon what was held back is looked at again
	sendBatch    = 100
	sendBatchMin = 16 // a busy pool starts no smaller batch while more is waiting
)

// Deliver is the pool. Handle is called by one goroutine; Run must be running.
type Deliver struct {
	cfg     Config
	reg     Admitter
	senders func(app, credential string) (push.Sender, error)
	pub     outcome.Publisher
	events  Events
	stops   Stops
	fetch   Fetch
	log     *zap.Logger

	weights []int // of push.Lanes, in their order
	lines   *lines
	ready   *queue[*item]
	marks   *queue[mark]
	devices throttled

	provider *circuit
	probing  atomic.Bool   // a provider that is down is being tried
	wake     chan struct{} // capacity 1: what is held back may go on

	mu    sync.Mutex
	pools map[credential]*pool
	sends sync.WaitGroup
}

// item is one notification on its way.
type item struct {
	ctx      context.Context // ends when the attempt must not be started any more
	rec      *stream.Record
	n        *push.Notification
	meta     stream.Meta
	admitted time.Time
	next     *item // of the same device and lane

	// What the attempt's answer is told to.
	ofProvider, ofCredential func(error)
}

// Around is what a Deliver works with.
type Around struct {
	Registry  Admitter
	Senders   func(app, credential string) (push.Sender, error) // as push.Driver's
	Publisher outcome.Publisher
	Events    Events
	Stops     Stops
	Fetch     Fetch
	Logger    *zap.Logger
}

// New returns a Deliver.
func New(cfg Config, a Around) *Deliver {
	if cfg.Hold == nil {
		cfg.Hold = func(context.Context) error { return nil }
	}
	weights := make([]int, len(push.Lanes))
	for i, lane := range push.Lanes {
		weights[i] = max(cfg.Weights[lane], 1)
	}
	d := &Deliver{cfg: cfg, reg: a.Registry, senders: a.Senders, pub: a.Publisher, events: a.Events, stops: a.Stops, fetch: a.Fetch,
		log: a.Logger, weights: weights, lines: newLines(), ready: newQueue(weights, laneOf),
		marks: newQueue([]int{1}, func(mark) int { return 0 }), wake: make(chan struct{}, 1), pools: map[credential]*pool{}}
	d.provider = newProviderCircuit(d.providerChanged)
	return d
}

// laneOf is an item's place in push.Lanes. A name that nobody knows stands for the normal lane.
func laneOf(it *item) int {
	if i := slices.Index(push.Lanes, it.meta.Lane); i >= 0 {
		return i
	}
	return slices.Index(push.Lanes, push.LaneNormal)
}

// Run works until ctx ends, which is to be after the source has drained; what is still under way is then given up and
// read again by its next owner. It ends in the order of an item's way: admission, then the sends, whose answers are
// awaited, then the marks of what they led to, for 2 s at most. It returns when no goroutine of it is left.
func (d *Deliver) Run(ctx context.Context) {
	last, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	marking, stopMarking := context.WithCancel(last)
	defer stopMarking()
	var admitting, settling sync.WaitGroup
	admitting.Go(func() { d.govern(ctx) })
	for range admitters {
		admitting.Go(func() { d.ready.drain(ctx, ctx, admitBatch, func(batch []*item) { d.admit(ctx, batch) }) })
	}
	for range markers {
		settling.Go(func() {
			d.marks.drain(marking, last, markBatch, func(batch []mark) { d.settle(last, batch) })
		})
	}
	admitting.Wait()
	d.sends.Wait()
	limit := time.AfterFunc(lastMarks, giveUp)
	defer limit.Stop()
	stopMarking()
	settling.Wait()
}

// Handle takes records in order. It returns at once: the source bounds how many are on their way.
func (d *Deliver) Handle(ctx context.Context, batch []*stream.Record) {
	ready := make([]*item, 0, len(batch))
	for _, rec := range batch {
		n, meta, err := stream.DecodeWork(rec)
		if err != nil {
			d.unreadable(ctx, rec, err)
			continue
		}
		it := &item{ctx: ctx, rec: rec, n: n, meta: meta}
		if d.lines.enter(it) {
			ready = append(ready, it)
		}
	}
	d.ready.put(ready...)
}

// unreadable sends a record that is no notification to the dead topic.
func (d *Deliver) unreadable(ctx context.Context, rec *stream.Record, cause error) {
	d.log.Error("unreadable record to the dead topic", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
		zap.Int64("offset", rec.Offset), zap.Error(cause))
	d.pub.Publish(ctx, stream.DeadWork(d.cfg.Topics, d.cfg.Platform, rec, push.ReasonInvalidMessage, d.cfg.Now()), func(err error) {
		if err != nil {
			d.left(rec, err)
			return
		}
		rec.Ack()
	})
}

// left says that a record was not settled; it is read again.
func (d *Deliver) left(rec *stream.Record, err error) {
	rec.Drop()
	d.log.Warn("record left to be read again", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
		zap.Int64("offset", rec.Offset), zap.Error(err))
}

// abandon gives an item up before its attempt started, or where its attempt shall cost nothing.
func (d *Deliver) abandon(it *item) {
	it.rec.Drop()
	d.release(it)
}

// release lets the next notification of the device go.
func (d *Deliver) release(it *item) {
	if next := d.lines.leave(it); next != nil {
		d.ready.put(next)
	}
}
