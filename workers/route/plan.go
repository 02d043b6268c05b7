package route

import (
	"cmp"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
)

// servicePlatform is the platform of devices whose own service takes offline messages.
const servicePlatform push.Platform = "service"

// request asks the registry about one recipient of a message.
func (j *job) request(user string) registry.DecideRequest {
	m := j.msg
	key, content, window := m.Claim()
	return registry.DecideRequest{
		App: m.App, User: user, Origin: m.Origin, RecordTime: m.RecordTime,
		Claim: registry.Claim{Key: key, Content: content, MsgTime: m.Time.Unix(), Window: window},
		Type:  m.Type(), Counts: m.Counts(), MsgKey: m.Key, ContentKey: m.KeyWithContent(),
		Conversation: m.Conversation(), Group: m.Group != "", Mentioned: m.Mentions(user),
		IgnoreOption: m.IgnoresOption(), AnyForeground: j.policy.AnyForeground,
	}
}

// key is the message key under a decision: one-to-one messages that differ only in content have different ones.
func (j *job) key(d registry.Decision) string {
	if d.OtherContent {
		return j.msg.KeyWithContent()
	}
	return j.msg.Key
}

// target is one device of one recipient that is to be pushed.
type target struct {
	key, user string
	sound     string // the user's default for this kind of conversation
	device    registry.DeviceDecision
}

// notification is what the target gets for the job's purpose: the message, or what takes its place. It goes to the
// device's own service where it has one.
func (j *job) notification(t target) *push.Notification {
	b := t.device.Binding
	if b.Service { // platform, token and credential are the fallback's
		b.Platform, b.Token, b.Credential = servicePlatform, "", ""
	}
	n := j.render(t, b)
	first := message.NotificationID(j.msg.App, t.key, t.user, t.device.Device, push.PurposeFirst)
	n.ID, n.CollapseID = first, first
	if j.purpose != push.PurposeFirst {
		n.ID = message.NotificationID(j.msg.App, t.key, t.user, t.device.Device, j.purpose)
	}
	return n
}

// fallback is the target's second notification, for where its own service does not take the first; nil where it has no
// service, or nothing else. A recall has one too, because nobody knows yet which of the two the device showed. Its id is
// neither's: the same purpose on another platform is another notification.
func (j *job) fallback(t target, first *push.Notification) *push.Notification {
	if !t.device.Binding.Service {
		return nil
	}
	n := j.render(t, t.device.Binding)
	n.CollapseID = first.CollapseID
	n.ID = message.NotificationID(j.msg.App, t.key, t.user, t.device.Device, j.purpose+push.PurposeFallback)
	if j.purpose == push.PurposeFirst {
		n.Purpose = push.PurposeFallback
	}
	return n
}

// render fills everything but the ids.
func (j *job) render(t target, b push.Binding) *push.Notification {
	n := j.msg.Render(message.View{Platform: b.Platform, Language: b.Language, Sound: t.sound,
		Rings: b.VoIPToken != "" && b.Platform != servicePlatform, Private: j.policy.Privacy, Recalled: j.purpose == push.PurposeRecall})
	n.MsgKey, n.User, n.Device = t.key, t.user, t.device.Device
	n.Platform, n.Token, n.Credential, n.Version = b.Platform, b.Token, b.Credential, b.Version
	if n.Type == push.TypeVoIP {
		n.Token = b.VoIPToken
	}
	n.Badge = t.device.Badge
	return &n
}

// wait is how long the device's own service has.
func (p Policy) wait() time.Duration { return cmp.Or(p.ServiceWait, serviceWait) }
