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

	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Settings returns a user's settings, for people to look at; nil where none were ever set.
func (r *Registry) Settings(ctx context.Context, app, user string) (*schemasv1.UserState, error) {
	answers, err := r.run(ctx, "settings", []*redis.StringCmd{r.settingsShowCall(ctx, userTag(app, user))})
	if err != nil || answers[0] == "" {
		return nil, err
	}
	return parseSettingsState(app, user, answers[0])
}

// RestoreSettings writes settings that were lost, where Redis knows nothing newer: the general part and each option by
// their own event times, of equal ones the later call's. A state that could not have been written by Apply is logged and
// left out, and a quiet window in a time zone that is not known here is off until it is.
func (r *Registry) RestoreSettings(ctx context.Context, states []*schemasv1.UserState) error {
	now := r.opts.Now()
	calls := make([]*redis.StringCmd, 0, len(states))
	for _, s := range states {
		if err := validateSettingsState(s); err != nil {
			r.opts.Logger.Error("settings left out of the restored registry", zap.Error(err))
			continue
		}
		calls = append(calls, r.settingsRestoreCall(ctx, s, now))
	}
	_, err := r.run(ctx, "restore settings", calls)
	return err
}

// settingsOf reads the settings of the users whose events, at these positions, concerned them. Each user is read once,
// after all events of the batch: the newest state is the one to be written.
func (r *Registry) settingsOf(ctx context.Context, events []DeviceEvent, concerned []int, applied []Applied) error {
	var calls []*redis.StringCmd
	var first []int
	reads := make(map[string]int)
	for _, i := range concerned {
		tag := userTag(events[i].App, events[i].User)
		if _, ok := reads[tag]; !ok {
			reads[tag] = len(calls)
			calls, first = append(calls, r.settingsShowCall(ctx, tag)), append(first, i)
		}
	}
	answers, err := r.run(ctx, "read settings", calls)
	if err != nil {
		return err
	}
	states := make([]*schemasv1.UserState, len(answers))
	for n, answer := range answers {
		e := &events[first[n]]
		if states[n], err = parseSettingsState(e.App, e.User, answer); err != nil {
			return err
		}
	}
	for _, i := range concerned {
		applied[i].Settings = states[reads[userTag(events[i].App, events[i].User)]]
	}
	return nil
}

func (r *Registry) settingsShowCall(ctx context.Context, tag string) *redis.StringCmd {
	return r.scripts.settingsShow.call(ctx, []string{settingsKey(tag)}, "")
}

// settingsCall is what a settings event does.
func (r *Registry) settingsCall(ctx context.Context, e *DeviceEvent, now time.Time) *redis.StringCmd {
	s, tag := e.Settings, userTag(e.App, e.User)
	general := keptGeneral()
	if s.Push != nil {
		general[0] = bit(*s.Push)
	}
	general[1], general[2] = orKeep(s.SoundC2C), orKeep(s.SoundGroup)
	if q := s.QuietDaily; q != nil {
		r.setDaily(general, q, now)
	}
	if q := s.QuietOnce; q != nil {
		general[8], general[9] = "", ""
		if q.Duration > 0 {
			general[8], general[9] = q.Start.UnixMilli(), q.Start.UnixMilli()+int64(q.Duration)*1000
		}
	}
	at := e.EventTime.UnixMilli()
	args := append([]any{at}, append(general, maxOptions)...)
	for conversation, option := range s.Options {
		args = append(args, conversation, option, at)
	}
	return r.scripts.settingsApply.call(ctx, []string{settingsKey(tag), r.markers.of(tag)}, args...)
}

func (r *Registry) settingsRestoreCall(ctx context.Context, s *schemasv1.UserState, now time.Time) *redis.StringCmd {
	general := keptGeneral()
	if s.EventTimeMs > 0 {
		general = []any{bit(!s.PushOff), s.SoundC2C, s.SoundGroup, "", "", "", "", "", "", ""}
		if q := s.QuietDaily; q != nil {
			r.setDaily(general, &QuietDaily{int(q.StartS), int(q.DurationS), q.TimeZone}, now)
		}
		if q := s.QuietOnce; q != nil {
			general[8], general[9] = q.StartMs, q.UntilMs
		}
	}
	args := append([]any{s.EventTimeMs}, append(general, maxOptions)...)
	for _, o := range s.Options {
		args = append(args, o.Conversation, o.Option, o.EventTimeMs)
	}
	return r.scripts.settingsApply.call(ctx, []string{settingsKey(userTag(s.App, s.User))}, args...)
}

