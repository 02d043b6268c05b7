package operate

import (
	"slices"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// back is the record that a letter once was. A notification's redrive number grows with every time that it was sent back, so
// that admit takes it for a newer try and not for a repetition. A record of im.* says when and where it stood first, so that
// it is no younger for having been dead, and has the same message key.
func (d *DeadLetters) back(l Letter) stream.Message {
	t := d.topicOf(l)
	m := stream.Message{Topic: t.origin, Key: l.record.Key, Value: l.record.Value, Partition: stream.ByKey}
	if t.platform == "" {
		for _, h := range l.record.Headers {
			if !strings.HasPrefix(h.Key, "pf-") || h.Key == stream.HeaderFirstSeen || h.Key == stream.HeaderOrigin {
				m.Headers = append(m.Headers, h)
			}
		}
		return m
	}
	meta := stream.Meta{ID: l.meta.ID, Lane: l.meta.Lane, Attempt: 1, FirstSeen: l.meta.FirstSeen, Origin: l.meta.Origin,
		Traceparent: l.meta.Traceparent, Redrive: l.meta.Redrive + l.Redriven + 1}
	if !slices.Contains(push.Lanes, meta.Lane) {
		meta.Lane = push.LaneNormal
	}
	m.Topic, m.Headers = t.names.Work(t.platform, meta.Lane), meta.Headers()
	return m
}
