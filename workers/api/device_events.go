package api

import (
	"net/http"
	"slices"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func (s *Server) postDeviceEvents(w http.ResponseWriter, r *http.Request) *problem {
	records, release, p := s.read(w, r)
	if p != nil {
		return p
	}
	defer release()
	events := make([]registry.DeviceEvent, len(records))
	messages := make([]stream.Message, len(records))
	for i, rec := range records {
		event, p := s.parseDeviceEvent(rec.value)
		if p != nil {
			return p.at(rec.line)
		}
		events[i] = event
		messages[i] = stream.Message{Topic: s.eventTopic(event.Event), Key: stream.UserKey(event.App, event.User), Value: rec.value, Partition: -1}
	}
	if p := s.publish(r.Context(), messages); p != nil {
		return p
	}
	for chunk := range slices.Chunk(events, applyChunk) {
		if err := s.apply(r, chunk); err != nil {
			return notYetApplied(err)
		}
	}
	answerJSON(w, http.StatusAccepted, accepted{Accepted: len(records)})
	return nil
}

// applyChunk bounds the events of one call to the registry, each of which has its whole time-out.
const applyChunk = 500

func (s *Server) apply(r *http.Request, events []registry.DeviceEvent) error {
	ctx, cancel := s.registryContext(r)
	defer cancel()
	_, err := s.opts.Registry.Apply(ctx, events)
	return err
}

func (s *Server) parseDeviceEvent(value []byte) (registry.DeviceEvent, *problem) {
	event, err := registry.ParseDeviceEvent(value, s.opts.Now())
	if err != nil {
		return event, problemf(http.StatusBadRequest, "%v", err)
	}
	refuse := func(status int, field string, reason push.Reason, detail string) (registry.DeviceEvent, *problem) {
		p := problemf(status, "%s: %s", field, detail)
		p.Field, p.Reason = field, reason
		return event, p
	}
	switch {
	case event.Event == registry.EventTokenRejected:
		return refuse(http.StatusForbidden, "Event", "", "token_rejected comes from the deliver role alone")
	case !s.opts.KnownApp(event.App):
		return refuse(http.StatusBadRequest, "App", push.ReasonUnknownApp, "the configuration has no such app")
	}
	if event.Platform == "" { // as it is known: only Redis could tell
		return event, nil
	}
	for _, t := range []struct {
		field string
		token *string
	}{{"Token", event.Token}, {"VoIPToken", event.VoIPToken}} {
		if t.token == nil || *t.token == "" {
			continue
		}
		if err := s.opts.CheckToken(event.Platform, *t.token); err != nil {
			return refuse(http.StatusBadRequest, t.field, push.ReasonBadToken, err.Error())
		}
	}
	if event.Credential != nil && *event.Credential != "" && !s.opts.KnownCredential(event.App, event.Platform, *event.Credential) {
		return refuse(http.StatusBadRequest, "Credential", push.ReasonUnknownCredential, "the app has no such credential on this platform")
	}
	return event, nil
}

// eventTopic keeps what comes often apart from what binds tokens: presence may be lost, bindings may not.
func (s *Server) eventTopic(kind registry.EventKind) string {
	switch kind {
	case registry.EventForeground, registry.EventBackground, registry.EventHeartbeat, registry.EventKilled:
		return s.opts.Topics.Presence()
	}
	return s.opts.Topics.Devices()
}
