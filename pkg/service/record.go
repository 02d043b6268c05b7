package service

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

// maxRecord bounds a record, in bytes: no provider does, and a gateway should not meet the odd megabyte.
const maxRecord = 64 << 10

// record is what the gateway gets of n. Each member is present only where it is set. false = too large however short
// the body gets.
func record(n *push.Notification) ([]byte, bool) {
	body := n.Body
	if n.Type == push.TypeBackground {
		body = ""
	}
	return payload.Fit(maxRecord, body, func(body string) []byte { return render(n, body) })
}

func render(n *push.Notification, body string) []byte {
	dst := make([]byte, 0, 512+len(body)+len(n.Title)+len(n.Ext)+len(n.Image)+len(n.Vendor))
	dst = append(dst, '{')
	dst = payload.AppendMember(dst, "App", n.App)
	dst = payload.AppendMember(dst, "User", n.User)
	dst = payload.AppendMember(dst, "Device", n.Device)
	dst = payload.AppendMember(dst, "MsgKey", n.MsgKey)
	dst = payload.AppendMember(dst, "PushID", n.ID)
	if n.Type != push.TypeBackground {
		dst = payload.AppendMember(dst, "Title", n.Title)
		dst = payload.AppendMember(dst, "SubTitle", n.Subtitle)
		dst = payload.AppendMember(dst, "Body", body)
		dst = payload.AppendMember(dst, "Image", n.Image)
		// push.no_sound goes out as it is: the IM's own service can be silent without a channel that is.
		dst = payload.AppendMember(dst, "Sound", n.AndroidSound)
		dst = payload.AppendMember(dst, "Channel", n.Channel)
	}
	dst = payload.AppendMember(dst, "Ext", n.Ext)
	if n.Badge != push.NoBadge {
		dst = payload.AppendNumber(dst, "Badge", int64(n.Badge))
	}
	dst = payload.AppendMember(dst, "Thread", n.Thread)
	if !n.Expires.IsZero() {
		dst = payload.AppendNumber(dst, "Expires", n.Expires.UnixMilli())
	}
	if n.Purpose == push.PurposeRecall {
		dst = append(payload.AppendName(dst, "Recalled"), "true"...)
	}
	if isObject(n.Vendor) {
		dst = append(payload.AppendName(dst, "AndroidInfo"), n.Vendor...)
	}
	return append(dst, '}')
}

// isObject says whether text is one JSON object: anything else would break the record around it.
func isObject(text string) bool {
	if text == "" {
		return false
	}
	value := jsontext.Value(text)
	return value.Kind() == '{' && value.IsValid()
}
