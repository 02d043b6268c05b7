package stream

import (
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Topics names the fleet's topics, each behind the configured prefix.
type Topics struct{ Prefix string }

// Messages holds chat messages, as IM services produce them.
func (t Topics) Messages() string { return t.Prefix + "im.messages" }

// Devices holds device events that are rare: logins, tokens, settings.
func (t Topics) Devices() string { return t.Prefix + "im.devices" }

// Presence holds device events that are frequent: foreground, background, heartbeats.
func (t Topics) Presence() string { return t.Prefix + "im.presence" }

// Groups holds memberships, compacted.
func (t Topics) Groups() string { return t.Prefix + "im.groups" }

// Receipts holds read marks, recalls and acknowledgements.
func (t Topics) Receipts() string { return t.Prefix + "im.receipts" }

// Offline holds what the IM's gateway hands to its offline-message callback.
func (t Topics) Offline() string { return t.Prefix + "im.offline" }

// Callbacks holds what an operator sends back of callbacks that were dead letters.
func (t Topics) Callbacks() string { return t.Prefix + "push.callbacks" }

// InputDead holds the dead letters of one of the Inputs: what could not be read, or not be told; topic is the whole name, prefix included.
func (t Topics) InputDead(topic string) string { return topic + ".dead" }

// Inputs lists the topics that have an InputDead: what others write, what route writes to itself, and callbacks.
func (t Topics) Inputs() []string {
	return []string{t.Messages(), t.Devices(), t.Presence(), t.Groups(), t.Receipts(), t.Fanout(), t.Callbacks()}
}

// Registry holds the full state of every device binding and user, compacted.
func (t Topics) Registry() string { return t.Prefix + "push.registry" }

// Fanout holds messages to big groups on their way back to route, each with a range of the group's buckets.
func (t Topics) Fanout() string { return t.Prefix + "push.fanout" }

// Events holds outcomes, packed.
func (t Topics) Events() string { return t.Prefix + "push.events" }

// Control holds what is paused, and which credentials can send again, compacted.
func (t Topics) Control() string { return t.Prefix + "push.control" }

// Work holds the notifications of one platform and lane.
func (t Topics) Work(p push.Platform, l push.Lane) string {
	return t.Prefix + "push." + string(p) + "." + string(l)
}

// Retry holds the notifications of one platform that wait for delay, from the time they were appended.
func (t Topics) Retry(p push.Platform, delay time.Duration) string {
	return t.Prefix + "push." + string(p) + ".retry." + DelayName(delay)
}

// Parked holds the notifications of one platform whose credential cannot send now.
func (t Topics) Parked(p push.Platform) string { return t.Prefix + "push." + string(p) + ".parked" }

// Dead holds the notifications of one platform that can never be sent.
func (t Topics) Dead(p push.Platform) string { return t.Prefix + "push." + string(p) + ".dead" }

// DelayName is the shortest form of a delay: "10s", "1m", "1h", "1m30s".
func DelayName(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
