package registry

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// EventKind names what happened to a device.
type EventKind string

// The events.
const (
	EventLogin         EventKind = "login"
	EventToken         EventKind = "token"
	EventBackground    EventKind = "background"
	EventForeground    EventKind = "foreground"
	EventHeartbeat     EventKind = "heartbeat"
	EventKilled        EventKind = "killed"
	EventLogout        EventKind = "logout"
	EventKicked        EventKind = "kicked"
	EventSettings      EventKind = "settings"
	EventTokenRejected EventKind = "token_rejected"
)

// The states that a heartbeat may carry.
const (
	StateForeground = "foreground"
	StateBackground = "background"
)

// DeviceEvent is one record of the device and presence topics. A nil pointer = the field was absent and what is known
// stays.
type DeviceEvent struct {
	App, User, Device string // settings are the user's: no Device
	Event             EventKind
	EventTime         time.Time     // when it happened, to the millisecond
	Platform          push.Platform // login, token; "" = as known
	Token             *string       // login, token; "" = push is off
	Credential        *string       // login, token
	Language          *string       // login, token
	VoIPToken         *string       // login, token: where calls go on Apple's devices; "" = nowhere
	Service           *bool         // login, token: the device's own service takes offline messages
	Unread            *int          // foreground, background: the number on the icon from now on
	State             string        // heartbeat: foreground, background; "" = as known
	Version           int64         // token_rejected: the binding that the provider refused
	Reason            push.Reason   // token_rejected
	PushType          push.Type     // token_rejected: push.TypeVoIP = the VoIP token, else the token
	Settings          *Settings     // settings
}

// Bounds of what an event may carry, in bytes.
const (
	maxID         = 128
	maxToken      = 4096 // FCM tokens have a few hundred bytes and no promised length
	maxCredential = 128
	maxLanguage   = 64 // BCP 47 with every extension in use is shorter
	maxReason     = 64
	maxUnread     = 1_000_000_000 // fits every provider's 32-bit badge with room to count on
)

// maxAhead is how far ahead of our clock an event may claim to be: beyond it a wrong clock would silence every later
// event of the device.
const maxAhead = 24 * time.Hour

// earliest is the oldest believable EventTime: an earlier one was given in seconds.
var earliest = time.UnixMilli(1_000_000_000_000) // September 2001

// A platform becomes part of topic names and metric labels.
var platformName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// ParseDeviceEvent reads the JSON of one device event; now bounds its EventTime. Unknown fields are ignored, fields that
// do not belong to the event too. The error says every mistake, naming the field, and quotes no value.
func ParseDeviceEvent(value []byte, now time.Time) (DeviceEvent, error) {
	var raw struct {
		App, User, Device, Event string
		EventTime                int64
		Platform                 string
		Token, VoIPToken         *string
		Credential, Language     *string
		Service                  *bool
		Unread                   *int
		State                    string
		Version                  int64
		Reason, PushType         string
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return DeviceEvent{}, fmt.Errorf("device event: %w", withoutValues(err))
	}
	e := DeviceEvent{
		App: raw.App, User: raw.User, Device: raw.Device, Event: EventKind(raw.Event),
		EventTime: time.UnixMilli(raw.EventTime),
	}
	switch e.Event {
	case EventLogin, EventToken:
		e.Platform, e.Token = push.Platform(raw.Platform), raw.Token
		e.Credential, e.Language = unlessEmpty(raw.Credential), unlessEmpty(raw.Language)
		e.VoIPToken, e.Service = raw.VoIPToken, raw.Service
	case EventForeground, EventBackground:
		e.Unread = raw.Unread
	case EventHeartbeat:
		e.State = raw.State
	case EventTokenRejected:
		e.Version, e.Reason, e.PushType = raw.Version, push.Reason(raw.Reason), push.Type(raw.PushType)
		if e.PushType == "alert" {
			e.PushType = push.TypeAlert
		}
	case EventSettings:
		e.Device = ""
		var err error
		if e.Settings, err = parseSettings(value); err != nil {
			return DeviceEvent{}, fmt.Errorf("device event: %w", err)
		}
	}
	if err := e.Validate(now); err != nil {
		return DeviceEvent{}, fmt.Errorf("device event: %w", err)
	}
	return e, nil
}

