package message

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// callLifeTime is how long a call without MsgLifeTime rings: a phone that is reached later has nothing to answer.
const callLifeTime = 30 * time.Second

// Type is what the message's pushes do when they arrive: ApnsInfo.PushType, which speaks for all platforms. A device that
// cannot ring gets a call as an alert.
func (m *Message) Type() push.Type { return m.template.Type }

// pushType reads ApnsInfo.PushType.
func pushType(name string) (push.Type, error) {
	switch name {
	case "", "alert":
		return push.TypeAlert, nil
	case "voip":
		return push.TypeVoIP, nil
	case "background":
		return push.TypeBackground, nil
	}
	return "", invalid("OfflinePushInfo.ApnsInfo.PushType", "none of alert, voip, background")
}

// interruptionOfCalls is the level of a call that is shown as an alert.
const interruptionOfCalls = "time-sensitive"

// checkInterruption says what is wrong with ApnsInfo.InterruptionLevel.
func checkInterruption(level string) error {
	switch level {
	case "", "passive", "active", "time-sensitive", "critical":
		return nil
	}
	return invalid("OfflinePushInfo.ApnsInfo.InterruptionLevel", "none of passive, active, time-sensitive, critical")
}
