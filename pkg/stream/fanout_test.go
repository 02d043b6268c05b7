package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestFanoutTravelsWhole(t *testing.T) {
	t.Parallel()
	bare := &Fanout{Chat: &Record{Topic: "im.messages", Value: []byte(`{}`), Time: time.UnixMilli(1_790_000_000_123)}, Buckets: 1}
	full := &Fanout{Chat: &Record{Topic: "im.messages", Partition: 3, Offset: 42, Time: time.UnixMilli(1_790_000_000_123), Value: []byte("\xff\x00"),
		Headers: []Header{{Key: "content-type", Value: []byte("application/json")}, {Key: HeaderTraceparent, Value: []byte("00-1-2-01")}}},
		First: 4, Last: 7, Buckets: 4096, Purpose: push.PurposeRecall}
	for _, want := range []*Fanout{bare, full} {
		got, err := DecodeFanout(EncodeFanout(want))
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Record{})); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if origin := full.Chat.Origin(); origin != "im.messages/3/42" {
		t.Errorf("origin %s", origin)
	}
}

func TestFanoutNamesTheContentTypeWhateverItsCase(t *testing.T) {
	t.Parallel()
	f := &Fanout{Chat: &Record{Topic: "t", Headers: []Header{{Key: "Content-Type", Value: []byte("text/plain")}}}, Buckets: 1}
	got, err := DecodeFanout(EncodeFanout(f))
	if err != nil || got.Chat.ContentType() != "text/plain" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestFanoutThatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*schemasv1.Fanout){
		"no topic":            func(f *schemasv1.Fanout) { f.Topic = "" },
		"negative partition":  func(f *schemasv1.Fanout) { f.Partition = -1 },
		"negative offset":     func(f *schemasv1.Fanout) { f.Offset = -1 },
		"no buckets":          func(f *schemasv1.Fanout) { f.Buckets = 0 },
		"bucket behind all":   func(f *schemasv1.Fanout) { f.LastBucket = 8 },
		"endless buckets":     func(f *schemasv1.Fanout) { f.Buckets = 1<<20 + 1 },
		"negative bucket":     func(f *schemasv1.Fanout) { f.FirstBucket = -1 },
		"end before start":    func(f *schemasv1.Fanout) { f.LastBucket = 1 },
		"purpose of no group": func(f *schemasv1.Fanout) { f.Purpose = push.PurposeSync },
	} {
		m := &schemasv1.Fanout{Topic: "im.messages", FirstBucket: 2, LastBucket: 3, Buckets: 8, Message: []byte("secret")}
		change(m)
		value, err := m.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeFanout(value); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeFanout([]byte("no record")); err == nil {
		t.Error("garbage is no error")
	}
}

func FuzzDecodeFanout(f *testing.F) {
	f.Add(EncodeFanout(&Fanout{Chat: &Record{Topic: "im.messages", Time: time.UnixMilli(1), Value: []byte(`{}`)}, Last: 1, Buckets: 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := DecodeFanout(b)
		if err != nil {
			return
		}
		again, err := DecodeFanout(EncodeFanout(first))
		if diff := cmp.Diff(first, again, cmpopts.IgnoreUnexported(Record{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}
