package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// accepted answers every request that brings records.
type accepted struct {
	Accepted int               `json:"accepted"`           // records, all durable
	Messages []acceptedMessage `json:"messages,omitempty"` // chat messages, in the order of the request
}

// acceptedMessage names a message by the key under which its timeline stands; the key is left out where it depends on
// the record's place or time in Kafka.
type acceptedMessage struct {
	MsgKey string `json:"msg_key,omitempty"`
}

func (s *Server) postMessages(w http.ResponseWriter, r *http.Request) *problem {
	records, release, p := s.read(w, r)
	if p != nil {
		return p
	}
	defer release()
	answer := accepted{Accepted: len(records), Messages: make([]acceptedMessage, len(records))}
	messages := make([]stream.Message, len(records))
	for i, rec := range records {
		m, p := s.parseMessage(rec.value)
		if p != nil {
			return p.at(rec.line)
		}
		answer.Messages[i].MsgKey = knownKey(m)
		messages[i] = stream.Message{Topic: s.opts.Topics.Messages(), Key: conversationKey(m), Value: rec.value, Partition: -1}
	}
	if p := s.publish(r.Context(), messages); p != nil {
		return p
	}
	answerJSON(w, http.StatusAccepted, answer)
	return nil
}

// placeholder stands for the record's time until Kafka gives it one. A key that ends with it hangs on that time; a
// message that names this very second loses nothing but its key in the answer.
var placeholder = time.Unix(1, 0)

func (s *Server) parseMessage(value []byte) (*message.Message, *problem) {
	m, err := message.Parse(value, message.Envelope{DefaultApp: s.opts.DefaultApp, Topic: s.opts.Topics.Messages(), Time: placeholder})
	if err != nil {
		p := problemf(http.StatusBadRequest, "%v", err)
		if invalid := (*message.Invalid)(nil); errors.As(err, &invalid) {
			p.Field, p.Reason = invalid.Field, invalid.Reason
		}
		return nil, p
	}
	if !s.opts.KnownApp(m.App) {
		p := problemf(http.StatusBadRequest, "the configuration has no such app")
		p.Field, p.Reason = "App", push.ReasonUnknownApp
		return nil, p
	}
	return m, nil
}

// knownKey is the message's key where it holds neither the record's place nor its time.
func knownKey(m *message.Message) string {
	if strings.HasPrefix(m.Key, "at:") || strings.HasSuffix(m.Key, "_"+strconv.FormatInt(placeholder.Unix(), 10)) {
		return ""
	}
	return m.Key
}

// conversationKey is the record's key: order holds within a conversation. Both sides of a one-to-one conversation share
// one; a batch is ordered by its sender.
func conversationKey(m *message.Message) []byte {
	switch {
	case m.Group != "":
		return stream.UserKey(m.App, m.Group)
	case len(m.Recipients) == 1:
		pair := []string{m.From, m.Recipients[0]}
		slices.Sort(pair)
		return stream.MemberKey(m.App, pair[0], pair[1])
	default:
		return stream.UserKey(m.App, m.From)
	}
}
