package devices

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// State is the record of a binding's full state.
func State(topics stream.Topics, s *schemasv1.DeviceState) stream.Message {
	m := registryRecord(topics, s, s.GetApp(), s.GetUser())
	m.Key = stream.DeviceKey(s.GetApp(), s.GetUser(), s.GetDevice())
	return m
}

// Settings is the record of a user's full settings.
func Settings(topics stream.Topics, s *schemasv1.UserState) stream.Message {
	return registryRecord(topics, s, s.GetApp(), s.GetUser())
}

// registryRecord is a record of push.registry under the user's key. All of a user stands on one partition.
func registryRecord(topics stream.Topics, state interface{ MarshalVT() ([]byte, error) }, app, user string) stream.Message {
	value, err := state.MarshalVT()
	if err != nil {
		panic("a message without required fields did not marshal: " + err.Error())
	}
	key := stream.UserKey(app, user)
	return stream.Message{Topic: topics.Registry(), Key: key, Value: value, Partition: stream.ByKey, PartitionKey: key}
}

// syncLife is how long the provider keeps a correction for a phone that is off: by then another push has brought the
// right number, or the app was opened.
const syncLife = 24 * time.Hour

// syncs makes the notifications that correct the numbers on icons. They wake the app and show nothing; the number is
// filled in when they are sent, after a wait that lets a user read on. A device of a platform that this fleet does not
// serve any more gets none.
func (c Config) syncs(syncs []registry.Sync) []stream.Message {
	messages := make([]stream.Message, 0, len(syncs))
	now := c.Now()
	for _, s := range syncs {
		if c.Platforms[s.Binding.Platform] {
			messages = append(messages, c.sync(s, now))
		}
	}
	return messages
}

func (c Config) sync(s registry.Sync, now time.Time) stream.Message {
	id := message.NotificationID(s.App, s.MsgKey, s.User, s.Device, push.PurposeSync)
	n := push.Notification{
		ID: id, App: s.App, User: s.User, Device: s.Device, MsgKey: s.MsgKey, Purpose: push.PurposeSync, Type: push.TypeBackground,
		Platform: s.Binding.Platform, Token: s.Binding.Token, Credential: s.Binding.Credential, Version: s.Binding.Version,
		Badge: s.Badge, CollapseID: id, Expires: now.Add(syncLife), Received: now,
	}
	meta := stream.Meta{ID: id, Lane: push.LaneNormal, Attempt: 1, NotBefore: now.Add(registry.SyncWait), FirstSeen: now}
	return stream.Message{Topic: c.Topics.Retry(n.Platform, c.RetryDelay), Key: stream.DeviceKey(n.App, n.User, n.Device),
		Value: stream.EncodeNotification(&n), Headers: meta.Headers(), Partition: stream.ByKey}
}
