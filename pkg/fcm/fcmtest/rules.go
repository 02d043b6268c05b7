package fcmtest

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

// rules are the standing rules of the present script.
type rules struct {
	faults.FCM
	began       time.Time
	project     *faults.Meter
	devices     []*faults.Meter
	topics      *faults.Limiter
	collapsible *faults.Limiter
	lives       map[string]faults.Life
}

// obey takes over the standing rules of a script.
func (s *Simulator) obey(script faults.Script, began time.Time) {
	r := &rules{
		FCM: script.FCM, began: began,
		project:     faults.NewMeter(script.FCM.ProjectQuota),
		topics:      faults.NewLimiter(script.FCM.TopicRate),
		collapsible: faults.NewLimiter(script.FCM.CollapsibleRate),
		lives:       make(map[string]faults.Life),
	}
	for _, quota := range script.FCM.DeviceQuotas {
		r.devices = append(r.devices, faults.NewMeter(quota))
	}
	for _, life := range script.FCM.Tokens {
		r.lives[life.Token] = life
	}
	s.rules.Store(r)
	s.oauth.obey(script.FCM, began)
}

// reasonDelayed is what the ledger says of an accepted message that FCM would hold back.
const reasonDelayed = "delayed"

// throttle refuses what is above a quota, and marks what is accepted late.
func (r *rules) throttle(req *request, reply *wire.Reply, now time.Time) *failure {
	if req.topic != "" {
		if ok, wait := r.topics.Take(req.topic, now); !ok {
			return exceeded("topic:"+req.topic, "Topic quota exceeded.", wait, now)
		}
		return nil
	}
	for _, quota := range r.devices {
		if ok, wait := quota.Take(req.token, now); !ok {
			return exceeded("device:"+req.token, "Device message rate exceeded.", wait, now)
		}
	}
	// A notification is always collapsible; data is where it has a key.
	if req.notification || req.collapseKey != "" {
		if ok, _ := r.collapsible.Take(req.token, now); !ok {
			reply.Line.Reason = reasonDelayed
		}
	}
	return nil
}