// keptGeneral are the ten general values after the event time (see settings.lua), each as it is.
func keptGeneral() []any {
	return []any{unit, unit, unit, unit, unit, unit, unit, unit, unit, unit}
}

// setDaily writes the daily window, or its absence, into the general values.
func (r *Registry) setDaily(general []any, q *QuietDaily, now time.Time) {
	if q.Duration == 0 {
		general[3], general[4], general[5], general[6], general[7] = "", "", "", "", ""
		return
	}
	o := r.offsetOrOff(q.Zone, now)
	general[3], general[4], general[5], general[6], general[7] = q.Start, q.Duration, q.Zone, o.offset, o.until
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// parseSettingsState reads the packed general values and the options.
func parseSettingsState(app, user, packed string) (*schemasv1.UserState, error) {
	malformed := func() (*schemasv1.UserState, error) {
		return nil, fmt.Errorf("registry: a user's settings of %d bytes: %w", len(packed), ErrMalformed)
	}
	general, options, _ := strings.Cut(packed, record)
	f := strings.Split(general, unit)
	if len(f) != generalFields {
		return malformed()
	}
	var bad bool
	number := func(s string) int64 {
		if s == "" {
			return 0
		}
		n, err := strconv.ParseInt(s, 10, 64)
		bad = bad || err != nil
		return n
	}
	s := &schemasv1.UserState{
		App: app, User: user, EventTimeMs: number(f[0]), PushOff: f[1] == "0", SoundC2C: f[2], SoundGroup: f[3],
	}
	if f[generalZone] != "" {
		s.QuietDaily = &schemasv1.QuietDaily{StartS: int32(number(f[4])), DurationS: int32(number(f[5])), TimeZone: f[generalZone]}
	}
	if f[10] != "" {
		s.QuietOnce = &schemasv1.QuietOnce{StartMs: number(f[9]), UntilMs: number(f[10])}
	}
	if options != "" {
		s.Options = make([]*schemasv1.ReceiveOption, 0, strings.Count(options, record)+1)
		for item := range strings.SplitSeq(options, record) {
			conversation, rest, _ := strings.Cut(item, unit)
			option, at, ok := strings.Cut(rest, unit)
			bad = bad || !ok
			s.Options = append(s.Options, &schemasv1.ReceiveOption{
				Conversation: conversation, Option: int32(number(option)), EventTimeMs: number(at),
			})
		}
		slices.SortFunc(s.Options, func(a, b *schemasv1.ReceiveOption) int {
			return strings.Compare(a.Conversation, b.Conversation)
		})
	}
	if bad {
		return malformed()
	}
	return s, nil
}

// validateSettingsState keeps what would break the packed values out of Redis.
func validateSettingsState(s *schemasv1.UserState) error {
	var errs []error
	problem := func(field, what string) { errs = append(errs, fmt.Errorf("%s: %s", field, what)) }
	for _, f := range []struct {
		name, value string
		least, most int
	}{
		{"app", s.App, 1, maxID},
		{"user", s.User, 1, maxID},
		{"sound_c2c", s.SoundC2C, 0, maxSound},
		{"sound_group", s.SoundGroup, 0, maxSound},
	} {
		if what := wrongText(f.value, f.least, f.most); what != "" {
			problem(f.name, what)
		}
	}
	if s.EventTimeMs < 0 {
		problem("event_time_ms", "negative")
	}
	if q := s.QuietDaily; q != nil {
		if q.StartS < 0 || q.StartS >= day || q.DurationS < 1 || q.DurationS > day {
			problem("quiet_daily", "longer than a day")
		}
		if what := wrongText(q.TimeZone, 1, maxZone); what != "" {
			problem("quiet_daily.time_zone", what)
		}
	}
	if q := s.QuietOnce; q != nil && (q.StartMs < 1 || q.UntilMs < q.StartMs) {
		problem("quiet_once", "without a start, or ends before it")
	}
	if len(s.Options) > maxOptions {
		problem("options", "too many")
	}
	for _, o := range s.Options {
		if what := wrongOption(o.Conversation, int(o.Option)); what != "" || o.EventTimeMs < 1 {
			problem("options", "one that cannot be set")
			break
		}
	}
	return errors.Join(errs...)
}
