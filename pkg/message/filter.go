package message

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Filter says why no device may get this message, or "" where devices decide. The sender's wish comes first (push_flag,
// online_only), then what the message is (no_text, but for background, which shows none), then time: expired where MsgLifeTime has ended or has less than a
// second left, since providers count in seconds; stale where the record is older than maxAge (0 = none is).
// The first that applies is the answer.
func (m *Message) Filter(now time.Time, maxAge time.Duration) push.Reason {
	switch {
	case m.silenced:
		return push.ReasonPushFlag
	case m.online:
		return push.ReasonOnlineOnly
	case len(m.alert.text) == 0 && m.Type() != push.TypeBackground:
		return push.ReasonNoText
	case m.Expires.Sub(now) < time.Second:
		return push.ReasonExpired
	case maxAge > 0 && now.Sub(m.RecordTime) > maxAge:
		return push.ReasonStale
	}
	return ""
}

// Counts says whether the message grows the badge: not with BadgeMode 1 or NoUnread, and not in the background.
func (m *Message) Counts() bool { return m.counts }
