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
	expiration time.Time // zero = no such header
	collapseID string    // "" = no such header
	payload    []byte
}

// render gives the outcome instead where n can never be sent: an id or a collapse id that Apple would refuse, or that
// is no header value, is [push.ReasonPayloadRejected].
func render(n *push.Notification, topic string) (request, *push.Outcome) {
	if err := checkIDs(n); err != nil {
		return request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Err: err}
	}
	payload, ok := buildPayload(n)
	if !ok {
		return request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}
	}
	return request{id: n.ID, topic: topic, expiration: n.Expires, collapseID: n.CollapseID, payload: payload}, nil
}

// headers are those that Apple gets, without authorization.
func (r request) headers() map[string]string {
	headers := map[string]string{
		"apns-id":        r.id,
		"apns-topic":     r.topic,
		"apns-push-type": string(apns2.PushTypeAlert),
		"apns-priority":  strconv.Itoa(apns2.PriorityHigh),
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
		Priority:    apns2.PriorityHigh,
		PushType:    apns2.PushTypeAlert,
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

// checkIDs keeps out of a request's headers whatever Apple would refuse.
func checkIDs(n *push.Notification) error {
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
