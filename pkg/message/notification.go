package message

import (
	"cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// apple is the platform that ApnsInfo.Title is for.
const apple push.Platform = "apns"

// View is what else decides how a message looks and sounds: the device, its user and the app's policy.
type View struct {
	Platform push.Platform
	Language string // BCP 47, any spelling; "" = English
	Sound    string // the user's default for this kind of conversation; "" = none
	Rings    bool   // the device takes calls as such; others get them as alerts
	Private  bool   // the app shows that there is a message, and nothing of it
	Recalled bool   // what replaces a message that was shown and is recalled
}

// Render is the message as a device shows it: every field that the message decides is filled, those of the device are
// empty, and Badge is NoBadge. The text is rendered once per language: for the next device it costs a copy.
//
// Private leaves the word for a new message in the device's language as the body, and no title, subtitle, image or name;
// Ext and Thread stay. Recalled leaves the word for a recalled message, behind the name where the text stood behind it;
// it makes no sound and lasts for as long as a message can. A message of type background showed nothing: its recall
// shows nothing either.
func (m *Message) Render(v View) push.Notification {
	n := m.template
	if v.Recalled {
		n.Purpose = push.PurposeRecall
		n.Expires = m.Time.Add(maxLifeTime)
	}
	if v.Private || v.Recalled {
		n.Subtitle, n.Image, n.Mutable, n.Vendor = "", "", m.mutable, m.vendor.withoutContent()
	}
	if n.Type == push.TypeBackground {
		return n
	}
	if n.Type == push.TypeVoIP && (v.Recalled || !v.Rings) {
		n.Type = push.TypeAlert
		n.Interruption = cmp.Or(n.Interruption, interruptionOfCalls)
	}
	if v.Platform == apple {
		n.Title = cmp.Or(m.appleTitle, n.Title)
	}
	n.Sound, n.AndroidSound = cmp.Or(n.Sound, v.Sound), cmp.Or(n.AndroidSound, v.Sound)
	if v.Private {
		n.Title = ""
	}
	switch named := n.Title == "" && !v.Private; {
	case v.Recalled:
		// Neither the message's channel nor its level may make noise once more.
		n.Sound, n.AndroidSound, n.Channel, n.Interruption = push.SoundSilent, push.SoundSilent, "", ""
		n.Body = m.alert.instead(wordRecalled, v.Language, named)
	case v.Private:
		n.Body = m.alert.instead(wordNewMessage, v.Language, named)
	default:
		n.Body = m.alert.in(v.Language, named)
	}
	return n
}

// Uncut is how many bytes of the message's notifications no platform may cut, at most: everything but the body.
func (m *Message) Uncut() int {
	n := &m.template
	return max(len(n.Title), len(m.appleTitle)) + len(n.Subtitle) + len(n.Ext) + len(n.Image) +
		len(n.Sound) + len(n.AndroidSound) + len(n.Channel) + len(n.Vendor)
}
