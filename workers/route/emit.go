package route

import (
	"context"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// emit hands on what was decided for one recipient.
func (r *Route) emit(ctx context.Context, j *job, user string, d registry.Decision) {
	if d.Status == registry.Duplicate {
		r.record(ctx, j, r.event(j.msg, j.key(d), user, "filter", push.ReasonDuplicate))
		return
	}
	key := j.key(d)
	if len(d.Devices) == 0 { // nobody ever logged in there
		r.record(ctx, j, r.event(j.msg, key, user, "filter", push.ReasonLoggedOut))
		return
	}
	for _, device := range d.Devices {
		if device.Push {
			r.push(ctx, j, target{key, user, d.Sound, device})
			continue
		}
		event := r.event(j.msg, key, user, "filter", device.Reason)
		event.Device, event.Platform = device.Device, string(device.Binding.Platform)
		r.record(ctx, j, event)
	}
}

// replace hands on what takes the place of a message that was pushed to one recipient.
func (r *Route) replace(ctx context.Context, j *job, user string, d registry.Decision) {
	for _, device := range d.Devices {
		if device.Push && j.shows(device.Binding) {
			r.push(ctx, j, target{j.key(d), user, d.Sound, device})
		}
	}
}

// shows says whether a push of the message stands on the device's screen until something takes its place: not the ringing
// of a call, and not what wakes the app.
func (j *job) shows(b push.Binding) bool {
	switch j.msg.Type() {
	case push.TypeBackground:
		return false
	case push.TypeVoIP:
		return b.VoIPToken == "" || b.Service
	}
	return true
}

// push hands on what one device gets.
func (r *Route) push(ctx context.Context, j *job, t target) {
	n := j.notification(t)
	event := r.event(j.msg, t.key, t.user, "push", t.device.Reason)
	event.Device, event.Platform, event.Id, event.Purpose = t.device.Device, string(n.Platform), n.ID, n.Purpose
	if !r.cfg.Platforms[n.Platform] {
		// It logged in before the configuration lost the platform: a login names a platform of this fleet.
		r.log.Error("device of a platform that this fleet does not serve", zap.String("platform", string(n.Platform)))
		event.Disposition, event.Reason, event.Id = "filter", string(push.ReasonNoToken), ""
		r.record(ctx, j, event)
		return
	}
	now := r.cfg.Now()
	meta := stream.Meta{ID: n.ID, Lane: r.lane(j, now), Attempt: 1, FirstSeen: now, Origin: j.msg.Origin}
	traceparent, _ := j.rec.Header(stream.HeaderTraceparent)
	meta.Traceparent = string(traceparent)
	r.publish(ctx, j, r.cfg.Topics.Work(n.Platform, meta.Lane), n, meta)
	if f := j.fallback(t, n); f != nil && r.cfg.Platforms[f.Platform] {
		topic := r.cfg.Topics.Work(f.Platform, meta.Lane)
		meta.ID = f.ID
		if f.Purpose == push.PurposeFallback {
			wait := j.policy.wait()
			topic, meta.NotBefore = r.cfg.Topics.Retry(f.Platform, r.cfg.Retry.Hop(wait)), now.Add(wait)
		}
		r.publish(ctx, j, topic, f, meta)
	}
	r.record(ctx, j, event)
}

func (r *Route) publish(ctx context.Context, j *job, topic string, n *push.Notification, meta stream.Meta) {
	r.pub.Publish(ctx, stream.Message{Topic: topic, Key: stream.DeviceKey(n.App, n.User, n.Device),
		Value: stream.EncodeNotification(n), Headers: meta.Headers(), Partition: stream.ByKey}, j.pending.Add())
}
