// Package report keeps what became of every message where people ask for it. Records of push.events flow in; their
// events flow out to the timeline of each message. It promises that a record is acknowledged only when the timeline has
// it, or when it cannot be read; an event that comes twice may stand twice.
package report

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Timeline keeps events by message; *registry.Registry is one.
type Timeline interface {
	AppendTimeline(ctx context.Context, events []*schemasv1.Event) error
}

const redisPause = 100 * time.Millisecond // between two tries while Redis is away

// Report is the role. Handle is called by one goroutine.
type Report struct {
	timeline Timeline
	log      *zap.Logger
}

// New returns a Report.
func New(timeline Timeline, log *zap.Logger) *Report { return &Report{timeline: timeline, log: log} }

// Handle appends a batch to the timelines.
func (r *Report) Handle(ctx context.Context, batch []*stream.Record) {
	var events []*schemasv1.Event
	for _, rec := range batch {
		pack := new(schemasv1.Events)
		if err := pack.UnmarshalVT(rec.Value); err != nil {
			r.log.Error("unreadable events skipped", zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset), zap.Error(err))
			continue
		}
		events = append(events, pack.GetEvents()...)
	}
	for failed := 0; len(events) > 0; failed++ {
		err := r.timeline.AppendTimeline(ctx, events)
		if err == nil {
			break
		}
		if failed == 0 {
			r.log.Warn("timeline does not answer; report holds", zap.Error(err))
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			for _, rec := range batch {
				rec.Drop()
			}
			return
		}
	}
	for _, rec := range batch {
		rec.Ack()
	}
}
