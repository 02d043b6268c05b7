// Package callback tells an IM service what became of its pushes. Records of push.events, of im.receipts and of
// push.callbacks (what an operator sends back) flow in, and what they tell of one app flows out to that app's URL, in
// signed batches over HTTP; what a receiver refuses, and what it was down for too long to take, flows out to
// push.callbacks.dead.
//
// It promises that a record is acknowledged only when everything that it tells of the app was accepted or is a dead
// letter: each app has a consumer group of its own, so what waits for a slow receiver waits in Kafka, and holds up neither
// another app nor the timeline. So an event is told at least once, and more than once with the same EventID. Memory is
// bounded by the source and by the batches under way. No message's text, no token and no secret is in what it sends or
// logs.
package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/outcome"
	"github.com/pushfleet/pushfleet/workers/report"
)

// MaxBatch is the most events that one callback tells of, as the IM's own callbacks do.
const MaxBatch = 100

// Config is one app's callback.
type Config struct {
	App         string
	URL         string
	Secrets     *Secrets
	TLS         *tls.Config   // nil = the system's roots
	Batch       int           // events of one callback, at most MaxBatch
	Linger      time.Duration // how long a batch waits to be full
	Timeout     time.Duration // of one attempt, until its answer was read
	Concurrency int           // callbacks under way
	MaxAge      time.Duration // of an event; when a callback fails that tells of an older one, it is a dead letter

	Topics stream.Topics
	Now    func() time.Time
	// Observe is told of every attempt: its result, how many events it told of, and how long it took; and of every dead
	// letter, with the result Dead.
	Observe func(app string, result Result, events int, took time.Duration)
}

// Callback is one app's. Handle is called by one goroutine; Run must be running.
type Callback struct {
	cfg    Config
	pub    outcome.Publisher
	log    *zap.Logger
	client *http.Client

	in      chan item
	batches chan *batch

	mu      sync.Mutex
	failing time.Time // since when no attempt was accepted; zero = the last one was
}

// New returns a Callback; nothing is opened.
func New(cfg Config, pub outcome.Publisher, log *zap.Logger) *Callback {
	return &Callback{cfg: cfg, pub: pub, log: log, client: newClient(cfg), in: make(chan item), batches: make(chan *batch)}
}

// Run gathers batches and sends them until ctx ends. What was not accepted then is left to be read again.
func (c *Callback) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { c.gather(ctx) })
	for range c.cfg.Concurrency {
		running.Go(func() { c.send(ctx) })
	}
	running.Wait()
	c.client.CloseIdleConnections()
}

// Handle hands over what a batch of records tells of the app, and blocks while as much as may be is under way.
func (c *Callback) Handle(ctx context.Context, records []*stream.Record) {
	for _, rec := range records {
		pending := outcome.NewPending(rec.Ack, func(error) { rec.Drop() })
		items, err := c.read(rec)
		if err != nil {
			c.log.Error("unreadable record", zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition),
				zap.Int64("offset", rec.Offset), zap.Error(err))
			if rec.Topic == c.cfg.Topics.Callbacks() {
				c.pub.Publish(ctx, stream.DeadInput(c.cfg.Topics, rec, push.ReasonInvalidMessage, "", c.cfg.Now()), pending.Add())
			}
		}
		for _, it := range items {
			it.ctx, it.rec, it.done = ctx, rec, pending.Add()
			select {
			case c.in <- it:
			case <-ctx.Done():
				it.done(context.Cause(ctx))
			}
		}
		pending.Done(nil)
	}
}

var errNoBatch = errors.New("no batch of events of its app")

// read returns what a record tells of the app.
func (c *Callback) read(rec *stream.Record) ([]item, error) {
	if rec.Topic == c.cfg.Topics.Callbacks() {
		if string(rec.Key) != c.cfg.App {
			return nil, nil
		}
		return unpack(rec.Value, c.cfg.App)
	}
	events, err := report.Events(c.cfg.Topics, rec, c.cfg.Now())
	if err != nil {
		return nil, err
	}
	var items []item
	for _, e := range events {
		if e.GetApp() != c.cfg.App {
			continue
		}
		if told, ok := Tell(e); ok {
			items = append(items, item{json: told.encode()})
		}
	}
	return items, nil
}
