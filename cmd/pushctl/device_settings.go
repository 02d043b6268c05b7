package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
)

// settingsEvent is a settings event as it stands in im.devices. Absent members stay as they are.
type settingsEvent struct {
	App        string         `json:"App,omitempty"`
	User       string         `json:"User"`
	Event      string         `json:"Event"`
	EventTime  int64          `json:"EventTime"` // ms
	Push       *bool          `json:"Push,omitempty"`
	Sounds     *sounds        `json:"Sounds,omitempty"`
	Options    map[string]int `json:"ReceiveOptions,omitempty"`
	QuietDaily any            `json:"QuietDaily,omitempty"` // quietDaily; noWindow ends it
	QuietOnce  any            `json:"QuietOnce,omitempty"`  // quietOnce; noWindow ends it
}

type sounds struct {
	C2C   *string `json:"C2C,omitempty"`
	Group *string `json:"Group,omitempty"`
}

type quietDaily struct {
	Start    string
	Duration int // seconds
	TimeZone string
}

type quietOnce struct {
	Start    int64 // ms
	Duration int   // seconds
}

// noWindow is null: a window that ends.
const noWindow = jsonNull("null")

type jsonNull string

// MarshalJSON makes it stand in the event, where an absent member would say nothing.
func (n jsonNull) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// wishes are the flags of device settings.
type wishes struct {
	push, soundC2C, soundGroup, quietDaily, quietOnce string
	options                                           []string
}

func (p *program) deviceSettings() *cobra.Command {
	var e settingsEvent
	var w wishes
	cmd := &cobra.Command{
		Use:   "settings USER",
		Short: "Show what a user has set, or set it: push, sounds, receive options, quiet hours",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.User = args[0]
			set, err := w.apply(&e, cmd.Flags().Changed, p.now())
			if err != nil {
				return err
			}
			if !set {
				return p.showSettings(cmd, e.App, e.User)
			}
			if e.App, err = p.app(e.App); err != nil {
				return err
			}
			e.Event = "settings"
			if e.EventTime == 0 {
				e.EventTime = p.now().UnixMilli()
			}
			if err := p.post(cmd, "/v1/devices/events", e); err != nil {
				return err
			}
			return p.showSettings(cmd, e.App, e.User)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&e.App, "app", "", "app (default: default_app of the configuration)")
	flags.Int64Var(&e.EventTime, "event-time", 0, "when it was set, in ms (default: now)")
	flags.StringVar(&w.push, "push", "", "on or off")
	flags.StringVar(&w.soundC2C, "sound-c2c", "", `default sound of one-to-one messages; "" clears it, push.no_sound is none`)
	flags.StringVar(&w.soundGroup, "sound-group", "", "the same for groups")
	flags.StringArrayVar(&w.options, "option", nil, "receive option of a conversation, as c2c:alice=2 or group:team=3; may be repeated")
	flags.StringVar(&w.quietDaily, "quiet-daily", "", "no push every day, as 22:00-06:00@Asia/Shanghai; none ends it")
	flags.StringVar(&w.quietOnce, "quiet-once", "", "no push from now on for a time, as 8h; none ends it")
	return cmd
}

// apply writes the flags that were given into the event, and says whether there were any.
func (w *wishes) apply(e *settingsEvent, given func(flag string) bool, now time.Time) (bool, error) {
	if given("push") {
		if w.push != "on" && w.push != "off" {
			return false, command.Usagef("--push is on or off")
		}
		on := w.push == "on"
		e.Push = &on
	}
	if given("sound-c2c") || given("sound-group") {
		e.Sounds = &sounds{}
		if given("sound-c2c") {
			e.Sounds.C2C = &w.soundC2C
		}
		if given("sound-group") {
			e.Sounds.Group = &w.soundGroup
		}
	}
	for _, text := range w.options {
		// A conversation's id may hold "=" itself.
		i := strings.LastIndexByte(text, '=')
		option, err := strconv.Atoi(text[i+1:])
		if i < 1 || err != nil {
			return false, command.Usagef("--option is CONVERSATION=NUMBER")
		}
		if e.Options == nil {
			e.Options = map[string]int{}
		}
		e.Options[text[:i]] = option
	}
	if given("quiet-daily") {
		window, err := parseDaily(w.quietDaily)
		if err != nil {
			return false, err
		}
		e.QuietDaily = window
	}
	if given("quiet-once") {
		e.QuietOnce = noWindow
		if w.quietOnce != "none" {
			d, err := time.ParseDuration(w.quietOnce)
			if err != nil || d < time.Second {
				return false, command.Usagef("--quiet-once is a time, as 8h, or none")
			}
			e.QuietOnce = quietOnce{now.UnixMilli(), int(d / time.Second)}
		}
	}
	return e.Push != nil || e.Sounds != nil || e.Options != nil || e.QuietDaily != nil || e.QuietOnce != nil, nil
}

