package operate

import (
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Detail is all of a letter that may be shown.
type Detail struct {
	Letter
	Bytes     int               `json:"bytes"` // of the value
	Headers   map[string]string `json:"headers,omitempty"`
	Marks     []Mark            `json:"marks,omitempty"` // what was done to it; left to the caller
	FirstSeen *time.Time        `json:"first_seen,omitempty"`

	Purpose   string     `json:"purpose,omitempty"`
	Version   int64      `json:"version,omitempty"` // of the device binding
	TokenHash string     `json:"token_hash,omitempty"`
	Received  *time.Time `json:"received,omitempty"` // the chat record's time
	Expires   *time.Time `json:"expires,omitempty"`

	Text    *Text  `json:"text,omitempty"`    // of a notification, where it was asked for
	Message string `json:"message,omitempty"` // an im.messages record as produced, where it was asked for
}

// Text is what a notification shows.
type Text struct {
	Title    string `json:"title,omitempty"`
	Subtitle string `json:"subtitle,omitempty"`
	Body     string `json:"body,omitempty"`
	Ext      string `json:"ext,omitempty"`
}

// shownHeaders are the headers whose values this program knows the meaning of; a producer's others may say anything.
var shownHeaders = map[string]bool{
	stream.HeaderID: true, stream.HeaderLane: true, stream.HeaderAttempt: true, stream.HeaderNotBefore: true,
	stream.HeaderFirstSeen: true, stream.HeaderReason: true, stream.HeaderAnswer: true, stream.HeaderOrigin: true,
	stream.HeaderRedrive: true, stream.HeaderTraceparent: true, "content-type": true,
}

// Detail describes the letter. reveal adds what the message says; a device event's bytes are never shown, because they
// may hold a token.
func (d *DeadLetters) Detail(l Letter, reveal bool) Detail {
	detail := Detail{Letter: l, Bytes: len(l.record.Value), Headers: make(map[string]string), FirstSeen: set(l.meta.FirstSeen)}
	for _, h := range l.record.Headers {
		if shownHeaders[h.Key] {
			detail.Headers[h.Key] = string(h.Value)
		}
	}
	if n := l.notification; n != nil {
		detail.Purpose, detail.Version = n.Purpose, n.Version
		detail.TokenHash = registry.TokenHash(n.Token)
		detail.Received, detail.Expires = set(n.Received), set(n.Expires)
		if reveal {
			detail.Text = &Text{n.Title, n.Subtitle, n.Body, n.Ext}
		}
	}
	if t := d.topicOf(l); reveal && t.origin != "" && t.origin == t.names.Messages() {
		detail.Message = string(l.record.Value)
		if !utf8.ValidString(detail.Message) {
			detail.Message = "base16:" + hex.EncodeToString(l.record.Value)
		}
	}
	return detail
}

func set(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
