package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// membership is the value of a record of im.groups.
type membership struct {
	App        string
	Group      string
	User       string
	JoinedTime int64 // ms
}

// putMember says that a user is a member of a group, since JoinedTime of the optional body, else from now on.
func (s *Server) putMember(w http.ResponseWriter, r *http.Request) *problem {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMembership))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return problemf(http.StatusRequestEntityTooLarge, "a membership is at most %d bytes", maxMembership)
		}
		return problemf(http.StatusBadRequest, "the body could not be read whole")
	}
	joined := s.opts.Now().UnixMilli()
	if len(body) > 0 {
		var since struct{ JoinedTime *int64 }
		if err := json.Unmarshal(body, &since); err != nil {
			p := problemf(http.StatusBadRequest, "the body is no JSON object with JoinedTime, a number of milliseconds")
			p.Field = "JoinedTime"
			return p
		}
		if since.JoinedTime != nil {
			joined = *since.JoinedTime
		}
	}
	m := registry.Membership{App: r.PathValue("app"), Group: r.PathValue("group"), User: r.PathValue("user"), Joined: time.UnixMilli(joined)}
	return s.member(w, r, m)
}

// maxMembership bounds the body of a PUT: one number, and room for members that later versions know.
const maxMembership = 4 << 10

// deleteMember says that a user has left a group.
func (s *Server) deleteMember(w http.ResponseWriter, r *http.Request) *problem {
	m := registry.Membership{App: r.PathValue("app"), Group: r.PathValue("group"), User: r.PathValue("user"),
		Left: time.UnixMilli(s.opts.Now().UnixMilli())}
	return s.member(w, r, m)
}

// member publishes a membership, whose value is null where it is over, and applies it. The record carries the time by
// which the membership is applied, so that role devices finds it applied already.
func (s *Server) member(w http.ResponseWriter, r *http.Request, m registry.Membership) *problem {
	if p := s.unknownApp(m.App); p != nil {
		return p
	}
	now := s.opts.Now()
	if err := m.Validate(now); err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	record := stream.Message{Topic: s.opts.Topics.Groups(), Key: stream.MemberKey(m.App, m.Group, m.User), Partition: stream.ByKey, Time: now}
	if m.Joined.IsZero() {
		record.Time = m.Left
	} else {
		var err error
		if record.Value, err = json.Marshal(membership{m.App, m.Group, m.User, m.Joined.UnixMilli()}); err != nil {
			return problemf(http.StatusBadRequest, "this is no membership")
		}
	}
	if p := s.publish(r.Context(), []stream.Message{record}); p != nil {
		return p
	}
	ctx, cancel := s.registryContext(r)
	defer cancel()
	if err := s.opts.Registry.ApplyMemberships(ctx, []registry.Membership{m}); err != nil {
		return notYetApplied(err)
	}
	answerJSON(w, http.StatusAccepted, accepted{Accepted: 1})
	return nil
}