// parseDaily reads START-END@ZONE, or none. An end at or before the start is on the next day.
func parseDaily(text string) (any, error) {
	if text == "none" {
		return noWindow, nil
	}
	hours, zone, _ := strings.Cut(text, "@")
	from, to, _ := strings.Cut(hours, "-")
	start, err1 := time.Parse("15:04", from)
	end, err2 := time.Parse("15:04", to)
	if err1 != nil || err2 != nil || zone == "" {
		return nil, command.Usagef("--quiet-daily is HH:MM-HH:MM@ZONE, or none")
	}
	if !end.After(start) {
		end = end.Add(24 * time.Hour)
	}
	return quietDaily{start.Format("15:04"), int(end.Sub(start) / time.Second), zone}, nil
}

func (p *program) showSettings(cmd *cobra.Command, app, user string) error {
	app, err := p.app(app)
	if err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var told json.RawMessage
	if err := api.call(cmd.Context(), http.MethodGet, "/v1/apps/"+segment(app)+"/users/"+segment(user)+"/settings", nil, &told); err != nil {
		return err
	}
	var s shownSettings
	if err := json.Unmarshal(told, &s); err != nil {
		return fmt.Errorf("the settings of the answer: %w", err)
	}
	t := p.table("USER", "PUSH", "SOUND_C2C", "SOUND_GROUP", "QUIET_DAILY", "QUIET_ONCE", "OPTIONS")
	if err := t.row(told, s.User, s.push(), s.Sounds.C2C, s.Sounds.Group, s.daily(), s.once(), s.options()); err != nil {
		return err
	}
	return t.end()
}

// shownSettings is what the table shows of a user's settings.
type shownSettings struct {
	User       string         `json:"user"`
	Push       bool           `json:"push"`
	Sounds     shownSounds    `json:"sounds"`
	Options    map[string]int `json:"receive_options"`
	QuietDaily *struct {
		Start    string `json:"start"`
		Duration int    `json:"duration"`
		TimeZone string `json:"time_zone"`
	} `json:"quiet_daily"`
	QuietOnce *struct {
		Start time.Time `json:"start"`
		Until time.Time `json:"until"`
	} `json:"quiet_once"`
}

type shownSounds struct {
	C2C   string `json:"c2c"`
	Group string `json:"group"`
}

func (s *shownSettings) push() string {
	if s.Push {
		return "on"
	}
	return "off"
}

func (s *shownSettings) daily() string {
	if s.QuietDaily == nil {
		return ""
	}
	q := s.QuietDaily
	return fmt.Sprintf("%s for %s, %s", q.Start, time.Duration(q.Duration)*time.Second, q.TimeZone)
}

func (s *shownSettings) once() string {
	if s.QuietOnce == nil {
		return ""
	}
	return s.QuietOnce.Start.Format(time.RFC3339) + " to " + s.QuietOnce.Until.Format(time.RFC3339)
}

func (s *shownSettings) options() string {
	texts := make([]string, 0, len(s.Options))
	for _, conversation := range slices.Sorted(maps.Keys(s.Options)) {
		texts = append(texts, fmt.Sprintf("%s=%d", conversation, s.Options[conversation]))
	}
	return strings.Join(texts, " ")
}
