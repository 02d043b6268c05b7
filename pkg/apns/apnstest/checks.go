package apnstest

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

// The limits of a payload, in bytes.
const (
	maxPayload     = 4096
	maxVoIPPayload = 5120
)

// maxCollapseID is the limit of a collapse id, in bytes.
const maxCollapseID = 64

// The lengths of a device token in hexadecimal digits. Apple issues 64 today and asks not to rely on it; 200 is the
// longest that its interfaces document.
const (
	minToken = 64
	maxToken = 200
)

// topicSuffix is what a push type appends to the bundle id in apns-topic. false = there is no such type.
func topicSuffix(pushType string) (string, bool) {
	switch pushType {
	case "alert", "background", "mdm", "controls":
		return "", true
	case "location":
		return ".location-query", true
	case "voip":
		return ".voip", true
	case "complication":
		return ".complication", true
	case "fileprovider":
		return ".pushkit.fileprovider", true
	case "liveactivity":
		return ".push-type.liveactivity", true
	case "pushtotalk":
		return ".voip-ptt", true
	case "widgets":
		return ".push-type.widgets", true
	}
	return "", false
}

// fields are the header fields that APNs looks at; "" = missing.
type fields struct {
	authorization, id, expiration, priority, topic, pushType, collapseID string

	duplicate bool
}

func fieldsOf(header []hpack.HeaderField) fields {
	var f fields
	var seen uint8
	set := func(bit uint8, field *string, value string) {
		if seen&bit != 0 {
			f.duplicate = true
			return
		}
		seen |= bit
		*field = value
	}
	for i := range header {
		switch value := header[i].Value; header[i].Name {
		case "authorization":
			set(1, &f.authorization, value)
		case "apns-id":
			set(2, &f.id, value)
		case "apns-expiration":
			set(4, &f.expiration, value)
		case "apns-priority":
			set(8, &f.priority, value)
		case "apns-topic":
			set(16, &f.topic, value)
		case "apns-push-type":
			set(32, &f.pushType, value)
		case "apns-collapse-id":
			set(64, &f.collapseID, value)
		}
	}
	if f.pushType == "" {
		f.pushType = "alert" // as for clients older than the header
	}
	return f
}

// checkPath returns the device token of a path, which may be "" or wrong, and an answer where path or method are wrong.
func checkPath(r *wire.Request) (string, answer) {
	token, ok := strings.CutPrefix(r.Path, "/3/device/")
	if !ok || strings.Contains(token, "/") {
		return "", refused(http.StatusNotFound, "BadPath")
	}
	if r.Method != http.MethodPost {
		return token, refused(http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
	return token, answer{}
}

func checkToken(token string) (reason string) {
	if token == "" {
		return "MissingDeviceToken"
	}
	var decoded [maxToken / 2]byte
	if len(token) < minToken || len(token) > maxToken {
		return "BadDeviceToken"
	}
	if _, err := hex.Decode(decoded[:], []byte(token)); err != nil {
		return "BadDeviceToken"
	}
	return ""
}

func (f *fields) check() (reason string) {
	if f.duplicate {
		return "DuplicateHeaders"
	}
	if f.id != "" && !canonicalUUID(f.id) {
		return "BadMessageId"
	}
	if f.expiration != "" {
		if seconds, err := strconv.ParseInt(f.expiration, 10, 64); err != nil || seconds < 0 {
			return "BadExpirationDate"
		}
	}
	if _, known := topicSuffix(f.pushType); !known {
		return "InvalidPushType"
	}
	switch f.priority {
	case "5":
	case "", "10", "1":
		if f.pushType == "background" {
			return "BadPriority"
		}
	default:
		return "BadPriority"
	}
	if len(f.collapseID) > maxCollapseID {
		return "BadCollapseId"
	}
	return ""
}

// checkTopic wants a topic that is allowed, with the suffix that its push type asks for.
func (f *fields) checkTopic(allowed topics) (reason string) {
	topic := f.topic
	if topic == "" {
		if topic = allowed.only(); topic == "" {
			return "MissingTopic"
		}
	}
	if !topicName(topic) {
		return "BadTopic"
	}
	suffix, _ := topicSuffix(f.pushType)
	bundle, ok := strings.CutSuffix(topic, suffix)
	if !ok || bundle == "" || !allowed.allow(topic, bundle) {
		return "TopicDisallowed"
	}
	return ""
}

func (f *fields) checkSize(body []byte) answer {
	limit := maxPayload
	if f.pushType == "voip" {
		limit = maxVoIPPayload
	}
	switch {
	case len(body) == 0:
		return refused(http.StatusBadRequest, "PayloadEmpty")
	case len(body) > limit:
		return refused(http.StatusRequestEntityTooLarge, "PayloadTooLarge")
	}
	return answer{status: http.StatusOK}
}

// topics are what an authorization may push to.
type topics struct {
	bundles []string // of a key: bundle ids; none = all
	exact   []string // of a certificate: topics with their suffixes
}

func (t topics) allow(topic, bundle string) bool {
	if t.exact != nil {
		return slices.Contains(t.exact, topic)
	}
	return len(t.bundles) == 0 || slices.Contains(t.bundles, bundle)
}

// only is the topic of a certificate that has no other: Apple takes it where the header is missing.
func (t topics) only() string {
	if len(t.exact) == 1 {
		return t.exact[0]
	}
	return ""
}

// canonicalUUID says whether s is 8-4-4-4-12 hexadecimal digits in lower case.
func canonicalUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
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

// topicName says whether s is letters, digits, dots and hyphens, 1 to 255 of them.
func topicName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
