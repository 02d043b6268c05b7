package apnstest

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
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

// topicSuffix is what a push type appends to the bundle id in apns-topic.
var topicSuffix = map[string]string{
	"alert":        "",
	"background":   "",
	"mdm":          "",
	"controls":     "",
	"location":     ".location-query",
	"voip":         ".voip",
	"complication": ".complication",
	"fileprovider": ".pushkit.fileprovider",
	"liveactivity": ".push-type.liveactivity",
	"pushtotalk":   ".voip-ptt",
	"widgets":      ".push-type.widgets",
}

var (
	canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	topicName     = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`)
)

// checkPath returns the device token of a path, which may be "" or wrong, and an answer where path or method are wrong.
func checkPath(r *http.Request) (string, answer) {
	token, ok := strings.CutPrefix(r.URL.Path, "/3/device/")
	if !ok || strings.Contains(token, "/") {
		return "", answer{status: http.StatusNotFound, reason: "BadPath"}
	}
	if r.Method != http.MethodPost {
		return token, answer{status: http.StatusMethodNotAllowed, reason: "MethodNotAllowed"}
	}
	return token, answer{}
}

func checkToken(token string) (reason string) {
	if token == "" {
		return "MissingDeviceToken"
	}
	if _, err := hex.DecodeString(token); err != nil || len(token) < minToken || len(token) > maxToken {
		return "BadDeviceToken"
	}
	return ""
}

func checkHeaders(header http.Header) (reason string) {
	for _, name := range []string{"Authorization", "Apns-Id", "Apns-Expiration", "Apns-Priority", "Apns-Topic", "Apns-Push-Type", "Apns-Collapse-Id"} {
		if len(header[name]) > 1 {
			return "DuplicateHeaders"
		}
	}
	if id := header.Get("Apns-Id"); id != "" && !canonicalUUID.MatchString(id) {
		return "BadMessageId"
	}
	if expiration := header.Get("Apns-Expiration"); expiration != "" {
		if seconds, err := strconv.ParseInt(expiration, 10, 64); err != nil || seconds < 0 {
			return "BadExpirationDate"
		}
	}
	pushType := pushType(header)
	if _, known := topicSuffix[pushType]; !known {
		return "InvalidPushType"
	}
	switch header.Get("Apns-Priority") {
	case "5":
	case "", "10", "1":
		if pushType == "background" {
			return "BadPriority"
		}
	default:
		return "BadPriority"
	}
	if len(header.Get("Apns-Collapse-Id")) > maxCollapseID {
		return "BadCollapseId"
	}
	return ""
}

// checkTopic wants the topic of a key, with the suffix that its push type asks for.
func checkTopic(header http.Header, key Key) (reason string) {
	topic := header.Get("Apns-Topic")
	if topic == "" {
		return "MissingTopic"
	}
	if !topicName.MatchString(topic) {
		return "BadTopic"
	}
	bundle, ok := strings.CutSuffix(topic, topicSuffix[pushType(header)])
	if !ok || !key.allows(bundle) {
		return "TopicDisallowed"
	}
	return ""
}

func checkSize(header http.Header, body []byte) answer {
	limit := maxPayload
	if pushType(header) == "voip" {
		limit = maxVoIPPayload
	}
	switch {
	case len(body) == 0:
		return answer{status: http.StatusBadRequest, reason: "PayloadEmpty"}
	case len(body) > limit:
		return answer{status: http.StatusRequestEntityTooLarge, reason: "PayloadTooLarge"}
	}
	return answer{status: http.StatusOK}
}

// pushType is alert where the header is missing, as it is for clients older than the header.
func pushType(header http.Header) string {
	if t := header.Get("Apns-Push-Type"); t != "" {
		return t
	}
	return "alert"
}