// unlessEmpty treats an empty string as an absent one.
func unlessEmpty(s *string) *string {
	if s != nil && *s == "" {
		return nil
	}
	return s
}

// withoutValues says where JSON is wrong without what stands there.
func withoutValues(err error) error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Errorf("%s: not of the right type", fieldOf(semantic.JSONPointer))
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not valid JSON at byte %d", syntax.ByteOffset)
	}
	return errors.New("not valid JSON")
}

// fieldOf is the field at the top of the event: below it the names too may be somebody's.
func fieldOf(pointer jsontext.Pointer) string {
	for field := range pointer.Tokens() {
		return field
	}
	return "value"
}

// Validate says every mistake of the event, joined, each naming its field.
func (e *DeviceEvent) Validate(now time.Time) error {
	var errs []error
	problem := func(field, what string) { errs = append(errs, fmt.Errorf("%s: %s", field, what)) }
	check := func(field, value string, least, most int) {
		if what := wrongText(value, least, most); what != "" {
			problem(field, what)
		}
	}
	optional := func(field string, value *string, most int) {
		if value != nil {
			check(field, *value, 0, most)
		}
	}
	check("App", e.App, 1, maxID)
	check("User", e.User, 1, maxID)
	if e.Event != EventSettings {
		check("Device", e.Device, 1, maxID)
	}
	switch {
	case e.EventTime.UnixMilli() == 0 || e.EventTime.IsZero():
		problem("EventTime", "required, in milliseconds")
	case e.EventTime.Before(earliest):
		problem("EventTime", "too long ago: it is in milliseconds since 1970")
	case e.EventTime.Sub(now) > maxAhead:
		problem("EventTime", "more than a day in the future")
	}
	optional("Token", e.Token, maxToken)
	optional("VoIPToken", e.VoIPToken, maxToken)
	optional("Credential", e.Credential, maxCredential)
	optional("Language", e.Language, maxLanguage)
	check("Reason", string(e.Reason), 0, maxReason)
	if e.Platform != "" && !platformName.MatchString(string(e.Platform)) {
		problem("Platform", "has to be lower-case letters, digits, - and _, 32 at most")
	}
	if e.Unread != nil && (*e.Unread < 0 || *e.Unread > maxUnread) {
		problem("Unread", fmt.Sprintf("has to be 0 to %d", maxUnread))
	}
	switch e.Event {
	case EventLogin:
		if e.Token != nil && *e.Token != "" && e.Platform == "" {
			problem("Platform", "required with a Token")
		}
	case EventHeartbeat:
		if e.State != "" && e.State != StateForeground && e.State != StateBackground {
			problem("State", "has to be foreground or background")
		}
	case EventTokenRejected:
		if e.Version < 1 {
			problem("Version", "required: the version of the binding that was rejected")
		}
		if e.PushType != push.TypeAlert && e.PushType != push.TypeBackground && e.PushType != push.TypeVoIP {
			problem("PushType", "has to be alert, background or voip")
		}
	case EventToken:
		if e.Token == nil && e.VoIPToken == nil {
			problem("Token", "required; empty turns push off")
		}
	case EventForeground, EventBackground, EventKilled, EventLogout, EventKicked:
	case "":
		problem("Event", "required")
	case EventSettings:
		e.Settings.validate(now, problem)
	default:
		problem("Event", "unknown")
	}
	return errors.Join(errs...)
}

// wrongText says what is wrong with an id or a name; "" = nothing.
func wrongText(s string, least, most int) string {
	switch {
	case len(s) < least:
		return "required"
	case len(s) > most:
		return fmt.Sprintf("longer than %d bytes", most)
	case !utf8.ValidString(s):
		return "not valid UTF-8"
	case strings.ContainsFunc(s, isControl):
		return "holds a control character"
	}
	return ""
}

func isControl(c rune) bool { return c < 0x20 || c >= 0x7f && c < 0xa0 }
