package report

import (
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Events reads what a record of push.events or of im.receipts reports, in the form of the former. Of receipts only reached
// and clicked are reports; one that cannot be read is role devices' to bury, and no error here. now bounds a receipt's
// time.
func Events(topics stream.Topics, rec *stream.Record, now time.Time) ([]*schemasv1.Event, error) {
	if rec.Topic == topics.Receipts() {
		return fromReceipt(rec, now), nil
	}
	pack := new(schemasv1.Events)
	if err := pack.UnmarshalVT(rec.Value); err != nil {
		return nil, fmt.Errorf("events of %s: %w", rec.Origin(), err)
	}
	return pack.GetEvents(), nil
}

// fromReceipt is a receipt as an event of its message's first push, whose id it has.
func fromReceipt(rec *stream.Record, now time.Time) []*schemasv1.Event {
	r, err := registry.ParseReceipt(rec.Value, now)
	if err != nil || r.Kind != registry.ReceiptReached && r.Kind != registry.ReceiptClicked {
		return nil
	}
	return []*schemasv1.Event{{App: r.App, MsgKey: r.MsgKey, User: r.User, Device: r.Device,
		Id:          message.NotificationID(r.App, r.MsgKey, r.User, r.Device, push.PurposeFirst),
		Disposition: string(r.Kind), TimeMs: r.Time.UnixMilli()}}
}
