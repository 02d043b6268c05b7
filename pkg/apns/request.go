package apns

import (
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// The lengths of a device token in hexadecimal digits. Apple issues 64 and asks not to rely on it; 200 is the longest
// that its interfaces document.
const (
	minTokenLength = 64
	maxTokenLength = 200
)

// maxCollapseID is Apple's limit of a collapse id, in bytes.
const maxCollapseID = 64

// request is what a notification becomes: Apple's headers and payload.
type request struct {
	id         string
	topic      string
	pushType   apns2.EPushType
	priority   int
	expiration time.Time // zero = no such header
	collapseID string    // "" = no such header
	payload    []byte
}

// render gives the outcome instead where n can never be sent: an id or a collapse id that Apple would refuse, or that
// is no header value, a type that Apple does not have, and an alert of nothing are [push.ReasonPayloadRejected].
func render(n *push.Notification, bundleID string) (request, *push.Outcome) {
	d, known := deliveryOf(n.Type)
	if err := check(n, known); err != nil {
		return request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Err: err}
	}
	payload, ok := buildPayload(n, d.limit)
	if !ok {
		return request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}
	}
	r := request{
		id: n.ID, topic: bundleID + d.topicSuffix, pushType: d.pushType, priority: d.priority, expiration: n.Expires,
		payload: payload,
	}
	if d.collapses {
		r.collapseID = n.CollapseID
	}
	return r, nil
}

// headers are those that Apple gets, without authorization.
func (r request) headers() map[string]string {
	headers := map[string]string{
		"apns-id":        r.id,
		"apns-topic":     r.topic,
		"apns-push-type": string(r.pushType),
		"apns-priority":  strconv.Itoa(r.priority),
	}
	if !r.expiration.IsZero() {
		headers["apns-expiration"] = strconv.FormatInt(r.expiration.Unix(), 10)
	}
	if r.collapseID != "" {
		headers["apns-collapse-id"] = r.collapseID
	}
	return headers
}

// placeholder is the payload that apns2 sees. It would run json.Marshal over the true one, which costs time and writes
// <, > and & as six bytes each; the transport puts the true one in its place.
var placeholder = []byte(`{}`)

// notification is r for apns2.
func (r request) notification(token string) *apns2.Notification {
	return &apns2.Notification{
		ApnsID:      r.id,
		CollapseID:  r.collapseID,
		DeviceToken: token,
		Topic:       r.topic,
		Expiration:  r.expiration,
		Priority:    r.priority,
		PushType:    r.pushType,
		Payload:     placeholder,
	}
}

// checkToken keeps out of a request's path whatever is not a token. Its errors never quote it.
func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("device token: empty")
	case len(token) < minTokenLength || len(token) > maxTokenLength || len(token)%2 != 0:
		return errors.New("device token: want 64 to 200 hexadecimal digits, an even number")
	}
	if _, err := hex.DecodeString(token); err != nil {
		return errors.New("device token: not hexadecimal")
	}
	return nil
}

// check keeps away from Apple whatever it would refuse, or take and then show nothing of.
func check(n *push.Notification, knownType bool) error {
	if !knownType {
		return errors.New("type: want an alert, a call or a background push")
	}
	if n.Type == push.TypeAlert && n.Title == "" && n.Subtitle == "" && n.Body == "" && n.Badge == push.NoBadge && n.Sound == push.SoundSilent {
		return errors.New("alert: no text, no badge and no sound")
	}
	if !isUUID(n.ID) {
		return errors.New("id: want a UUID in lower case")
	}
	if len(n.CollapseID) > maxCollapseID {
		return errors.New("collapse id: want at most 64 bytes")
	}
	for _, c := range []byte(n.CollapseID) {
		if c <= ' ' || c > '~' {
			return errors.New("collapse id: want visible ASCII characters")
		}
	}
	return nil
}

// isUUID says whether s has the canonical form, in lower case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
