package apns

import (
	"errors"
	"net/http"
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

// render gives what n becomes, or the outcome instead where n can never be sent: an id or a collapse id that Apple would
// refuse, or that is no header value, a type that Apple does not have, and an alert of nothing are
// [push.ReasonPayloadRejected].
func render(n *push.Notification, bundleID string) (request, *push.Outcome) {
	var r request
	refused := r.render(n, bundleID)
	return r, refused
}

// render is the same in the memory of a request that was.
func (r *request) render(n *push.Notification, bundleID string) *push.Outcome {
	d, known := deliveryOf(n.Type)
	if err := check(n, known); err != nil {
		return &push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Err: err}
	}
	payload, ok := appendPayload(r.payload[:0], n, d.limit)
	if !ok {
		return &push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}
	}
	*r = request{
		id: n.ID, topic: bundleID + d.topicSuffix, pushType: d.pushType, priority: d.priority, expiration: n.Expires,
		payload: payload,
	}
	if d.collapses {
		r.collapseID = n.CollapseID
	}
	return nil
}

// each gives the headers that Apple gets, without authorization and expiration; names are in lower case, as HTTP/2 has
// them.
func (r *request) each(header func(name, value string)) {
	header("apns-id", r.id)
	header("apns-topic", r.topic)
	header("apns-push-type", string(r.pushType))
	header("apns-priority", strconv.Itoa(r.priority))
	if r.collapseID != "" {
		header("apns-collapse-id", r.collapseID)
	}
}

// headers are what a preview shows.
func (r *request) headers() map[string]string {
	headers := make(map[string]string, maxHeaders)
	r.each(func(name, value string) { headers[name] = value })
	if !r.expiration.IsZero() {
		headers[expirationHeader] = r.expires()
	}
	return headers
}

const expirationHeader = "apns-expiration"

func (r *request) expires() string { return strconv.FormatInt(r.expiration.Unix(), 10) }

// maxHeaders are those of each, expiration, authorization, and the agent's.
const maxHeaders = 8

// fields are the headers of a request, in memory that is used again.
type fields struct {
	header     http.Header
	values     [maxHeaders]string
	bearer     string // that authorized was made of
	authorized string
	expiration int64 // that expires was made of
	expires    string
}

// of is what goes out; bearer "" = no provider token. Names in lower case cost net/http no conversion.
func (f *fields) of(r *request, bearer string) http.Header {
	if f.header == nil {
		f.header = make(http.Header, maxHeaders)
	}
	clear(f.header)
	values := f.values[:0]
	set := func(name, value string) {
		values = append(values, value)
		f.header[name] = values[len(values)-1:]
	}
	r.each(set)
	if !r.expiration.IsZero() {
		if at := r.expiration.Unix(); f.expires == "" || f.expiration != at { // many messages of one second have the same
			f.expiration, f.expires = at, r.expires()
		}
		set(expirationHeader, f.expires)
	}
	if bearer != "" {
		if f.bearer != bearer {
			f.bearer, f.authorized = bearer, "bearer "+bearer
		}
		set("authorization", f.authorized)
	}
	f.header["User-Agent"] = nil // net/http sends one of its own else
	return f.header
}

// placeholder is the payload that apns2 sees. It would run json.Marshal over the true one, which costs time and writes
// <, > and & as six bytes each; the transport puts payload and headers in place.
var placeholder any = []byte(`{}`)

// checkToken keeps out of a request's path whatever is not a token. Its errors never quote it.
func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("device token: empty")
	case len(token) < minTokenLength || len(token) > maxTokenLength || len(token)%2 != 0:
		return errors.New("device token: want 64 to 200 hexadecimal digits, an even number")
	}
	for _, c := range []byte(token) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return errors.New("device token: not hexadecimal")
		}
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
