package timeline

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
)

// name stands for one message: a hash of its app and key, which may be long and hold any character.
type name [sha256.Size]byte

func nameOf(app, msgKey string) name { return sha256.Sum256([]byte(app + "\x00" + msgKey)) }

// key is the timeline's of one class in Redis. Its 128 bits leave no chance that two messages are mistaken for each other.
func (n name) key(c class) string { return c.prefix() + n.text() }

// leftOut names the number of events that had no room.
func (n name) leftOut() string { return "en:" + n.text() }

func (n name) text() string { return base64.RawURLEncoding.EncodeToString(n[:16]) }

// share is where the message stands among all, from 0 up to 1: below the sample's share it is part of it, whoever asks.
func (n name) share() float64 {
	return float64(binary.BigEndian.Uint64(n[16:])>>11) / (math.MaxUint64>>11 + 1)
}
