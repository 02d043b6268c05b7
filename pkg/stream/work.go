package stream

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// The headers of push.<platform>.*.
const (
	HeaderID          = "pf-id"
	HeaderLane        = "pf-lane"
	HeaderAttempt     = "pf-attempt"
	HeaderNotBefore   = "pf-not-before"
	HeaderFirstSeen   = "pf-first-seen"
	HeaderReason      = "pf-reason"
	HeaderAnswer      = "pf-answer"
	HeaderOrigin      = "pf-origin"
	HeaderRedrive     = "pf-redrive"
	HeaderRefused     = "pf-refused"
	HeaderTraceparent = "traceparent"
)

// Meta is what the headers of a notification's record say about its way.
type Meta struct {
	ID          string
	Lane        push.Lane
	Attempt     int       // number of the attempt that comes next, from 1; attempts that cost nothing do not raise it
	NotBefore   time.Time // not to be sent before; zero = now. In milliseconds
	FirstSeen   time.Time // when route wrote it first. In milliseconds
	Reason      push.Reason
	Answer      string    // the provider's status and reason
	Origin      string    // topic/partition/offset of the chat message
	Traceparent string    // W3C trace context
	Redrive     int       // how often an operator sent it back
	Refused     time.Time // when its provider first called its token unregistered; zero = never. In milliseconds
}

// Headers writes what is set.
func (m Meta) Headers() []Header {
	out := make([]Header, 0, 10)
	text := func(key, value string) {
		if value != "" {
			out = append(out, Header{Key: key, Value: []byte(value)})
		}
	}
	number := func(key string, value int64) {
		if value != 0 {
			out = append(out, Header{Key: key, Value: strconv.AppendInt(nil, value, 10)})
		}
	}
	text(HeaderID, m.ID)
	text(HeaderLane, string(m.Lane))
	number(HeaderAttempt, int64(m.Attempt))
	number(HeaderNotBefore, millis(m.NotBefore))
	number(HeaderFirstSeen, millis(m.FirstSeen))
	text(HeaderReason, string(m.Reason))
	text(HeaderAnswer, m.Answer)
	text(HeaderOrigin, m.Origin)
	number(HeaderRedrive, int64(m.Redrive))
	number(HeaderRefused, millis(m.Refused))
	text(HeaderTraceparent, m.Traceparent)
	return out
}

// ParseMeta reads the headers of a notification's record. Headers of other names are ignored; an error names the header
// that is not a number, and not its value.
func ParseMeta(headers []Header) (Meta, error) {
	var m Meta
	var bad string
	number := func(h Header) int64 {
		n, err := strconv.ParseInt(string(h.Value), 10, 64)
		if err != nil {
			bad = h.Key
		}
		return n
	}
	count := func(h Header) int {
		n := number(h)
		if n < 0 || n > 1<<31-1 {
			bad = h.Key
			return 0
		}
		return int(n)
	}
	for _, h := range headers {
		switch h.Key {
		case HeaderID:
			m.ID = string(h.Value)
		case HeaderLane:
			m.Lane = push.Lane(h.Value)
		case HeaderAttempt:
			m.Attempt = count(h)
		case HeaderNotBefore:
			m.NotBefore = fromMillis(number(h))
		case HeaderFirstSeen:
			m.FirstSeen = fromMillis(number(h))
		case HeaderReason:
			m.Reason = push.Reason(h.Value)
		case HeaderAnswer:
			m.Answer = string(h.Value)
		case HeaderOrigin:
			m.Origin = string(h.Value)
		case HeaderRedrive:
			m.Redrive = count(h)
		case HeaderRefused:
			m.Refused = fromMillis(number(h))
		case HeaderTraceparent:
			m.Traceparent = string(h.Value)
		}
	}
	if bad != "" {
		return m, fmt.Errorf("header %s is not a number in its range", bad)
	}
	return m, nil
}

// EncodeNotification returns the value of a notification's record.
func EncodeNotification(n *push.Notification) []byte {
	m := schemasv1.Notification{
		Id: n.ID, App: n.App, User: n.User, Device: n.Device, MsgKey: n.MsgKey, Purpose: n.Purpose,
		Platform: string(n.Platform), Token: n.Token, Credential: n.Credential, Version: n.Version,
		Title: n.Title, Subtitle: n.Subtitle, Body: n.Body, Ext: n.Ext, Image: n.Image, Thread: n.Thread,
		Sound: n.Sound, AndroidSound: n.AndroidSound, Channel: n.Channel, Mutable: n.Mutable,
		CollapseId: n.CollapseID, ExpiresMs: millis(n.Expires), ReceivedMs: millis(n.Received),
		Type: string(n.Type), Interruption: n.Interruption, Vendor: n.Vendor,
		Sender: n.Sender, MsgSeq: n.Seq,
	}
	if n.Badge != push.NoBadge {
		badge := int32(n.Badge)
		m.Badge = &badge
	}
	b := make([]byte, m.SizeVT())
	used, err := m.MarshalToSizedBufferVT(b)
	if err != nil { // the generated code fails only on a buffer that is too small
		panic(fmt.Sprintf("encoding a notification into %d bytes: %v", len(b), err))
	}
	return b[len(b)-used:]
}

// DecodeNotification reads the value of a notification's record.
func DecodeNotification(value []byte) (*push.Notification, error) {
	var m schemasv1.Notification
	if err := m.UnmarshalVT(value); err != nil {
		return nil, fmt.Errorf("notification record: %w", err)
	}
	n := &push.Notification{
		ID: m.Id, App: m.App, User: m.User, Device: m.Device, MsgKey: m.MsgKey, Purpose: m.Purpose,
		Platform: push.Platform(m.Platform), Token: m.Token, Credential: m.Credential, Version: m.Version,
		Title: m.Title, Subtitle: m.Subtitle, Body: m.Body, Ext: m.Ext, Image: m.Image, Thread: m.Thread,
		Badge: push.NoBadge,
		Sound: m.Sound, AndroidSound: m.AndroidSound, Channel: m.Channel, Mutable: m.Mutable,
		CollapseID: m.CollapseId, Expires: fromMillis(m.ExpiresMs), Received: fromMillis(m.ReceivedMs),
		Type: push.Type(m.Type), Interruption: m.Interruption, Vendor: m.Vendor,
		Sender: m.Sender, Seq: m.MsgSeq,
	}
	if m.Badge != nil {
		n.Badge = int(*m.Badge)
	}
	return n, nil
}

// millis is 0 for the zero time, which is how a record says "not set".
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
