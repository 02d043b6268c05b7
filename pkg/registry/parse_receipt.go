package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// maxMsgKey bounds a message key in bytes: a message without a random is named by its place in the log, and a topic's name
// has up to 249.
const maxMsgKey = 512

// ParseReceipt reads the JSON of one receipt; now bounds its ReceiptTime. Unknown fields are ignored, and the Device of a
// recall. The error says every mistake, naming the field, and quotes no value.
func ParseReceipt(value []byte, now time.Time) (Receipt, error) {
	var raw struct {
		App, User, Device, Receipt, MsgKey string
		ReceiptTime                        int64
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", withoutValues(err))
	}
	r := Receipt{
		App: raw.App, User: raw.User, Device: raw.Device,
		Kind: ReceiptKind(raw.Receipt), MsgKey: raw.MsgKey, Time: time.UnixMilli(raw.ReceiptTime),
	}
	if r.Kind == ReceiptRecall {
		r.Device = ""
	}
	if err := r.Validate(now); err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// Validate says every mistake of the receipt, joined, each naming its field.
func (r *Receipt) Validate(now time.Time) error {
	var errs []error
	check := func(field, what string) {
		if what != "" {
			errs = append(errs, fmt.Errorf("%s: %s", field, what))
		}
	}
	check("App", wrongText(r.App, 1, maxID))
	check("User", wrongText(r.User, 1, maxID))
	check("MsgKey", wrongText(r.MsgKey, 1, maxMsgKey))
	check("ReceiptTime", wrongTime(r.Time, now))
	switch r.Kind {
	case ReceiptRead, ReceiptReached, ReceiptClicked, ReceiptAcknowledged:
		check("Device", wrongText(r.Device, 1, maxID))
	case ReceiptRecall:
		check("Device", wrongText(r.Device, 0, 0))
	case "":
		check("Receipt", "required")
	default:
		check("Receipt", "unknown")
	}
	return errors.Join(errs...)
}

// wrongTime says what is wrong with a time that a client gave in milliseconds; "" = nothing.
func wrongTime(t, now time.Time) string {
	switch {
	case t.IsZero() || t.UnixMilli() == 0:
		return "required, in milliseconds"
	case t.Before(earliest):
		return "too long ago: it is in milliseconds since 1970"
	case t.Sub(now) > maxAhead:
		return "more than a day in the future"
	}
	return ""
}
