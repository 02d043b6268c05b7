package registry

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Applied is what an event did to bindings.
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

// tokenTTL is how long a token's owner is remembered after the last event that named it. An app names its token at each
// login, so a token that old has not been used.
const tokenTTL = 180 * 24 * time.Hour

// Apply applies device events in order: each aspect (binding, presence) keeps the newest EventTime, an equal one yields
// to the later event. The same event twice yields the same state and version. Answers stand in the order of the events.
// After an error apply the same events again. [ErrEmpty] = the view has to be rebuilt first, or versions would start
// anew.
func (r *Registry) Apply(ctx context.Context, events []DeviceEvent) ([]Applied, error) {
	applied := make([]Applied, len(events))
	calls := make([]*redis.StringCmd, len(events))
	now := r.opts.Now()
	for i := range events {
		if err := events[i].Validate(now); err != nil {
			return nil, fmt.Errorf("registry: apply: event %d: %w", i, err)
		}
		calls[i] = r.applyCall(ctx, &events[i])
	}
	answers, err := r.run(ctx, "apply", calls)
	if err != nil {
		return nil, err
	}
	for i, answer := range answers {
		if answer == "" {
			continue
		}
		e := &events[i] //nolint:gosec // one answer per event
		state, err := parseState(e.App, e.User, e.Device, answer)
		if err != nil {
			return nil, err
		}
		applied[i].States = []State{state}
	}
	return applied, r.takeTokens(ctx, events, applied)
}

// takeTokens gives each token that the events bring to its newest device and takes it from the others. It comes after
// the bindings are written: of two devices that claim at once, the one whose claim comes second sees the first, whose
// binding then stands already.
func (r *Registry) takeTokens(ctx context.Context, events []DeviceEvent, applied []Applied) error {
	var claims []*redis.StringCmd
	var claimers []int
	for i := range events {
		if e := &events[i]; e.hasToken() {
			claims = append(claims, r.ownCall(ctx, e.App, e.User, e.Device, *e.Token, e.EventTime))
			claimers = append(claimers, i)
		}
	}
	answers, err := r.run(ctx, "claim tokens", claims)
	if err != nil {
		return err
	}
	type loss struct {
		event        int
		user, device string
		own          bool
	}
	var losses []loss
	var strips []*redis.StringCmd
	strip := func(l loss, at string) {
		e := &events[l.event]
		losses = append(losses, l)
		strips = append(strips, r.scripts.strip.call(ctx, []string{userKey(userTag(e.App, l.user))}, l.device, *e.Token, at, ""))
	}
	for n, answer := range answers {
		e := &events[claimers[n]]
		verdict, rest, _ := strings.Cut(answer, record)
		if at, lost := strings.CutPrefix(verdict, "L"); lost {
			strip(loss{claimers[n], e.User, e.Device, true}, at)
			continue
		}
		for former := range strings.SplitSeq(rest, record) {
			if user, device, ok := strings.Cut(former, unit); ok {
				strip(loss{claimers[n], user, device, false}, strconv.FormatInt(e.EventTime.UnixMilli(), 10))
			}
		}
	}
	answers, err = r.run(ctx, "take tokens away", strips)
	if err != nil {
		return err
	}
	for n, answer := range answers {
		if answer == "" {
			continue
		}
		l := losses[n]
		state, err := parseState(events[l.event].App, l.user, l.device, answer)
		if err != nil {
			return err
		}
		states := &applied[l.event].States
		if l.own {
			*states = (*states)[:0]
		}
		*states = append(*states, state)
	}
	if len(strips) > 0 {
		newestStates(applied)
	}
	return nil
}

// newestStates lets no answer of a batch hold a binding as it was before a later step of the same batch changed it: the
// last one written to the registry topic is the one that stays.
func newestStates(applied []Applied) {
	type device struct{ app, user, device string }
	newest := make(map[device]State)
	for _, a := range applied {
		for _, s := range a.States {
			of := device{s.App, s.User, s.Device}
			known := newest[of]
			if cmp.Or(cmp.Compare(s.Binding.Version, known.Binding.Version), s.EventTime.Compare(known.EventTime)) > 0 {
				newest[of] = s
			}
		}
	}
	for _, a := range applied {
		for i, s := range a.States {
			a.States[i] = newest[device{s.App, s.User, s.Device}]
		}
	}
}

func (r *Registry) ownCall(ctx context.Context, app, user, device, token string, at time.Time) *redis.StringCmd {
	return r.scripts.own.call(ctx, []string{tokenKey(app, token)},
		at.UnixMilli(), user+unit+device, tokenTTL.Milliseconds())
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
		service = "0"
		if *e.Service {
			service = "1"
		}
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
