package registry

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Applied is what an event did to bindings and settings.
type Applied struct {
	// States holds the full state of every binding that the event concerns, to be written to the registry topic: the
	// device's own, and those of devices that its token belonged to before. They stand here too when nothing changed
	// because the event was applied before, so that a repeat after a crash writes what the first time could not. None
	// for events of presence alone, and for events older than the binding.
	States []State
	// Settings is the user's full settings, to be written to the registry topic; nil where the event is not about them or
	// older than all that it sets.
	Settings *schemasv1.UserState
}

// maxDevices bounds one user's devices. A new one beyond takes the place of the one whose last event is the oldest.
const maxDevices = 100

// Apply applies device events in order: each aspect (binding, presence, settings, each receive option) keeps the newest
// EventTime, an equal one yields to the later event. The same event twice yields the same state and version. Answers stand
// in the order of the events; where several of a batch concern one user's settings, each holds them as they are after the
// last. After an error apply the same events again. [ErrEmpty] = the view has to be rebuilt first, or versions would start
// anew.
func (r *Registry) Apply(ctx context.Context, events []DeviceEvent) ([]Applied, error) {
	applied := make([]Applied, len(events))
	calls := make([]*redis.StringCmd, len(events))
	now := r.opts.Now()
	for i := range events {
		if err := events[i].Validate(now); err != nil {
			return nil, fmt.Errorf("registry: apply: event %d: %w", i, err)
		}
		if events[i].Event == EventSettings {
			calls[i] = r.settingsCall(ctx, &events[i], now)
		} else {
			calls[i] = r.applyCall(ctx, &events[i])
		}
	}
	answers, err := r.run(ctx, "apply", calls)
	if err != nil {
		return nil, err
	}
	var settings []int
	for i, answer := range answers {
		if answer == "" {
			continue
		}
		e := &events[i] //nolint:gosec // one answer per event
		if e.Event == EventSettings {
			settings = append(settings, i)
			continue
		}
		state, err := parseState(e.App, e.User, e.Device, answer)
		if err != nil {
			return nil, err
		}
		applied[i].States = []State{state}
	}
	if err := r.settingsOf(ctx, events, settings, applied); err != nil {
		return nil, err
	}
	return applied, r.takeTokens(ctx, events, applied)
}

// applyCall translates an event into what it does to presence and binding.
func (r *Registry) applyCall(ctx context.Context, e *DeviceEvent) *redis.StringCmd {
	presence, binding := "", ""
	switch e.Event {
	case EventLogin:
		presence, binding = "f", "login"
	case EventToken:
		binding = "token"
	case EventLogout, EventKicked:
		binding = "logout"
	case EventTokenRejected:
		binding = "rejected"
		if e.PushType == push.TypeVoIP {
			binding = "rejected voip"
		}
	case EventForeground:
		presence = "f"
	case EventBackground:
		presence = "b"
	case EventKilled:
		presence = "k"
	case EventHeartbeat:
		switch e.State {
		case StateForeground:
			presence = "f"
		case StateBackground:
			presence = "b"
		default:
			presence = "l"
		}
	}
	unread := ""
	if e.Unread != nil {
		unread = strconv.Itoa(*e.Unread)
	}
	tag := userTag(e.App, e.User)
	service := unit
	if e.Service != nil {
		service = bit(*e.Service)
	}
	args := []any{
		e.Device, e.EventTime.UnixMilli(), presence, unread, binding, e.Version, string(e.Platform),
		service, orKeep(e.Credential), orKeep(e.Language), orKeep(e.Token), orKeep(e.VoIPToken), maxDevices,
	}
	return r.scripts.apply.call(ctx, []string{userKey(tag), r.markers.of(tag), badgePrefix(tag) + e.Device}, args...)
}

// orKeep is a script's way to say that a field stays as it is.
func orKeep(s *string) string {
	if s == nil {
		return unit
	}
	return *s
}
