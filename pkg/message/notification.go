package message

import (
	"cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// apple is the platform that ApnsInfo.Title is for.
const apple push.Platform = "apns"

// Notification is the message as an Apple device of that language (BCP 47, any spelling; "" = English) shows it: every
// field that the message decides is filled, those of the device are empty, and Badge is NoBadge.
// The text is rendered once per language: for the next device it costs a copy.
func (m *Message) Notification(lang string) push.Notification {
	return m.NotificationFor(apple, lang)
}

// NotificationFor is [Message.Notification] for a device of any platform: ApnsInfo.Title, which overrides Title and makes
// the name before the text go, does so on Apple devices only.
func (m *Message) NotificationFor(platform push.Platform, lang string) push.Notification {
	n := m.template
	if platform == apple {
		n.Title = cmp.Or(m.appleTitle, n.Title)
	}
	n.Body = m.alert.in(lang, n.Title == "")
	return n
}
