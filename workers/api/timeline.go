package api

import (
	"net/http"
	"time"

	"github.com/pushfleet/pushfleet/pkg/timeline"
)

// way answers GET /v1/apps/{app}/messages/{msg_key}/timeline.
type way struct {
	App     string  `json:"app"`
	MsgKey  string  `json:"msg_key"`
	Events  []event `json:"events"`
	LeftOut int     `json:"left_out,omitempty"` // events for which there was no room
}

// event is one step of one notification; of one recipient where device is absent, of the message where user is.
type event struct {
	Time        time.Time  `json:"time"`
	User        string     `json:"user,omitempty"`
	Device      string     `json:"device,omitempty"`
	Platform    string     `json:"platform,omitempty"`
	ID          string     `json:"id,omitempty"`      // of the notification
	Purpose     string     `json:"purpose,omitempty"` // recall, fallback, sync; absent: the first push
	Disposition string     `json:"disposition"`
	Reason      string     `json:"reason,omitempty"`
	Answer      string     `json:"answer,omitempty"` // the provider's status and reason
	Attempt     int32      `json:"attempt,omitempty"`
	Redrive     int32      `json:"redrive,omitempty"`  // how often an operator had sent it back
	Admitted    *time.Time `json:"admitted,omitempty"` // when the registry let the attempt go
	Due         *time.Time `json:"due,omitempty"`      // of a retry: not before
}

func (s *Server) getTimeline(w http.ResponseWriter, r *http.Request) *problem {
	app, msgKey := r.PathValue("app"), r.PathValue("msg_key")
	if p := s.unknownApp(app); p != nil {
		return p
	}
	ctx, cancel := s.registryContext(r)
	defer cancel()
	line, err := s.opts.Timeline.Read(ctx, app, msgKey)
	if err != nil {
		return unavailable(err, "the timeline does not answer")
	}
	answer := way{App: app, MsgKey: msgKey, Events: make([]event, len(line.Entries)), LeftOut: line.LeftOut}
	for i, e := range line.Entries {
		answer.Events[i] = eventOf(e)
	}
	answerJSON(w, http.StatusOK, answer)
	return nil
}

func eventOf(e timeline.Entry) event {
	return event{
		Time: time.UnixMilli(e.GetTimeMs()).UTC(), User: e.GetUser(), Device: e.GetDevice(), Platform: e.GetPlatform(), ID: e.GetId(),
		Purpose: e.GetPurpose(), Disposition: e.GetDisposition(), Reason: e.GetReason(), Answer: e.GetAnswer(), Attempt: e.GetAttempt(),
		Redrive: e.GetRedrive(), Admitted: fromMillis(e.GetAdmittedMs()), Due: fromMillis(e.GetDueMs()),
	}
}

// fromMillis is nil for 0, which says that there is no time.
func fromMillis(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}
