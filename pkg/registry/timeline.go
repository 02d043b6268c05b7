package registry

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// TimelineEntry is one step of a message's way.
type TimelineEntry = *schemasv1.Event

// timelineEntries bounds one message's timeline; a big group's has its newest ones.
const timelineEntries = 1000

// AppendTimeline adds entries to the timelines of their messages, in order. Entries without app or message key are left
// out. An entry that is appended twice shows once.
func (r *Registry) AppendTimeline(ctx context.Context, entries []TimelineEntry) error {
	type timeline struct {
		key    string
		values []any
	}
	var timelines []*timeline
	byKey := make(map[string]*timeline)
	for _, e := range entries {
		if e.App == "" || e.MsgKey == "" {
			continue
		}
		value, err := e.MarshalVT()
		if err != nil {
			return fmt.Errorf("registry: timeline: %w", err)
		}
		key := timelineKey(e.App, e.MsgKey)
		t := byKey[key]
		if t == nil {
			t = &timeline{key: key}
			byKey[key], timelines = t, append(timelines, t)
		}
		t.values = append(t.values, value)
	}
	if len(timelines) == 0 {
		return nil
	}
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, t := range timelines {
			pipe.RPush(ctx, t.key, t.values...)
			pipe.LTrim(ctx, t.key, -timelineEntries, -1)
			pipe.PExpire(ctx, t.key, r.opts.TimelineTTL)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("registry: append to the timeline: %w", err)
	}
	return nil
}

// Timeline returns what is known of a message's way, in the order in which it was appended; none = nothing known.
func (r *Registry) Timeline(ctx context.Context, app, msgKey string) ([]TimelineEntry, error) {
	values, err := r.client.LRange(ctx, timelineKey(app, msgKey), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("registry: read the timeline: %w", err)
	}
	entries := make([]TimelineEntry, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, value := range values {
		if seen[value] {
			continue
		}
		seen[value] = true
		e := new(schemasv1.Event)
		if err := e.UnmarshalVT([]byte(value)); err != nil {
			return nil, fmt.Errorf("registry: read the timeline: %w", err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
