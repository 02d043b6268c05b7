// Package report keeps what became of every message where people ask for it. Records of push.events and of im.receipts
// flow in; their events flow out to the timeline of each message. It promises that a record is acknowledged only when the
// timeline has it, or when it cannot be read or kept, which is logged; an event that comes twice may stand twice. While
// the timeline's Redis is away report waits, within its source's bounds, and its topics keep the rest; nothing but report
// waits for it.
package report

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/timeline"
)

// Timeline keeps events by message; *timeline.Timeline is one.
type Timeline interface {
	Append(ctx context.Context, entries []timeline.Entry) error
}

const (
	redisPause   = 100 * time.Millisecond // between two tries while Redis is away, at first
	longestPause = 5 * time.Second
	chunkEvents  = 2000 // in one pipeline: about 400 KB, a few ms of Redis' time
	lastingTries = 5    // of an error that asking again does not heal; then the culprit is looked for
)

// Report is the role. Handle is called by one goroutine.
type Report struct {
	line   Timeline
	topics stream.Topics
	now    func() time.Time
	count  func(timeline.Entry)
	log    *zap.Logger
}

// New returns a Report. count is called with each report of a device, for metrics; one that is read again counts again.
func New(line Timeline, topics stream.Topics, now func() time.Time, count func(timeline.Entry), log *zap.Logger) *Report {
	return &Report{line: line, topics: topics, now: now, count: count, log: log}
}

// Handle appends a batch to the timelines, chunk by chunk, and acknowledges what a chunk has completed. It returns when
// all is kept, or when ctx ended, which leaves the rest to be read again.
func (r *Report) Handle(ctx context.Context, batch []*stream.Record) {
	var events []timeline.Entry
	first := 0 // of the records that are not acknowledged
	for i, rec := range batch {
		events = append(events, r.read(rec)...)
		if len(events) < chunkEvents && i < len(batch)-1 {
			continue
		}
		for chunk := range slices.Chunk(events, chunkEvents) {
			if err := r.keep(ctx, chunk, lastingTries); err != nil {
				for _, left := range batch[first:] {
					left.Drop()
				}
				return
			}
		}
		for _, done := range batch[first : i+1] {
			done.Ack()
		}
		events, first = nil, i+1
	}
}

func (r *Report) read(rec *stream.Record) []timeline.Entry {
	events, err := Events(r.topics, rec, r.now())
	if err != nil {
		r.log.Error("unreadable events skipped", zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset), zap.Error(err))
	}
	if rec.Topic == r.topics.Receipts() { // outcomes were counted by who wrote them
		for _, e := range events {
			r.count(e)
		}
	}
	return events
}

// keep repeats until the timeline has the events; its error says that ctx ended before. After so many lasting errors it
// divides the events until the one is found that cannot be kept, so that it holds up no other.
func (r *Report) keep(ctx context.Context, events []timeline.Entry, tries int) error {
	pause := redisPause
	for failed := 0; ; failed++ {
		err := r.line.Append(ctx, events)
		if err == nil {
			return nil
		}
		if registry.Lasting(err) {
			if tries--; tries <= 0 {
				return r.divide(ctx, events, err)
			}
		}
		if failed == 0 {
			r.log.Warn("timeline does not answer; report holds", zap.Error(err))
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Report) divide(ctx context.Context, events []timeline.Entry, cause error) error {
	if len(events) == 1 {
		e := events[0]
		r.log.Error("event skipped: its timeline cannot be written", zap.String("app", e.GetApp()), zap.String("msg_key", e.GetMsgKey()), zap.Error(cause))
		return nil
	}
	half := len(events) / 2
	if err := r.keep(ctx, events[:half], 1); err != nil {
		return err
	}
	return r.keep(ctx, events[half:], 1)
}
