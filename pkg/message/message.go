// Package message is the contract with IM services: the bytes of an im.messages record flow in to [Parse], a [Message]
// flows out, and from it, per kind of device and language, what a phone shows and hears.
//
// It promises that no input makes it panic, that what a record costs in memory is bounded by its own length and never by a
// number inside it, that equal bytes give equal keys, and that no error quotes what the record says. It knows no platform
// but the difference that OfflinePushInfo itself makes between Apple's devices and all others.
package message

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// MaxRecord is the largest record that Parse accepts, in bytes: the contract's 1 MiB.
const MaxRecord = 1 << 20

// MaxRecipients is how many accounts To_Account of a one-to-one message may name, repeats and the sender included: the
// limit of the REST call for batches. A group's named recipients are bounded by MaxRecord alone.
const MaxRecipients = 500

// Envelope is what surrounds a record's value.
type Envelope struct {
	DefaultApp  string // App of messages that name none; "" = they are invalid
	Topic       string
	Partition   int32
	Offset      int64
	First       string    // where the record stood first, if an operator sent it back, as topic/partition/offset; "" = here
	Time        time.Time // the record's time
	ContentType string    // the record's content-type header; "" = application/json
}

// Message is one chat message, read and checked. It is read-only after [Parse] and safe for concurrent use.
type Message struct {
	App   string
	From  string // the sender; in a group "" where the record names none
	Group string // "" = one-to-one
	Seq   uint32 // MsgSeq; 0 = none

	// Recipients are the accounts that To_Account names, in its order, repeats and the sender left out. In a group nil
	// means every member; empty but not nil means nobody.
	Recipients []string

	Key        string    // the message key, also of the timeline and of every notification
	Origin     string    // topic/partition/offset
	Time       time.Time // MsgTimeStamp, in whole seconds; the record's time where it has none, or one far ahead
	RecordTime time.Time // latencies are measured from it
	Expires    time.Time // end of MsgLifeTime

	conversation string // what Conversation returns
	claim        claim
	bodySum      uint32 // CRC-32 (IEEE) of MsgBody's bytes as produced
	silenced     bool   // PushFlag 1
	online       bool   // OnlineOnlyFlag 1 or MsgLifeTime 0
	counts       bool

	priority      priority
	ignoresOption bool     // the sender's wish counts more than the recipient's receive option
	mentionsAll   bool     // a mention of everybody
	mentioned     []string // the other mentions, sorted

	alert      alert
	appleTitle string            // ApnsInfo.Title
	mutable    bool              // MutableContent 1; an image alone does not set it
	vendor     vendor            // AndroidInfo's members that the template's Vendor shows
	template   push.Notification // the fields that neither language nor device changes
}
