package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// progress tells those who wait for a rebuild how far it is. Nothing depends on it.
type progress struct {
	reg    Wishes
	logger *zap.Logger
	report registry.RebuildReport
	scans  []*topicScan
}

func newProgress(reg Wishes, owner, wish string, logger *zap.Logger) *progress {
	return &progress{reg: reg, logger: logger, report: registry.RebuildReport{Owner: owner, Wish: wish, Began: time.Now()}}
}

const tellEvery = time.Second

// tell reports, at most once in a while.
func (p *progress) tell(ctx context.Context) {
	if time.Since(p.report.Seen) >= tellEvery {
		p.write(ctx)
	}
}

// end reports how it ended.
func (p *progress) end(ctx context.Context, err error) {
	p.report.Done = true
	if err != nil {
		p.report.Error = err.Error()
	}
	p.write(context.WithoutCancel(ctx))
}

func (p *progress) write(ctx context.Context) {
	p.report.Seen, p.report.Behind = time.Now(), 0
	for _, s := range p.scans {
		p.report.Behind += s.behind()
	}
	if err := p.reg.ReportRebuild(ctx, p.report); err != nil {
		p.logger.Debug("progress of the rebuild not reported", zap.Error(err))
	}
}

func (p *progress) took() time.Duration { return time.Since(p.report.Began).Round(time.Millisecond) }

// topicScan reads one topic, each time from where it ended before.
type topicScan struct {
	topic string
	next  []int64 // by partition; nil before the first look
	ends  []int64 // as of the last look
}

// look asks how far the topic goes.
func (s *topicScan) look(ctx context.Context, log Scanner) error {
	ends, err := log.Ends(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("how far %s goes: %w", s.topic, err)
	}
	s.ends = make([]int64, len(ends))
	for partition, end := range ends {
		s.ends[partition] = end
	}
	s.next = append(s.next, make([]int64, max(len(ends)-len(s.next), 0))...) // a topic may get further partitions
	return nil
}

// behind is how many offsets are left of the last look.
func (s *topicScan) behind() int64 {
	var left int64
	for partition, end := range s.ends {
		left += max(end-s.next[partition], 0)
	}
	return left
}

// on hands what is new in the topic to fn, until it fails.
func (s *topicScan) on(ctx context.Context, log Scanner, fn func(*stream.Record) error) error {
	ranges := make([]stream.Range, len(s.next))
	for partition, from := range s.next {
		ranges[partition] = stream.Range{Partition: int32(partition), From: from, To: -1}
	}
	var failed error
	err := log.Scan(ctx, s.topic, ranges, func(rec *stream.Record) bool {
		s.next[rec.Partition] = rec.Offset + 1
		failed = fn(rec)
		return failed == nil
	})
	return errors.Join(failed, err)
}
