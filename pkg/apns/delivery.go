package apns

import (
	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// The limits of a payload, in bytes.
const (
	maxPayload     = 4096
	maxVoIPPayload = 5120
)

// delivery is what a type of push means to Apple.
type delivery struct {
	pushType    apns2.EPushType
	topicSuffix string // of apns-topic, after the bundle id
	priority    int
	limit       int  // of the payload, in bytes
	collapses   bool // it shows something, which a later one may replace
}

// deliveryOf is false for a type that this platform does not know.
func deliveryOf(t push.Type) (delivery, bool) {
	switch t {
	case push.TypeAlert:
		return delivery{pushType: apns2.PushTypeAlert, priority: apns2.PriorityHigh, limit: maxPayload, collapses: true}, true
	case push.TypeVoIP:
		return delivery{pushType: apns2.PushTypeVOIP, topicSuffix: ".voip", priority: apns2.PriorityHigh, limit: maxVoIPPayload}, true
	case push.TypeBackground: // Apple refuses it with any other priority
		return delivery{pushType: apns2.PushTypeBackground, priority: apns2.PriorityLow, limit: maxPayload}, true
	}
	return delivery{}, false
}
