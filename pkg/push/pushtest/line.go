package pushtest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http2/hpack"
)

// appendRecord writes r as one JSON line, without reflection: the ledger must not slow the simulator.
func appendRecord(dst []byte, r Record, replaces string) []byte {
	if dst == nil {
		dst = make([]byte, 0, 512+len(r.Body))
	}
	dst = append(dst, `{"time":"`...)
	dst = r.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","platform":`...)
	dst = appendString(dst, string(r.Platform))
	dst = append(dst, `,"id":`...)
	dst = appendString(dst, r.ID)
	dst = append(dst, `,"token":`...)
	dst = appendString(dst, r.Token)
	dst = append(dst, `,"headers":{`...)
	dst = appendHeader(dst, r.Header)
	dst = append(dst, `},"body":`...)
	dst = appendBody(dst, r.Body)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	if r.Reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, r.Reason)
	}
	if replaces != "" {
		dst = append(dst, `,"replaces":`...)
		dst = appendString(dst, replaces)
	}
	return append(dst, '}', '\n')
}

// appendHeader writes the members of the headers object: sorted, several values of a name joined by commas.
func appendHeader(dst []byte, header []hpack.HeaderField) []byte {
	var room [16]hpack.HeaderField
	sorted := append(room[:0], header...)
	slices.SortStableFunc(sorted, func(a, b hpack.HeaderField) int { return strings.Compare(a.Name, b.Name) })
	first := true
	for i := 0; i < len(sorted); {
		name, value := sorted[i].Name, sorted[i].Value
		for i++; i < len(sorted) && sorted[i].Name == name; i++ {
			value += ", " + sorted[i].Value
		}
		if name == "authorization" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, value)
	}
	return dst
}

// appendBody writes a JSON body without white space, its strings as they came; any other body as a string.
func appendBody(dst []byte, body []byte) []byte {
	compact, err := jsontext.AppendFormat(dst, body,
		jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return appendString(dst, string(body))
	}
	return compact
}

// appendString quotes s; bytes that are not UTF-8 become U+FFFD, which is what the error of AppendQuote is about.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
