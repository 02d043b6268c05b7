package registry

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// tokenTTL is how long a token's owner is remembered after the last event that named it. An app names its token at each
// login, so a token that old has not been used.
const tokenTTL = 180 * 24 * time.Hour

// A namedToken is one token that an event or a state gives to a device.
type namedToken struct {
	value string
	kind  string // "" or kindVoIP, as the scripts call it
}

const kindVoIP = "voip"

// namedTokens are those of the two that are there.
func namedTokens(token, voip *string) []namedToken {
	var named []namedToken
	if token != nil && *token != "" {
		named = append(named, namedToken{value: *token})
	}
	if voip != nil && *voip != "" {
		named = append(named, namedToken{value: *voip, kind: kindVoIP})
	}
	return named
}

// key names the key that holds the token's owner. A token of one kind is never one of the other.
func (t namedToken) key(app string) string {
	value := sameToken(t.value)
	if t.kind != "" {
		return tokenKey(app, t.kind+"\x00"+value)
	}
	return tokenKey(app, value)
}

// sameToken is a token as it is compared with others. Apple's are bytes that an app writes down in hexadecimal, in small
// letters or in capitals; any other's letters count as they are (see same_token in device.lua).
func sameToken(token string) string {
	if strings.Trim(token, "0123456789abcdefABCDEF") != "" {
		return token
	}
	return strings.ToLower(token)
}

// A loss is a token that a device has no more because of an event.
type loss struct {
	event        int
	token        namedToken
	user, device string
}

// takeTokens gives each token that the events bring to its newest device and takes it from the others. It comes after
// the bindings are written: of two devices that claim at once, the one whose claim comes second sees the first, whose
// binding then stands already.
func (r *Registry) takeTokens(ctx context.Context, events []DeviceEvent, applied []Applied) error {
	var claims []*redis.StringCmd
	var claimers []loss // what each claim costs its own device where it fails
	for i := range events {
		e := &events[i]
		if e.Event != EventLogin && e.Event != EventToken {
			continue
		}
		for _, t := range namedTokens(e.Token, e.VoIPToken) {
			claims = append(claims, r.ownCall(ctx, e.App, e.User, e.Device, t, e.EventTime))
			claimers = append(claimers, loss{i, t, e.User, e.Device})
		}
	}
	answers, err := r.run(ctx, "claim tokens", claims)
	if err != nil {
		return err
	}
	var losses []loss
	var strips []*redis.StringCmd
	strip := func(l loss, at string) {
		losses = append(losses, l)
		strips = append(strips, r.scripts.strip.call(ctx, []string{userKey(userTag(events[l.event].App, l.user))},
			l.device, l.token.value, at, l.token.kind))
	}
	for n, answer := range answers {
		claimer := claimers[n]
		verdict, rest, _ := strings.Cut(answer, record)
		if at, lost := strings.CutPrefix(verdict, "L"); lost {
			strip(claimer, at)
			continue
		}
		at := strconv.FormatInt(events[claimer.event].EventTime.UnixMilli(), 10)
		for former := range strings.SplitSeq(rest, record) {
			if user, device, ok := strings.Cut(former, unit); ok {
				strip(loss{claimer.event, claimer.token, user, device}, at)
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
		applied[l.event].put(state)
	}
	if len(strips) > 0 {
		newestStates(applied)
	}
	return nil
}

// put adds a device's state, in place of the one that stands there of the same device.
func (a *Applied) put(state State) {
	for i := range a.States {
		if s := &a.States[i]; s.User == state.User && s.Device == state.Device {
			*s = state
			return
		}
	}
	a.States = append(a.States, state)
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

func (r *Registry) ownCall(ctx context.Context, app, user, device string, t namedToken, at time.Time) *redis.StringCmd {
	return r.scripts.own.call(ctx, []string{t.key(app)}, at.UnixMilli(), user+unit+device, tokenTTL.Milliseconds())
}
