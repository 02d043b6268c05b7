package fcm

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

const (
	// maxMessageBytes is FCM's limit for a message. FCM does not say what it counts; the whole message object without
	// its token is an upper bound of everything it could mean.
	maxMessageBytes = 4096
	// maxTTL is the longest time to live that FCM takes: four weeks.
	maxTTL = 4 * 7 * 24 * time.Hour
)

// Data keys. FCM reserves from, message_type, and what begins with google. or gcm.notification.
const (
	keyTitle    = "title"
	keySubtitle = "subtitle"
	keyBody     = "body"
	keyImage    = "image"
	keySound    = "sound"
	keyBadge    = "badge"
	keyExt      = "ext"
	keyThread   = "thread"
	keyMsgKey   = "msg_key"
	keyChannel  = "channel"
	keyRecalled = "recalled"
)

// appendMessage appends the message object of n without its token to dst. false = it is too large however short its body
// gets.
func appendMessage(dst []byte, n *push.Notification, app *appBlock, clickAction string, now time.Time) ([]byte, bool) {
	m := draft{n: n, style: app.Style, channel: n.Channel, clickAction: clickAction, now: now}
	if n.AndroidSound != push.SoundSilent {
		m.sound = n.AndroidSound
	}
	if m.channel == "" {
		m.channel = app.Channels[n.AndroidSound]
	}
	body := n.Body
	if n.Type == push.TypeBackground {
		m.style, body = styleBackground, ""
	}
	begin := len(dst)
	_, ok := payload.Fit(maxMessageBytes, body, func(body string) []byte {
		dst = m.render(dst[:begin], body)
		return dst[begin:]
	})
	return dst, ok
}

// draft is a message apart from its body.
type draft struct {
	n           *push.Notification
	style       string
	sound       string
	channel     string
	clickAction string
	now         time.Time
}

func (m *draft) render(dst []byte, body string) []byte {
	n := m.n
	dst = slices.Grow(dst, 256+len(body)+len(n.Title)+len(n.Ext)+len(n.MsgKey)+len(n.Token))
	dst = append(dst, '{')
	if m.style == styleNotification {
		dst = m.appendNotification(dst, body)
	}
	dst = m.appendData(dst, body)
	dst = m.appendAndroid(dst)
	return append(dst, '}')
}

func (m *draft) appendNotification(dst []byte, body string) []byte {
	dst = append(payload.AppendName(dst, "notification"), '{')
	dst = payload.AppendMember(dst, keyTitle, m.n.Title)
	dst = payload.AppendMember(dst, keyBody, body)
	// The SDK and FCM refuse a message for an image that is no address; the text matters more.
	if _, err := url.ParseRequestURI(m.n.Image); err == nil {
		dst = payload.AppendMember(dst, keyImage, m.n.Image)
	}
	return append(dst, '}')
}

func (m *draft) appendData(dst []byte, body string) []byte {
	n := m.n
	dst = append(payload.AppendName(dst, "data"), '{')
	if m.style == styleData {
		dst = payload.AppendMember(dst, keyTitle, n.Title)
		dst = payload.AppendMember(dst, keySubtitle, n.Subtitle)
		dst = payload.AppendMember(dst, keyBody, body)
		dst = payload.AppendMember(dst, keyImage, n.Image)
		dst = payload.AppendMember(dst, keySound, m.sound)
		dst = payload.AppendMember(dst, keyChannel, m.channel)
	}
	if m.style != styleNotification && n.Badge != push.NoBadge {
		dst = payload.AppendMember(dst, keyBadge, strconv.Itoa(n.Badge))
	}
	dst = payload.AppendMember(dst, keyExt, n.Ext)
	dst = payload.AppendMember(dst, keyThread, n.Thread)
	dst = payload.AppendMember(dst, keyMsgKey, n.MsgKey)
	if n.Purpose == push.PurposeRecall {
		dst = payload.AppendMember(dst, keyRecalled, "1")
	}
	return append(dst, '}')
}

func (m *draft) appendAndroid(dst []byte) []byte {
	n := m.n
	dst = append(payload.AppendName(dst, "android"), '{')
	priority := "high"
	if m.style == styleBackground {
		priority = "normal"
	}
	dst = payload.AppendMember(dst, "priority", priority)
	if !n.Expires.IsZero() {
		dst = appendTTL(payload.AppendName(dst, "ttl"), n.Expires.Sub(m.now))
	}
	if m.style == styleNotification {
		dst = append(payload.AppendName(dst, "notification"), '{')
		dst = payload.AppendMember(dst, "tag", n.CollapseID)
		dst = payload.AppendMember(dst, "channel_id", m.channel)
		dst = payload.AppendMember(dst, "sound", m.sound)
		dst = payload.AppendMember(dst, "click_action", m.clickAction)
		if n.Badge != push.NoBadge {
			dst = payload.AppendNumber(dst, "notification_count", int64(n.Badge))
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendTTL appends whole seconds, rounded down: a message must not outlive its expiration.
func appendTTL(dst []byte, left time.Duration) []byte {
	left = min(max(left, 0), maxTTL)
	dst = strconv.AppendInt(append(dst, '"'), int64(left/time.Second), 10)
	return append(dst, 's', '"')
}
