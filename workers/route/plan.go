package route

import (
	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// Request asks the registry about one recipient of a message.
func Request(msg *message.Message, user, origin string) registry.DecideRequest {
	key, content, window := msg.Claim()
	return registry.DecideRequest{App: msg.App, User: user, Origin: origin, Counts: msg.Counts(), RecordTime: msg.RecordTime,
		Claim: registry.Claim{Key: key, Content: content, MsgTime: msg.Time.Unix(), Window: window}}
}

// Key is the message key under a decision: one-to-one messages that differ only in content have different ones.
func Key(msg *message.Message, d registry.Decision) string {
	if d.OtherContent {
		return msg.KeyWithContent()
	}
	return msg.Key
}

// Notification is what a device that is to be pushed gets, under the message key.
func Notification(msg *message.Message, key, user string, d registry.DeviceDecision) *push.Notification {
	n := msg.NotificationFor(d.Binding.Platform, d.Binding.Language)
	n.ID = message.NotificationID(msg.App, key, user, d.Device, "")
	n.CollapseID = n.ID
	n.MsgKey = key
	n.User, n.Device = user, d.Device
	n.Platform, n.Token, n.Credential, n.Version = d.Binding.Platform, d.Binding.Token, d.Binding.Credential, d.Binding.Version
	n.Badge = d.Badge
	return &n
}
