package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// State is the full binding of one device, as the compacted registry topic keeps it.
type State struct {
	App, User, Device string
	Binding           push.Binding
	LoggedOut         bool
	EventTime         time.Time // of the newest event of the binding
}

// Record is the state as a record of the registry topic.
func (s *State) Record() *schemasv1.DeviceState {
	return &schemasv1.DeviceState{
		App: s.App, User: s.User, Device: s.Device,
		Platform: string(s.Binding.Platform), Token: s.Binding.Token, Credential: s.Binding.Credential,
		Language: s.Binding.Language, Version: s.Binding.Version,
		LoggedOut: s.LoggedOut, EventTimeMs: s.EventTime.UnixMilli(),
		VoipToken: s.Binding.VoIPToken, Service: s.Binding.Service,
	}
}

// StateOf is the state that a record of the registry topic holds.
func StateOf(d *schemasv1.DeviceState) State {
	return State{
		App: d.App, User: d.User, Device: d.Device,
		Binding: push.Binding{
			Platform: push.Platform(d.Platform), Token: d.Token, Credential: d.Credential,
			Language: d.Language, Version: d.Version, VoIPToken: d.VoipToken, Service: d.Service,
		},
		LoggedOut: d.LoggedOut, EventTime: time.UnixMilli(d.EventTimeMs),
	}
}

// validate keeps what would break the packed records out of Redis.
func (s *State) validate() error {
	for _, f := range []struct {
		name, value string
		least, most int
	}{
		{"app", s.App, 1, maxID},
		{"user", s.User, 1, maxID},
		{"device", s.Device, 1, maxID},
		{"token", s.Binding.Token, 0, maxToken},
		{"VoIP token", s.Binding.VoIPToken, 0, maxToken},
		{"credential", s.Binding.Credential, 0, maxCredential},
		{"language", s.Binding.Language, 0, maxLanguage},
	} {
		if what := wrongText(f.value, f.least, f.most); what != "" {
			return fmt.Errorf("%s: %s", f.name, what)
		}
	}
	if p := string(s.Binding.Platform); p != "" && !platformName.MatchString(p) {
		return errors.New("platform: not a name")
	}
	if s.Binding.Version < 1 || s.EventTime.UnixMilli() < 1 {
		return errors.New("version and event time are required")
	}
	return nil
}

// parseState reads event time, state, version and the rest of the binding.
func parseState(app, user, device, packed string) (State, error) {
	at, rest, _ := strings.Cut(packed, unit)
	state, rest, _ := strings.Cut(rest, unit)
	ms, err := strconv.ParseInt(at, 10, 64)
	binding, ok := parseBinding(rest)
	if err != nil || !ok {
		return State{}, fmt.Errorf("registry: a device's state of %d bytes: %w", len(packed), ErrMalformed)
	}
	return State{
		App: app, User: user, Device: device,
		Binding: binding, LoggedOut: state == "o", EventTime: time.UnixMilli(ms),
	}, nil
}

// Restore writes states that were lost: each only where Redis knows nothing newer (by event time, then version), so that
// it may run next to [Registry.Apply], be repeated, and read the states in any order. A state that could not have been
// written by Apply is logged and left out: one bad record must not keep the registry empty for ever.
func (r *Registry) Restore(ctx context.Context, states []State) error {
	calls := make([]*redis.StringCmd, 0, 2*len(states))
	for i := range states {
		s := &states[i]
		if err := s.validate(); err != nil {
			r.opts.Logger.Error("state left out of the restored registry", zap.Error(err))
			continue
		}
		login := "i"
		if s.LoggedOut {
			login = "o"
		}
		b := &s.Binding
		calls = append(calls, r.scripts.restore.call(ctx, []string{userKey(userTag(s.App, s.User))},
			s.Device, s.EventTime.UnixMilli(), login, b.Version, packPlatform(b), b.Credential, b.Language, packTokens(b), maxDevices))
		if !s.LoggedOut {
			for _, t := range namedTokens(&b.Token, &b.VoIPToken) {
				calls = append(calls, r.ownCall(ctx, s.App, s.User, s.Device, t, s.EventTime))
			}
		}
	}
	_, err := r.run(ctx, "restore", calls)
	return err
}

// Device is what may be shown of one device: never its tokens.
type Device struct {
	Device        string
	Binding       push.Binding // its Token and VoIPToken are always ""
	TokenHash     string       // see TokenHash; "" = no token
	VoIPTokenHash string
	LoggedOut     bool
	BoundAt       time.Time   // event time of the binding; zero = only presence is known
	Presence      push.Reason // foreground, background or killed, as of now, whatever the binding says
	Filter        push.Reason // why the device would get no push of a message now, whatever its user's settings say; "" = it would
	// The newest event of each kind, and what the lease is counted from; zero = none.
	Foreground, Background, Killed, Lease time.Time
	Badge                                 int // number on the icon; 0 = none
}

// Devices returns a user's devices by id, for people to look at.
func (r *Registry) Devices(ctx context.Context, app, user string) ([]Device, error) {
	now, activity, lease := r.clockArgs()
	answers, err := r.run(ctx, "devices", []*redis.StringCmd{
		r.scripts.show.call(ctx, []string{userKey(userTag(app, user))}, now, activity, lease),
	})
	if err != nil || answers[0] == "" {
		return nil, err
	}
	var devices []Device
	for item := range strings.SplitSeq(answers[0][1:], record) {
		d, err := parseDevice(item)
		if err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b Device) int { return strings.Compare(a.Device, b.Device) })
	return devices, nil
}

// parseDevice reads presence and reason codes, device id, the presence's times and the state.
func parseDevice(item string) (Device, error) {
	f := strings.SplitN(item, unit, 8)
	if len(f) < 8 || len(f[0]) != 2 {
		return Device{}, fmt.Errorf("registry: devices: a device of %d bytes: %w", len(item), ErrMalformed)
	}
	d := Device{
		Device: f[1], Presence: reasonOf(f[0][:1]), Filter: reasonOf(f[0][1:]),
		Foreground: parseTime(f[2]), Lease: parseTime(f[3]), Background: parseTime(f[4]), Killed: parseTime(f[5]),
		Badge: max(parseBadge(f[6]), 0),
	}
	if d.Filter == push.ReasonBackground || d.Filter == push.ReasonKilled {
		d.Filter = ""
	}
	if strings.HasPrefix(f[7], unit) { // no binding
		d.Filter = push.ReasonNoToken
		return d, nil
	}
	state, err := parseState("", "", "", f[7])
	if err != nil {
		return Device{}, err
	}
	d.Binding, d.LoggedOut, d.BoundAt = state.Binding, state.LoggedOut, state.EventTime
	d.TokenHash, d.Binding.Token = TokenHash(state.Binding.Token), ""
	d.VoIPTokenHash, d.Binding.VoIPToken = TokenHash(state.Binding.VoIPToken), ""
	return d, nil
}

func parseTime(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
