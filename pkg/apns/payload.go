package apns

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rivo/uniseg"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// maxPayload is Apple's limit of an alert's payload, in bytes.
const maxPayload = 4096

// ellipsis ends a body that was cut.
const ellipsis = "…"

// buildPayload gives n's payload. Where it is too large, the body is cut no further than the limit needs, after a whole
// grapheme cluster, and ends in an ellipsis; nothing else is ever cut. false = too large all the same.
func buildPayload(n *push.Notification) ([]byte, bool) {
	var payload []byte
	if len(n.Body) <= maxPayload { // a longer one never fits: its quoted form is no shorter
		payload = appendPayload(make([]byte, 0, 512+len(n.Body)+len(n.Ext)), n, n.Body)
		if len(payload) <= maxPayload {
			return payload, true
		}
	}
	if n.Body == "" {
		return nil, false
	}
	payload = appendPayload(payload[:0], n, ellipsis)
	if len(payload) > maxPayload {
		return nil, false
	}
	return appendPayload(payload[:0], n, cut(n.Body, maxPayload-len(payload))+ellipsis), true
}

// appendPayload writes n's payload with the given body. Besides Apple's own keys it has ext, image (a URL) and msg_key
// at its top level, each only where it is set.
func appendPayload(dst []byte, n *push.Notification, body string) []byte {
	dst = append(dst, `{"aps":{`...)
	start := len(dst)
	dst = appendAlert(dst, n, body)
	if n.Badge != push.NoBadge {
		dst = append(dst, `"badge":`...)
		dst = strconv.AppendInt(dst, int64(n.Badge), 10)
		dst = append(dst, ',')
	}
	switch n.Sound {
	case push.SoundSilent:
	case "":
		dst = append(dst, `"sound":"default",`...)
	default:
		dst = appendMember(dst, `"sound":`, n.Sound)
	}
	dst = appendMember(dst, `"thread-id":`, n.Thread)
	if n.Mutable {
		dst = append(dst, `"mutable-content":1,`...)
	}
	dst = closeObject(dst, start)
	dst = append(dst, ',')
	dst = appendMember(dst, `"ext":`, n.Ext)
	dst = appendMember(dst, `"image":`, n.Image)
	dst = appendMember(dst, `"msg_key":`, n.MsgKey)
	return closeObject(dst, 0)
}

// appendAlert writes a string where there is only a body, else an object.
func appendAlert(dst []byte, n *push.Notification, body string) []byte {
	if n.Title == "" && n.Subtitle == "" {
		return appendMember(dst, `"alert":`, body)
	}
	dst = append(dst, `"alert":{`...)
	start := len(dst)
	dst = appendMember(dst, `"title":`, n.Title)
	dst = appendMember(dst, `"subtitle":`, n.Subtitle)
	dst = appendMember(dst, `"body":`, body)
	return append(closeObject(dst, start), ',')
}

// appendMember writes nothing where value is "", else the member and a comma.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, name...)
	return append(appendString(dst, value), ',')
}

// closeObject ends an object whose members start at start, in place of the last comma.
func closeObject(dst []byte, start int) []byte {
	if len(dst) > start && dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

// appendString quotes s with no other escapes than JSON requires. The error of AppendQuote is about bytes that are not
// UTF-8; they become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// cut returns as many whole grapheme clusters of s as take at most room bytes inside a JSON string.
func cut(s string, room int) string {
	var quoted []byte
	rest, state := s, -1
	for rest != "" {
		var cluster, following string
		cluster, following, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		quoted = appendString(quoted[:0], cluster)
		room -= len(quoted) - len(`""`)
		if room < 0 {
			break
		}
		rest = following
	}
	return s[:len(s)-len(rest)]
}
