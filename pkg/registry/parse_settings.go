package registry

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Settings is what a settings event says: of the user, not of one device. What is nil stays as it is known.
type Settings struct {
	Push                 *bool
	SoundC2C, SoundGroup *string        // default sounds of one-to-one and group messages; "" = none
	Options              map[string]int // by conversation, c2c:<user> or group:<group>: 0 to 4
	QuietDaily           *QuietDaily    // the zero value = none
	QuietOnce            *QuietOnce     // the zero value = none
}

// QuietDaily is a window of every day in which nothing is pushed. It goes by the zone's clock: where the clock is set
// back or forward inside it, it still ends at the same time of day.
type QuietDaily struct {
	Start    int    // seconds after midnight
	Duration int    // seconds
	Zone     string // IANA name
}

// QuietOnce is one window in which nothing is pushed.
type QuietOnce struct {
	Start    time.Time // to the millisecond
	Duration int       // seconds
}

// Bounds of what settings may say.
const (
	maxOptions    = 2000 // a user; the one set longest ago gives way
	maxSound      = 128  // bytes
	maxOption     = 4
	maxC2COption  = 2 // the others are about mentions, which only groups know
	day           = 86400
	maxQuietOnce  = 31 * day
	maxQuietAhead = 366 * 24 * time.Hour // a window further ahead was given in a wrong unit
)

// parseSettings reads what a settings event says beside the fields that every event has.
func parseSettings(value []byte) (*Settings, error) {
	var raw struct {
		Push                  *bool
		Sounds                struct{ C2C, Group *string }
		ReceiveOptions        map[string]*int
		QuietDaily, QuietOnce jsontext.Value
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, withoutValues(err)
	}
	s := &Settings{Push: raw.Push, SoundC2C: raw.Sounds.C2C, SoundGroup: raw.Sounds.Group}
	if len(raw.ReceiveOptions) > 0 {
		s.Options = make(map[string]int, len(raw.ReceiveOptions))
		for conversation, option := range raw.ReceiveOptions {
			s.Options[conversation] = -1 // null says nothing
			if option != nil {
				s.Options[conversation] = *option
			}
		}
	}
	if raw.QuietDaily != nil {
		s.QuietDaily = new(QuietDaily)
		if raw.QuietDaily.Kind() != jsontext.KindNull {
			var window struct {
				Start, TimeZone string
				Duration        int
			}
			if err := json.Unmarshal(raw.QuietDaily, &window); err != nil {
				return nil, fmt.Errorf("QuietDaily: %w", withoutValues(err))
			}
			*s.QuietDaily = QuietDaily{parseClock(window.Start), window.Duration, window.TimeZone}
		}
	}
	if raw.QuietOnce != nil {
		s.QuietOnce = new(QuietOnce)
		if raw.QuietOnce.Kind() != jsontext.KindNull {
			var window struct {
				Start    int64
				Duration int
			}
			if err := json.Unmarshal(raw.QuietOnce, &window); err != nil {
				return nil, fmt.Errorf("QuietOnce: %w", withoutValues(err))
			}
			*s.QuietOnce = QuietOnce{time.UnixMilli(window.Start), window.Duration}
		}
	}
	return s, nil
}

// parseClock reads HH:MM or HH:MM:SS; -1 = it is neither.
func parseClock(s string) int {
	if len(s) == len("15:04") {
		s += ":00"
	}
	at, err := time.Parse(time.TimeOnly, s)
	if err != nil || len(s) != len(time.TimeOnly) {
		return -1
	}
	return (at.Hour()*60+at.Minute())*60 + at.Second()
}

// validate tells every mistake to problem, by field.
func (s *Settings) validate(now time.Time, problem func(field, what string)) {
	if s == nil || s.empty() {
		problem("Event", "settings that set nothing")
		return
	}
	for field, sound := range map[string]*string{"Sounds.C2C": s.SoundC2C, "Sounds.Group": s.SoundGroup} {
		if sound == nil {
			continue
		}
		if what := wrongText(*sound, 0, maxSound); what != "" {
			problem(field, what)
		}
	}
	if len(s.Options) > maxOptions {
		problem("ReceiveOptions", fmt.Sprintf("more than %d", maxOptions))
	} else {
		for _, conversation := range slices.Sorted(maps.Keys(s.Options)) {
			if what := wrongOption(conversation, s.Options[conversation]); what != "" {
				problem("ReceiveOptions", what)
				break // one says enough: there may be thousands
			}
		}
	}
	if q := s.QuietDaily; q != nil && *q != (QuietDaily{}) {
		if q.Start < 0 || q.Start >= day {
			problem("QuietDaily.Start", "has to be HH:MM or HH:MM:SS")
		}
		if q.Duration < 1 || q.Duration > day {
			problem("QuietDaily.Duration", "has to be 1 to "+strconv.Itoa(day)+" seconds")
		}
		if _, err := loadZone(q.Zone); err != nil {
			problem("QuietDaily.TimeZone", err.Error())
		}
	}
	if q := s.QuietOnce; q != nil && *q != (QuietOnce{}) {
		switch {
		case q.Start.Before(earliest):
			problem("QuietOnce.Start", "required, in milliseconds since 1970")
		case q.Start.After(now.Add(maxQuietAhead)):
			problem("QuietOnce.Start", "more than a year in the future")
		}
		if q.Duration < 1 || q.Duration > maxQuietOnce {
			problem("QuietOnce.Duration", "has to be 1 to "+strconv.Itoa(maxQuietOnce)+" seconds")
		}
	}
}

// general says whether the settings are about anything but receive options.
func (s *Settings) general() bool {
	return s.Push != nil || s.SoundC2C != nil || s.SoundGroup != nil || s.QuietDaily != nil || s.QuietOnce != nil
}

func (s *Settings) empty() bool { return !s.general() && len(s.Options) == 0 }

// wrongOption says what is wrong with a receive option; "" = nothing.
func wrongOption(conversation string, option int) string {
	kind, id, _ := strings.Cut(conversation, ":")
	most := maxOption
	switch kind {
	case "group":
	case "c2c":
		most = maxC2COption
	default:
		return "a conversation has to be c2c:<user> or group:<group>"
	}
	if what := wrongText(id, 1, maxID); what != "" {
		return "the id of a conversation: " + what
	}
	if option < 0 || option > most {
		return fmt.Sprintf("of a %s conversation has to be 0 to %d", kind, most)
	}
	return ""
}
