// Package payload writes the JSON that platforms send. Names and values flow in; bytes flow out, with no other escapes
// than JSON requires, and cut to a provider's limit where they are too many. It promises that what does not fit is cut
// in one place alone: after a whole grapheme cluster of the body, which then ends in an ellipsis.
package payload

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rivo/uniseg"
)

// ellipsis ends a body that was cut.
const ellipsis = "…"

// Fit renders a payload of at most limit bytes. Where the whole body makes it larger, the body is cut no further than
// the limit needs. false = too large however short the body gets. render's result must hold its argument as one JSON
// string, and the same bytes around it each time.
func Fit(limit int, body string, render func(body string) []byte) ([]byte, bool) {
	if len(body) <= limit { // a longer one never fits: its quoted form is no shorter
		if whole := render(body); len(whole) <= limit {
			return whole, true
		}
	}
	if body == "" {
		return nil, false
	}
	room := limit - len(render(ellipsis))
	if room < 0 {
		return nil, false
	}
	return render(cut(body, room) + ellipsis), true
}

// cut returns as many whole grapheme clusters of s as take at most room bytes inside a JSON string.
func cut(s string, room int) string {
	var quoted []byte
	rest, state := s, -1
	for rest != "" {
		var cluster, following string
		cluster, following, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		quoted = AppendString(quoted[:0], cluster)
		room -= len(quoted) - len(`""`)
		if room < 0 {
			break
		}
		rest = following
	}
	return s[:len(s)-len(rest)]
}

// AppendMember appends a member of an object, unless its value is "".
func AppendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return AppendString(AppendName(dst, name), value)
}

// AppendNumber appends a member of an object.
func AppendNumber(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(AppendName(dst, name), value, 10)
}

// AppendName appends the name of an object's next member, and a comma where it is not the first; dst must not be empty.
// Names need no escapes.
func AppendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// AppendString quotes s. Bytes that are not UTF-8 become U+FFFD, and that is all that the error of AppendQuote is about.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
