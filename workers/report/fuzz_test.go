package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// FuzzEvents: a pack that can be read says the same when it is written again; a receipt is at most one event, of the kinds
// that are reported, and never an error.
func FuzzEvents(f *testing.F) {
	value, err := (&schemasv1.Events{Events: []*schemasv1.Event{{App: "demo", MsgKey: "c2c:alice:1_2_3", Disposition: "delivered"}, {}}}).MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value, false)
	f.Add(value[:len(value)-1], false)
	f.Add([]byte(`{"App":"demo","User":"bob","Device":"phone","MsgKey":"c2c:alice:1_2_3","Receipt":"clicked","ReceiptTime":1790000000000}`), true)
	f.Add([]byte(`{"Receipt":"read"}`), true)
	topics, now := stream.Topics{}, time.Unix(1790000100, 0)
	f.Fuzz(func(t *testing.T, value []byte, receipt bool) {
		rec := &stream.Record{Topic: topics.Events(), Value: value}
		if receipt {
			rec.Topic = topics.Receipts()
		}
		events, err := Events(topics, rec, now)
		switch {
		case receipt && (err != nil || len(events) > 1):
			t.Fatalf("%d events and %v of a receipt", len(events), err)
		case receipt:
			for _, e := range events {
				kind := registry.ReceiptKind(e.GetDisposition())
				if kind != registry.ReceiptReached && kind != registry.ReceiptClicked || e.GetId() == "" || e.GetApp() == "" || e.GetMsgKey() == "" {
					t.Errorf("the receipt %q became %v", value, e)
				}
			}
			return
		case err != nil:
			return
		}
		written, err := (&schemasv1.Events{Events: events}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Events(topics, &stream.Record{Topic: topics.Events(), Value: written}, now)
		if diff := cmp.Diff(events, again, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}
