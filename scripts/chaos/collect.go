package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
	"github.com/pushfleet/pushfleet/scripts/chaos/check"
)

// collector reads what each topic got since it last looked.
type collector struct {
	cluster *stream.Cluster
	topics  stream.Topics
	read    map[string]map[int32]int64 // next offset, by topic and partition
}

func newCollector(cluster *stream.Cluster, topics stream.Topics) *collector {
	return &collector{cluster: cluster, topics: topics, read: map[string]map[int32]int64{}}
}

// each calls fn for every new record of a topic.
func (c *collector) each(ctx context.Context, topic string, fn func(*stream.Record) error) error {
	ends, err := c.cluster.Ends(ctx, topic)
	if err != nil {
		return err
	}
	var ranges []stream.Range
	for partition, end := range ends {
		ranges = append(ranges, stream.Range{Partition: partition, From: c.read[topic][partition], To: end})
	}
	var failed error
	err = c.cluster.Scan(ctx, topic, ranges, func(r *stream.Record) bool {
		failed = fn(r)
		return failed == nil
	})
	c.read[topic] = ends
	return errors.Join(err, failed)
}

const collectLimit = 2 * time.Minute

// collect fills in what the log holds of a phase.
func (c *collector) collect(ctx context.Context, in *check.Input) error {
	ctx, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	err := c.each(ctx, c.topics.Messages(), func(r *stream.Record) error {
		in.Records = append(in.Records, check.Record{Partition: r.Partition, Offset: r.Offset, Time: r.Time, Value: r.Value})
		return nil
	})
	if err != nil {
		return err
	}
	err = c.each(ctx, c.topics.Events(), func(r *stream.Record) error {
		var events schemasv1.Events
		if err := events.UnmarshalVT(r.Value); err != nil {
			return fmt.Errorf("record %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		for _, e := range events.GetEvents() {
			event := check.Event{MsgKey: e.GetMsgKey(), User: e.GetUser(), Device: e.GetDevice(),
				Disposition: e.GetDisposition(), Reason: e.GetReason(), Time: time.UnixMilli(e.GetTimeMs())}
			if ms := e.GetAdmittedMs(); ms > 0 {
				event.Admitted = time.UnixMilli(ms)
			}
			in.Events = append(in.Events, event)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, topic := range c.topics.Inputs() {
		err := c.each(ctx, c.topics.InputDead(topic), func(r *stream.Record) error {
			in.Dead = append(in.Dead, r.Value)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, p := range platforms {
		err := c.each(ctx, c.topics.Dead(p), func(*stream.Record) error {
			in.DeadOut++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
