package fleet

import (
	"context"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// observe counts an event. A device may name any platform; a label of the metrics must not.
func (f *fleet) observe(e *schemasv1.Event) {
	platform := push.Platform(e.GetPlatform())
	if f.drivers[platform] == nil {
		platform = ""
	}
	f.metrics.Outcome(platform, e.GetDisposition(), push.Reason(e.GetReason()))
}

// attempted measures an attempt.
func (f *fleet) attempted(n *push.Notification, lane push.Lane, o push.Outcome, took time.Duration) {
	f.metrics.Sent(n.Platform, took)
	if o.Disposition == push.Delivered {
		f.metrics.Delivered(n.Platform, lane, time.Since(n.Received))
	}
}

// counted counts records on their way into a role.
func (f *fleet) counted(role Role, handle func(context.Context, []*stream.Record)) func(context.Context, []*stream.Record) {
	return func(ctx context.Context, batch []*stream.Record) {
		for i := 0; i < len(batch); {
			n := i + 1
			for n < len(batch) && batch[n].Topic == batch[i].Topic {
				n++
			}
			f.metrics.Records(string(role), batch[i].Topic, n-i)
			i = n
		}
		handle(ctx, batch)
	}
}

func sourceState(s *stream.Source) telemetry.SourceState {
	stats := s.Stats()
	state := telemetry.SourceState{InFlight: stats.InFlightRecords, Fetches: stats.Fetches, FetchErrors: stats.FetchErrors,
		Commits: stats.Commits, CommitErrors: stats.CommitErrors, Bytes: stats.Bytes, Generations: stats.Generations,
		OutOfRange: stats.OutOfRange, Damaged: stats.Damaged, Abandoned: stats.Abandoned}
	for _, l := range s.Lag() {
		state.Lag = append(state.Lag, telemetry.PartitionLag{Topic: l.Topic, Partition: l.Partition, Records: l.Lag})
	}
	return state
}

func publisherState(p *stream.Publisher) telemetry.PublisherState {
	stats := p.Stats()
	return telemetry.PublisherState{Requests: stats.Requests, Errors: stats.RequestErrors, Records: stats.Records,
		Bytes: stats.Bytes, Failed: stats.Failed, Queued: stats.QueuedRecords}
}
