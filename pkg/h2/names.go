package h2

import (
	"net/http"
	"strings"
)

// wireName is a request field's name in lower case, and whether the field stays here: it concerns HTTP/1's connection, or
// is written by this package.
func wireName(name string) (lower string, skip bool) {
	lower, known := lowerNames[name]
	if !known {
		lower = strings.ToLower(name)
	}
	switch lower {
	case "host", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length":
		return lower, true
	}
	return lower, false
}

// lowerNames spares an allocation for the fields that requests carry most.
var lowerNames = map[string]string{
	"Accept":           "accept",
	"Apns-Collapse-Id": "apns-collapse-id",
	"Apns-Expiration":  "apns-expiration",
	"Apns-Id":          "apns-id",
	"Apns-Priority":    "apns-priority",
	"Apns-Push-Type":   "apns-push-type",
	"Apns-Topic":       "apns-topic",
	"Authorization":    "authorization",
	"Content-Type":     "content-type",
	"User-Agent":       "user-agent",
}

// names are a connection's cache of a response's field names, in the form of [http.Header]. Only its reader uses it.
type names map[string]string

// maxNames bounds the cache: what a server sends beyond it is converted each time.
const maxNames = 64

func (n names) canonical(lower string) string {
	if name, known := n[lower]; known {
		return name
	}
	name := http.CanonicalHeaderKey(lower)
	if len(n) < maxNames {
		n[lower] = name
	}
	return name
}
