package api

import (
	"net/http"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// devices answers GET /v1/apps/{app}/users/{user}/devices.
type devices struct {
	App     string   `json:"app"`
	User    string   `json:"user"`
	Devices []device `json:"devices"`
}

// device is what the registry knows of a device. Absent members are not known.
type device struct {
	Device     string        `json:"device"`
	Platform   push.Platform `json:"platform,omitempty"`
	TokenHash  string        `json:"token_hash,omitempty"`
	VoIPHash   string        `json:"voip_token_hash,omitempty"`
	Credential string        `json:"credential,omitempty"`
	Service    bool          `json:"service"` // its own service takes offline messages
	Language   string        `json:"language,omitempty"`
	Version    int64         `json:"version,omitempty"`
	LoggedOut  bool          `json:"logged_out"`
	BoundAt    *time.Time    `json:"bound_at,omitempty"`

	Presence     push.Reason `json:"presence,omitempty"` // foreground, background, killed
	Push         bool        `json:"push"`               // a message would be pushed now
	Filter       push.Reason `json:"filter,omitempty"`   // why not
	Badge        int         `json:"badge"`
	ForegroundAt *time.Time  `json:"foreground_at,omitempty"`
	BackgroundAt *time.Time  `json:"background_at,omitempty"`
	KilledAt     *time.Time  `json:"killed_at,omitempty"`
}

func (s *Server) getDevices(w http.ResponseWriter, r *http.Request) *problem {
	app, user := r.PathValue("app"), r.PathValue("user")
	if p := s.unknownUser(app, user); p != nil {
		return p
	}
	ctx, cancel := s.registryContext(r)
	defer cancel()
	known, err := s.opts.Registry.Devices(ctx, app, user)
	if err != nil {
		return unavailable(err, "the registry does not answer")
	}
	answer := devices{App: app, User: user, Devices: make([]device, len(known))}
	for i, d := range known {
		answer.Devices[i] = device{
			Device: d.Device, Platform: d.Binding.Platform, TokenHash: d.TokenHash, VoIPHash: d.VoIPTokenHash, Credential: d.Binding.Credential,
			Service: d.Binding.Service, Language: d.Binding.Language, Version: d.Binding.Version, LoggedOut: d.LoggedOut, BoundAt: instant(d.BoundAt),
			Presence: d.Presence, Push: d.Filter == "", Filter: d.Filter, Badge: d.Badge,
			ForegroundAt: instant(d.Foreground), BackgroundAt: instant(d.Background), KilledAt: instant(d.Killed),
		}
	}
	answerJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) unknownApp(app string) *problem {
	if s.opts.KnownApp(app) {
		return nil
	}
	p := problemf(http.StatusNotFound, "the configuration has no such app")
	p.Field, p.Reason = "app", push.ReasonUnknownApp
	return p
}

// unknownUser refuses an app that is not configured, and what can be the id of no user.
func (s *Server) unknownUser(app, user string) *problem {
	if p := s.unknownApp(app); p != nil {
		return p
	}
	if err := registry.CheckID(user); err != nil {
		p := problemf(http.StatusBadRequest, "user: %v", err)
		p.Field = "user"
		return p
	}
	return nil
}

// instant is nil for a time that is not known.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
