package message

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
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

// identify fills Key, the conversation and the claim. Without MsgRandom or Random a message is known by its first place in
// the log alone, and has no duplicates but the record itself, read again.
func (m *Message) identify(r *record, place string) {
	random := r.MsgRandom
	m.claim.window = duplicateWindow
	if m.Group != "" {
		random = r.Random
		m.claim.window = groupDuplicateWindow
	}
	kind, name := "c2c:", m.From
	if m.Group != "" {
		kind, name = "group:", m.Group
	}
	if !random.present {
		m.conversation = kind + name
		m.Key = "at:" + place
		m.claim.key = digest([]byte(m.Key))
		return
	}
	key := append(append(make([]byte, 0, 192), kind...), name...)
	conversation := len(key)
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
	m.conversation = m.Key[:conversation]
}

// BodySum is the checksum, 8 hex digits, that tells apart one-to-one messages under one Key; "" where no two messages
// share one: in groups, and where the key is the record's place.
func (m *Message) BodySum() string { return m.claim.content }

// SplitKey takes a message key apart: the checksum of its content, where [Message.KeyWithContent] wrote one, and the key
// before it. Whatever has not the form of such a key is a key without.
func SplitKey(msgKey string) (key, content string) {
	if !strings.HasPrefix(msgKey, "c2c:") {
		return msgKey, ""
	}
	// The sender may hold any of these characters; nothing behind it holds a colon.
	numbers := msgKey[strings.LastIndexByte(msgKey, ':')+1:]
	for range 3 {
		digits := strings.TrimLeft(numbers, "0123456789")
		if len(digits) == len(numbers) || digits == "" || digits[0] != '_' {
			return msgKey, ""
		}
		numbers = digits[1:]
	}
	if len(numbers) != 8 || strings.Trim(numbers, "0123456789abcdef") != "" {
		return msgKey, ""
	}
	return msgKey[:len(msgKey)-len("_")-len(numbers)], numbers
}

// KeyParts is what a message key says.
type KeyParts struct {
	Sender string // of a one-to-one message
	Group  string // of a group message; exactly one of both is set
	Seq    uint32 // of a one-to-one message
	Random uint32
	Time   int64 // MsgTimeStamp, in seconds
}

// ParseKey reads a message key; false where it has not the form of one that tells anything, as the place of a message
// without a random.
func ParseKey(msgKey string) (KeyParts, bool) {
	key, _ := SplitKey(msgKey)
	kind, rest, _ := strings.Cut(key, ":")
	at := strings.LastIndexByte(rest, ':') // the name may hold any of these characters
	if at < 1 {
		return KeyParts{}, false
	}
	name, numbers := rest[:at], strings.Split(rest[at+1:], "_")
	var p KeyParts
	var err error
	number := func(text string, bits int) (n uint64) {
		if err == nil {
			n, err = strconv.ParseUint(text, 10, bits)
		}
		return n
	}
	switch {
	case kind == "c2c" && len(numbers) == 3:
		p.Sender, p.Seq = name, uint32(number(numbers[0], 32))
	case kind == "group" && len(numbers) == 2:
		p.Group = name
	default:
		return KeyParts{}, false
	}
	p.Random = uint32(number(numbers[len(numbers)-2], 32))
	p.Time = int64(number(numbers[len(numbers)-1], 63))
	if err != nil {
		return KeyParts{}, false
	}
	return p, true
}

// Conversation is c2c:<sender> or group:<group>: what phones group by, the first part of a message key, and what a
// recipient's receive option names.
func (m *Message) Conversation() string { return m.conversation }

// digest is short enough for a Redis key of every message, and long enough (128 bits) never to collide by chance.
func digest(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func checksum(sum uint32) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// NotificationID derives the id of a push, a lower-case UUIDv5: one message, user, device and purpose have one id, whoever
// computes it and however often. purpose is "" for the first push; else one of push's Purpose constants.
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
