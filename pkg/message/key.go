package message

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// How long a second record with the same fields counts as the same message: what the IM's REST interface documents.
const (
	duplicateWindow      = 120 * time.Second
	groupDuplicateWindow = 5 * time.Minute
)

// namespace of the notification ids: the v5 UUID of https://github.com/pushfleet/pushfleet in the URL namespace.
var namespace = uuid.MustParse("500ba4e6-f0f7-5545-8696-97d6f1f36c21")

type claim struct {
	key, content string
	window       time.Duration
}

// Claim is what tells this message from others while its duplicate window lasts: key is a short hash over the fields that
// duplicates share, whatever their MsgTimeStamp, to be used together with the App; content tells apart one-to-one
// messages under one key, and is "" where the key alone decides.
func (m *Message) Claim() (key, content string, window time.Duration) {
	return m.claim.key, m.claim.content, m.claim.window
}

// KeyWithContent is the key of a one-to-one message whose Key another message with other content took before.
func (m *Message) KeyWithContent() string { return m.Key + "_" + checksum(m.bodySum) }

// identify fills Key and the claim. Without MsgRandom or Random a message is known by its place in the log alone, and
// has no duplicates but the record itself, read again.
func (m *Message) identify(r *record) {
	random := r.MsgRandom
	m.claim.window = duplicateWindow
	if m.Group != "" {
		random = r.Random
		m.claim.window = groupDuplicateWindow
	}
	if !random.present {
		m.Key = "at:" + m.Origin
		m.claim.key = digest([]byte(m.Key))
		return
	}
	key := append(make([]byte, 0, 192), m.conversation()...)
	key = append(key, ':')
	if m.Group == "" {
		key = append(strconv.AppendInt(key, r.Seq.value, 10), '_')
		m.claim.content = checksum(m.bodySum)
	}
	key = strconv.AppendInt(key, random.value, 10)
	m.claim.key = digest(key)
	stamp := m.Time.Unix()
	if r.TimeStamp.present {
		stamp = r.TimeStamp.value
	}
	m.Key = string(strconv.AppendInt(append(key, '_'), stamp, 10))
}

// conversation is what phones group by, and the first part of a message key.
func (m *Message) conversation() string {
	if m.Group != "" {
		return "group:" + m.Group
	}
	return "c2c:" + m.From
}

// digest is short enough for a Redis key of every message, and long enough (128 bits) never to collide by chance.
func digest(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func checksum(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// NotificationID derives the id of a push, a lower-case UUIDv5: one message, user, device and purpose have one id, whoever
// computes it and however often. purpose is "" for the first push; "recall" or "fallback" for what replaces it.
func NotificationID(app, msgKey, user, device, purpose string) string {
	name := make([]byte, 0, 256)
	name = append(append(name, app...), 0)
	name = append(append(name, msgKey...), 0)
	name = append(append(name, user...), 0)
	name = append(name, device...)
	if purpose != "" {
		name = append(append(name, 0), purpose...)
	}
	return uuid.NewSHA1(namespace, name).String()
}
