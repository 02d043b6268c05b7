package api

import (
	"fmt"
	"net/http"
	"time"

	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// settings answers GET /v1/apps/{app}/users/{user}/settings. Absent members were not set.
type settings struct {
	App            string           `json:"app"`
	User           string           `json:"user"`
	Push           bool             `json:"push"`
	Sounds         sounds           `json:"sounds"`
	ReceiveOptions map[string]int32 `json:"receive_options"` // by conversation
	QuietDaily     *quietDaily      `json:"quiet_daily,omitempty"`
	QuietOnce      *quietOnce       `json:"quiet_once,omitempty"`
	SetAt          *time.Time       `json:"set_at,omitempty"` // of all but the receive options
}

type sounds struct {
	C2C   string `json:"c2c,omitempty"`
	Group string `json:"group,omitempty"`
}

type quietDaily struct {
	Start    string `json:"start"`    // on the zone's clock
	Duration int32  `json:"duration"` // seconds
	TimeZone string `json:"time_zone"`
}

type quietOnce struct {
	Start time.Time `json:"start"`
	Until time.Time `json:"until"`
}

func (s *Server) getSettings(w http.ResponseWriter, r *http.Request) *problem {
	app, user := r.PathValue("app"), r.PathValue("user")
	if p := s.unknownUser(app, user); p != nil {
		return p
	}
	ctx, cancel := s.registryContext(r)
	defer cancel()
	known, err := s.opts.Registry.Settings(ctx, app, user)
	if err != nil {
		return unavailable(err, "the registry does not answer")
	}
	answerJSON(w, http.StatusOK, settingsOf(app, user, known))
	return nil
}

// settingsOf shows a user's settings; a user without any is pushed to.
func settingsOf(app, user string, known *schemasv1.UserState) settings {
	answer := settings{
		App: app, User: user, Push: !known.GetPushOff(), Sounds: sounds{known.GetSoundC2C(), known.GetSoundGroup()},
		ReceiveOptions: make(map[string]int32, len(known.GetOptions())),
	}
	for _, o := range known.GetOptions() {
		answer.ReceiveOptions[o.GetConversation()] = o.GetOption()
	}
	if q := known.GetQuietDaily(); q != nil {
		answer.QuietDaily = &quietDaily{clock(q.GetStartS()), q.GetDurationS(), q.GetTimeZone()}
	}
	if q := known.GetQuietOnce(); q != nil {
		answer.QuietOnce = &quietOnce{time.UnixMilli(q.GetStartMs()).UTC(), time.UnixMilli(q.GetUntilMs()).UTC()}
	}
	if ms := known.GetEventTimeMs(); ms > 0 {
		answer.SetAt = instant(time.UnixMilli(ms))
	}
	return answer
}

// clock is HH:MM, or HH:MM:SS where the seconds are not zero.
func clock(seconds int32) string {
	text := fmt.Sprintf("%02d:%02d", seconds/3600, seconds/60%60)
	if seconds%60 > 0 {
		text += fmt.Sprintf(":%02d", seconds%60)
	}
	return text
}
