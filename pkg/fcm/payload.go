package fcm

import (
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rivo/uniseg"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const (
	// maxMessageBytes is FCM's limit for a message. FCM does not say what it counts; the whole message object without
	// its token is an upper bound of everything it could mean.
	maxMessageBytes = 4096
	// maxTTL is the longest time to live that FCM takes: four weeks.
	maxTTL = 4 * 7 * 24 * time.Hour

	ellipsis = "…"

	purposeRecall = "recall"
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

// message renders the message object of n without its token. false = it is too large however short its body gets.
func message(n *push.Notification, app *appBlock, now time.Time) ([]byte, bool) {
	m := draft{n: n, style: app.Style, channel: n.Channel, now: now}
	if n.AndroidSound != push.SoundSilent {
		m.sound = n.AndroidSound
	}
	if m.channel == "" {
		m.channel = app.Channels[n.AndroidSound]
	}
	if len(n.Body) <= maxMessageBytes {
		if whole := m.render(n.Body); len(whole) <= maxMessageBytes {
			return whole, true
		}
	}
	if n.Body == "" {
		return nil, false
	}
	room := maxMessageBytes - len(m.render(ellipsis))
	if room < 0 {
		return nil, false
	}
	return m.render(cut(n.Body, room) + ellipsis), true
}

// cut returns the longest prefix of whole grapheme clusters whose JSON takes at most room bytes.
func cut(text string, room int) string {
	var quoted []byte
	rest, state := text, -1
	for rest != "" {
		var cluster, after string
		cluster, after, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		quoted = appendString(quoted[:0], cluster)
		room -= len(quoted) - len(`""`)
		if room < 0 {
			break
		}
		rest = after
	}
	return text[:len(text)-len(rest)]
}

// draft is a message apart from its body.
type draft struct {
	n       *push.Notification
	style   string
	sound   string
	channel string
	now     time.Time
}

func (m *draft) render(body string) []byte {
	n := m.n
	dst := make([]byte, 0, 256+len(body)+len(n.Title)+len(n.Ext)+len(n.MsgKey))
	dst = append(dst, '{')
	if m.style == styleNotification {
		dst = m.appendNotification(dst, body)
	}
	dst = m.appendData(dst, body)
	dst = m.appendAndroid(dst)
	return append(dst, '}')
}

func (m *draft) appendNotification(dst []byte, body string) []byte {
	dst = append(appendName(dst, "notification"), '{')
	dst = appendMember(dst, keyTitle, m.n.Title)
	dst = appendMember(dst, keyBody, body)
	// The SDK and FCM refuse a message for an image that is no address; the text matters more.
	if _, err := url.ParseRequestURI(m.n.Image); err == nil {
		dst = appendMember(dst, keyImage, m.n.Image)
	}
	return append(dst, '}')
}

func (m *draft) appendData(dst []byte, body string) []byte {
	n := m.n
	dst = append(appendName(dst, "data"), '{')
	if m.style == styleData {
		dst = appendMember(dst, keyTitle, n.Title)
		dst = appendMember(dst, keySubtitle, n.Subtitle)
		dst = appendMember(dst, keyBody, body)
		dst = appendMember(dst, keyImage, n.Image)
		dst = appendMember(dst, keySound, m.sound)
		if n.Badge != push.NoBadge {
			dst = appendMember(dst, keyBadge, strconv.Itoa(n.Badge))
		}
		dst = appendMember(dst, keyChannel, m.channel)
	}
	dst = appendMember(dst, keyExt, n.Ext)
	dst = appendMember(dst, keyThread, n.Thread)
	dst = appendMember(dst, keyMsgKey, n.MsgKey)
	if n.Purpose == purposeRecall {
		dst = appendMember(dst, keyRecalled, "1")
	}
	return append(dst, '}')
}

func (m *draft) appendAndroid(dst []byte) []byte {
	n := m.n
	dst = append(appendName(dst, "android"), '{')
	dst = appendMember(dst, "priority", "high")
	if !n.Expires.IsZero() {
		dst = appendMember(dst, "ttl", ttl(n.Expires.Sub(m.now)))
	}
	if m.style == styleNotification {
		dst = append(appendName(dst, "notification"), '{')
		dst = appendMember(dst, "tag", n.CollapseID)
		dst = appendMember(dst, "channel_id", m.channel)
		dst = appendMember(dst, "sound", m.sound)
		if n.Badge != push.NoBadge {
			dst = strconv.AppendInt(appendName(dst, "notification_count"), int64(n.Badge), 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// ttl is whole seconds, rounded down: a message must not outlive its expiration.
func ttl(left time.Duration) string {
	left = min(max(left, 0), maxTTL)
	return strconv.FormatInt(int64(left/time.Second), 10) + "s"
}

// appendMember appends a member of an object unless its value is "".
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(appendName(dst, name), value)
}

// appendName appends the name of an object's next member; names need no escapes.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// appendString appends a JSON string with only the escapes that JSON requires; invalid UTF-8 becomes U+FFFD, and that
// is all that the error which is left out here says.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
