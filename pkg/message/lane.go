package message

import "github.com/pushfleet/pushfleet/pkg/push"

// priority is MsgPriority. A value that this package does not know counts as Normal: the IM may have learned it before us.
type priority string

const (
	priorityHigh priority = "High"
	priorityLow  priority = "Low"
)

// Lane is where the message's pushes belong as far as the message decides: calls are urgent, what the sender marked Low
// is bulk, and everything else, High included, is normal.
func (m *Message) Lane() push.Lane {
	switch {
	case m.Type() == push.TypeVoIP:
		return push.LaneUrgent
	case m.priority == priorityLow:
		return push.LaneBulk
	}
	return push.LaneNormal
}

// FanoutLane is [Message.Lane] of a message to a group so big that its pushes would hold up others: High keeps the normal
// lane, the rest is bulk. Calls stay urgent.
func (m *Message) FanoutLane() push.Lane {
	if lane := m.Lane(); lane == push.LaneUrgent || m.priority == priorityHigh {
		return lane
	}
	return push.LaneBulk
}
