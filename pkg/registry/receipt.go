package registry

import (
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// ReceiptKind names what a receipt reports.
type ReceiptKind string

// The receipts.
const (
	ReceiptRead         ReceiptKind = "read"         // the user has read the message, on Device
	ReceiptRecall       ReceiptKind = "recall"       // the sender takes the message back
	ReceiptReached      ReceiptKind = "reached"      // the notification arrived on Device
	ReceiptClicked      ReceiptKind = "clicked"      // the notification was opened on Device
	ReceiptAcknowledged ReceiptKind = "acknowledged" // Device's own service has taken the message
)

// Receipt is one record of the receipts topic.
type Receipt struct {
	App, User, Device string // a recall has no Device, and its User is the sender
	Kind              ReceiptKind
	MsgKey            string
	Time              time.Time // to the millisecond
}

// Sync asks for the number on a device's icon to be corrected.
type Sync struct {
	App, User, Device string
	MsgKey            string // of the message that was read
	Binding           push.Binding
	Badge             int // the number now, which may be 0
}

// MessageRef names a message for its recall. A key may stand for several contents, told apart by their checksum.
type MessageRef struct {
	App     string
	Key     string // the message key without a checksum
	Content string // the checksum, 8 hex digits: of the key where it carries one, else ""
	Origin  string // topic/partition/offset of the chat record; "" where it is not known
	Body    string // the checksum of the record's content, for a message that is being routed; "" in groups
}
