// Package push is the vocabulary that the roles and the platforms share: a rendered [Notification] flows in to a
// [Sender], an [Outcome] per notification flows out. It promises nothing but meaning: plain values, closed lists of
// reasons, and the interfaces that a platform implements. It imports the standard library only, so that a platform can
// be written without knowing Kafka, Redis or another platform.
package push

import "time"

// Platform names a push provider in topics, metric labels, configuration and records: "apns", "fcm". It is an open
// string: a new platform is a new package and a line in the table of the fleet.
type Platform string

// Lane separates traffic by urgency. Each lane is a topic of its own, because nothing overtakes inside a log.
type Lane string

// The lanes, most urgent first.
const (
	LaneUrgent Lane = "urgent"
	LaneNormal Lane = "normal"
	LaneBulk   Lane = "bulk"
)

// Lanes lists every lane, most urgent first.
var Lanes = []Lane{LaneUrgent, LaneNormal, LaneBulk}

// NoBadge is the [Notification.Badge] of a notification that leaves the number on the icon alone.
const NoBadge = -1

// Purpose says why a notification exists beside the first push of its message; it is part of the notification's id.
const (
	PurposeFirst    = ""         // the message's own push
	PurposeRecall   = "recall"   // replaces what the first push shows
	PurposeFallback = "fallback" // goes out where the device's own service did not acknowledge the first push
	PurposeSync     = "sync"     // corrects the number on the icon after messages were read on another device
)

// Type says what a push does when it arrives.
type Type string

// The types of a push.
const (
	TypeAlert      Type = ""           // it shows a notification
	TypeVoIP       Type = "voip"       // it rings: a call
	TypeBackground Type = "background" // it wakes the app and shows nothing
)

// SoundSilent is the sound name with which a message asks for no sound at all.
const SoundSilent = "push.no_sound"

// Notification is one rendered push for one device, free of any provider's format. Route fills it once; a platform
// turns it into its bytes. A Notification is read-only once it was handed to a Sender.
type Notification struct {
	ID      string // UUIDv5, lower case; derived, so that a repeated record yields the same one
	App     string // the IM application, owner of the credential
	User    string
	Device  string
	MsgKey  string // key of the chat message
	Purpose string // one of the Purpose constants
	Type    Type

	Platform   Platform
	Token      string // provider's device token: secret, never in logs, errors or metrics
	Credential string // name of the credential inside App
	Version    int64  // version of the device binding that Token was read from

	Title    string // "" = none
	Subtitle string // "" = none
	Body     string // cut by the platform where its size limit needs it
	Ext      string // opaque to us, handed to the app on a click; never cut
	Image    string // URL; "" = none
	Thread   string // groups notifications by conversation
	Badge    int    // number on the app's icon; NoBadge = leave it alone

	Sound        string // of the message, for Apple devices: "" = the platform's default, SoundSilent = none
	AndroidSound string // of the message, for Android devices: "" = none named, SoundSilent = none
	Channel      string // Android notification channel; "" = the app's mapping from sound to channel
	Mutable      bool   // the client's extension may change it before it is shown
	Interruption string // passive, active, time-sensitive, critical; "" = the platform's default
	Vendor       string // JSON object: the members of AndroidInfo that no platform here reads; "" = none

	Sender string // of the chat message; "" in a group message without one. For reports alone
	Seq    uint32 // of the chat message; 0 = none. For reports alone

	CollapseID string    // id of the first push of this message for this device: what it replaces
	Expires    time.Time // the provider stops trying then
	Received   time.Time // the chat record's time: latencies are measured from it
}

// Binding is what the registry knows of where a device's notifications go.
type Binding struct {
	Platform   Platform
	Token      string // secret; "" = push is off
	Credential string
	Language   string // BCP 47
	VoIPToken  string // secret; where calls go on Apple's devices, "" = nowhere
	Service    bool   // the device's own service takes offline messages; Platform and Token are the fallback
	Version    int64  // grows with every change of the binding
}
