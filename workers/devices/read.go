package devices

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Refusals of what the configuration does not know.
var (
	ErrUnknownApp        = errors.New("app is not configured")
	ErrUnknownCredential = errors.New("credential is not one of the app's on this platform")
)

func readEvent(rec *stream.Record, cfg Config) (registry.DeviceEvent, error) {
	return Read(rec.Value, cfg)
}

// Read parses a device event and checks what only this fleet's configuration knows.
func Read(value []byte, cfg Config) (registry.DeviceEvent, error) {
	event, err := registry.ParseDeviceEvent(value, cfg.Now())
	if err != nil {
		return event, err
	}
	if !cfg.Apps[event.App] {
		return event, ErrUnknownApp
	}
	if event.Platform == "" {
		return event, nil
	}
	if !cfg.Platforms[event.Platform] {
		return event, errors.New("platform is not one of this fleet")
	}
	for _, token := range []*string{event.Token, event.VoIPToken} {
		if token == nil || *token == "" {
			continue
		}
		if err := cfg.CheckToken(event.Platform, *token); err != nil {
			return event, err
		}
	}
	if event.Credential != nil && !cfg.KnownCredential(event.App, event.Platform, *event.Credential) {
		return event, ErrUnknownCredential
	}
	return event, nil
}

// ReadMembership parses a record of im.groups. The key has to name the membership that the value tells of: the topic is
// compacted by it, and a record under another's key would take that one's place.
func ReadMembership(rec *stream.Record, cfg Config) (registry.Membership, error) {
	ids, err := stream.SplitKey(rec.Key)
	if err != nil {
		return registry.Membership{}, err
	}
	if len(ids) != 3 {
		return registry.Membership{}, errors.New("key: has to be app|group|user")
	}
	m := registry.Membership{App: ids[0], Group: ids[1], User: ids[2]}
	if value := bytes.TrimSpace(rec.Value); len(value) == 0 || string(value) == "null" {
		m.Left = said(rec)
	} else {
		parsed, err := registry.ParseMembership(value, cfg.Now())
		if err != nil {
			return m, err
		}
		if parsed.App != m.App || parsed.Group != m.Group || parsed.User != m.User {
			return m, errors.New("key: is not App|Group|User of the value")
		}
		if m.Joined = parsed.Joined; m.Joined.IsZero() {
			m.Joined = said(rec)
		}
	}
	if err := m.Validate(cfg.Now()); err != nil {
		return m, fmt.Errorf("membership: %w", err)
	}
	if !cfg.Apps[m.App] {
		return m, ErrUnknownApp
	}
	return m, nil
}

// said is when a record was produced, in milliseconds; of one that an operator sent back, when it was produced first.
func said(rec *stream.Record) time.Time {
	if first, _, ok := rec.SentBack(); ok {
		return first
	}
	return time.UnixMilli(rec.Time.UnixMilli())
}

// ReadReceipt parses a record of im.receipts.
func ReadReceipt(rec *stream.Record, cfg Config) (registry.Receipt, error) {
	r, err := registry.ParseReceipt(rec.Value, cfg.Now())
	if err == nil && !cfg.Apps[r.App] {
		err = ErrUnknownApp
	}
	return r, err
}

func (d *Devices) dead(ctx context.Context, j job, cause error) {
	reason := push.ReasonInvalidMessage
	switch {
	case errors.Is(cause, ErrUnknownApp):
		reason = push.ReasonUnknownApp
	case errors.Is(cause, ErrUnknownCredential):
		reason = push.ReasonUnknownCredential
	}
	rec, now := j.rec, d.cfg.Now()
	d.log.Warn("record to the dead topic", zap.String("reason", string(reason)), zap.Error(cause),
		zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset))
	d.pub.Publish(ctx, stream.DeadInput(d.cfg.Topics, rec, reason, cause.Error(), now), j.pending.Add())
	d.events.Record(ctx, &schemasv1.Event{MsgKey: "at:" + rec.Origin(), Disposition: push.Dead.String(), Reason: string(reason),
		Answer: cause.Error(), TimeMs: now.UnixMilli(), ReceivedMs: rec.Time.UnixMilli()}, j.pending.Add())
	j.pending.Done(nil)
}
