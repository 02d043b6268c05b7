package control

import (
	"encoding/json"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Pause is one stop that an operator has asked for.
type Pause struct {
	Target
	Since time.Time `json:"since"`
	By    string    `json:"by,omitempty"`   // who said so, as user@host
	Note  string    `json:"note,omitempty"` // why
}

// pauseValue is the JSON of a record that pauses. A record without a value resumes.
type pauseValue struct {
	Time int64  // ms
	By   string `json:",omitempty"`
	Note string `json:",omitempty"`
}

// readyValue is the JSON of a record that says that a credential can send again.
type readyValue struct {
	Time int64 // ms
}

// PauseMessage stops what the target names, until ResumeMessage. Its error says what is wrong with the target.
func PauseMessage(topics stream.Topics, p Pause) (stream.Message, error) {
	key, err := pauseKey(p.Target)
	if err != nil {
		return stream.Message{}, err
	}
	return message(topics, key, pauseValue{p.Since.UnixMilli(), p.By, p.Note}), nil
}

// ResumeMessage ends a pause. Where there is none, deliver and retry look again at what they hold back by themselves:
// a refused credential, a brake.
func ResumeMessage(topics stream.Topics, t Target) (stream.Message, error) {
	key, err := pauseKey(t)
	if err != nil {
		return stream.Message{}, err
	}
	return stream.Message{Topic: topics.Control(), Key: key, Partition: stream.ByKey}, nil
}

// ReadyMessage says that a credential whose records were parked can send again. On a platform that needs no credential
// the name is "".
func ReadyMessage(topics stream.Topics, p push.Platform, app, credential string, now time.Time) stream.Message {
	return message(topics, readyKey(Target{p, app, credential}), readyValue{now.UnixMilli()})
}

func message(topics stream.Topics, key []byte, v any) stream.Message {
	value, err := json.Marshal(v)
	if err != nil {
		panic("a struct of strings and integers did not marshal: " + err.Error())
	}
	return stream.Message{Topic: topics.Control(), Key: key, Value: value, Partition: stream.ByKey}
}
