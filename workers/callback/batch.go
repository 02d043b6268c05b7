package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// item is one event on its way.
type item struct {
	json []byte
	ctx  context.Context // ends when its record is not this process's any more
	rec  *stream.Record
	done func(error) // called once: with nil when the event was accepted or is a dead letter
}

// batch is what one callback tells of. Its items are of one generation.
type batch struct {
	ctx   context.Context
	items []item
}

func (b *batch) end(err error) {
	for _, it := range b.items {
		it.done(err)
	}
}

// halves divides a batch of at least two.
func (b *batch) halves() [2]*batch {
	half := len(b.items) / 2
	return [2]*batch{{b.ctx, b.items[:half:half]}, {b.ctx, b.items[half:]}}
}

// oldest is when the first of the records was written.
func (b *batch) oldest() time.Time {
	oldest := b.items[0].rec.Time
	for _, it := range b.items[1:] {
		if it.rec.Time.Before(oldest) {
			oldest = it.rec.Time
		}
	}
	return oldest
}

// body is what is posted.
func (b *batch) body(app string) []byte {
	name, err := json.Marshal(app)
	if err != nil {
		panic("a string did not marshal: " + err.Error())
	}
	size := len(name) + 32
	for _, it := range b.items {
		size += len(it.json) + 1
	}
	body := append(append(make([]byte, 0, size), `{"App":`...), name...)
	body = append(body, `,"Events":[`...)
	for i, it := range b.items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.json...)
	}
	return append(body, "]}"...)
}

// unpack reads a body that is to be told again.
func unpack(body []byte, app string) ([]item, error) {
	var told struct {
		App    string
		Events []json.RawMessage
	}
	if err := json.Unmarshal(body, &told); err != nil || told.App != app || len(told.Events) > MaxBatch {
		return nil, errNoBatch
	}
	items := make([]item, len(told.Events))
	for i, e := range told.Events {
		if !bytes.HasPrefix(e, []byte("{")) {
			return nil, errNoBatch
		}
		items[i].json = e
	}
	return items, nil
}

// gather makes batches of items until ctx ends: a batch goes out when it is full, or a while after its first item.
func (c *Callback) gather(ctx context.Context) {
	var open *batch
	timer := time.NewTimer(c.cfg.Linger)
	defer timer.Stop()
	flush := func() {
		select {
		case c.batches <- open:
		case <-open.ctx.Done():
			open.end(context.Cause(open.ctx))
		case <-ctx.Done():
			open.end(context.Cause(ctx))
		}
		open = nil
	}
	for {
		var ended <-chan struct{}
		if open != nil {
			ended = open.ctx.Done()
		}
		select {
		case it := <-c.in:
			if open != nil && open.ctx != it.ctx {
				flush()
			}
			if open == nil {
				open = &batch{ctx: it.ctx, items: make([]item, 0, c.cfg.Batch)}
				timer.Reset(c.cfg.Linger)
			}
			if open.items = append(open.items, it); len(open.items) == c.cfg.Batch {
				flush()
			}
		case <-timer.C:
			if open != nil {
				flush()
			}
		case <-ended:
			open.end(context.Cause(open.ctx))
			open = nil
		case <-ctx.Done():
			if open != nil {
				open.end(context.Cause(ctx))
			}
			return
		}
	}
}
