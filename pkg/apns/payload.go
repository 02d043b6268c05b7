package apns

import (
	"cmp"
	"slices"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

// appendPayload appends n's payload to an empty slice. Where it is larger than limit, the body is cut; nothing else ever
// is. false = too large all the same.
func appendPayload(dst []byte, n *push.Notification, limit int) ([]byte, bool) {
	body := n.Body
	if n.Type == push.TypeBackground {
		body = ""
	}
	return payload.Fit(limit, body, func(body string) []byte {
		dst = appendMembers(slices.Grow(dst[:0], frame+sizeOf(n, body)), n, body)
		return dst
	})
}

// frame is what a payload has beside the notification's own texts, at most, and a few characters to escape.
const frame = 192

func sizeOf(n *push.Notification, body string) int {
	return len(body) + len(n.Title) + len(n.Subtitle) + len(n.Ext) + len(n.Image) + len(n.MsgKey) + len(n.Thread) + len(n.Sound)
}

// appendMembers writes n's payload with the given body. Besides Apple's own keys it has ext, image (a URL) and msg_key
// at its top level, each only where it is set.
func appendMembers(dst []byte, n *push.Notification, body string) []byte {
	dst = append(dst, '{')
	dst = append(payload.AppendName(dst, "aps"), '{')
	switch n.Type {
	case push.TypeBackground:
		dst = payload.AppendNumber(dst, "content-available", 1)
		dst = appendBadge(dst, n)
	case push.TypeVoIP:
		// The system shows nothing of a call: the app reads these, so defaults and orders to the system are left out.
		dst = appendAlert(dst, n, body)
		dst = appendBadge(dst, n)
		dst = appendSound(dst, n, "")
		dst = payload.AppendMember(dst, "thread-id", n.Thread)
	case push.TypeAlert:
		dst = appendAlert(dst, n, body)
		dst = appendBadge(dst, n)
		dst = appendSound(dst, n, "default")
		dst = payload.AppendMember(dst, "thread-id", n.Thread)
		dst = payload.AppendMember(dst, "interruption-level", n.Interruption)
		if n.Mutable {
			dst = payload.AppendNumber(dst, "mutable-content", 1)
		}
	}
	dst = append(dst, '}')
	dst = payload.AppendMember(dst, "ext", n.Ext)
	if n.Type != push.TypeBackground {
		dst = payload.AppendMember(dst, "image", n.Image)
	}
	dst = payload.AppendMember(dst, "msg_key", n.MsgKey)
	return append(dst, '}')
}

// appendAlert writes a string where there is only a body, else an object.
func appendAlert(dst []byte, n *push.Notification, body string) []byte {
	if n.Title == "" && n.Subtitle == "" {
		return payload.AppendMember(dst, "alert", body)
	}
	dst = append(payload.AppendName(dst, "alert"), '{')
	dst = payload.AppendMember(dst, "title", n.Title)
	dst = payload.AppendMember(dst, "subtitle", n.Subtitle)
	dst = payload.AppendMember(dst, "body", body)
	return append(dst, '}')
}

func appendBadge(dst []byte, n *push.Notification) []byte {
	if n.Badge == push.NoBadge {
		return dst
	}
	return payload.AppendNumber(dst, "badge", int64(n.Badge))
}

// appendSound writes nothing for a silent notification; missing stands where it names no sound.
func appendSound(dst []byte, n *push.Notification, missing string) []byte {
	if n.Sound == push.SoundSilent {
		return dst
	}
	return payload.AppendMember(dst, "sound", cmp.Or(n.Sound, missing))
}
