package report

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// fakeTimeline takes events, as long as refuse does not say why not.
type fakeTimeline struct {
	calls  []int // events of each call that was taken
	kept   map[string]bool
	refuse func(events []*schemasv1.Event) error
}

func (t *fakeTimeline) Append(_ context.Context, events []*schemasv1.Event) error {
	if t.refuse != nil {
		if err := t.refuse(events); err != nil {
			return err
		}
	}
	t.calls = append(t.calls, len(events))
	for _, e := range events {
		t.kept[e.GetMsgKey()] = true
	}
	return nil
}

// pack is a record of push.events with one event for each key.
func pack(t *testing.T, settled func(acked bool), keys ...string) *stream.Record {
	t.Helper()
	events := new(schemasv1.Events)
	for _, key := range keys {
		events.Events = append(events.Events, &schemasv1.Event{App: "demo", MsgKey: key})
	}
	value, err := events.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Value: value}
	rec.OnAck(settled)
	return rec
}

// packs are records of 500 events each, and a count of what became of them.
func packs(t *testing.T, n int, acked, dropped *int) []*stream.Record {
	t.Helper()
	var all []*stream.Record
	for i := range n {
		var keys []string
		for j := range 500 {
			keys = append(keys, fmt.Sprintf("m%d-%d", i, j))
		}
		all = append(all, pack(t, func(ok bool) {
			if ok {
				*acked++
			} else {
				*dropped++
			}
		}, keys...))
	}
	return all
}

func TestALargeBatchIsKeptAndAcknowledgedInChunks(t *testing.T) {
	t.Parallel()
	var acked, dropped int
	line := &fakeTimeline{kept: map[string]bool{}}
	var ackedAt []int
	line.refuse = func([]*schemasv1.Event) error {
		ackedAt = append(ackedAt, acked)
		return nil
	}
	New(line, stream.Topics{}, time.Now, nil, zap.NewNop()).Handle(t.Context(), packs(t, 10, &acked, &dropped))
	if diff := cmp.Diff([]int{2000, 2000, 1000}, line.calls); diff != "" {
		t.Errorf("events of each call:\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 4, 8}, ackedAt); diff != "" {
		t.Errorf("acknowledged before each call:\n%s", diff)
	}
	if acked != 10 || dropped != 0 {
		t.Errorf("%d acknowledged, %d dropped", acked, dropped)
	}
}

func TestWhatWasNotKeptWhenItsGenerationEndsIsReadAgain(t *testing.T) {
	t.Parallel()
	var acked, dropped int
	ctx, end := context.WithCancel(t.Context())
	line := &fakeTimeline{kept: map[string]bool{}}
	line.refuse = func([]*schemasv1.Event) error {
		if acked == 0 {
			return nil
		}
		end()
		return errors.New("connection refused")
	}
	New(line, stream.Topics{}, time.Now, nil, zap.NewNop()).Handle(ctx, packs(t, 10, &acked, &dropped))
	if acked != 4 || dropped != 6 {
		t.Errorf("%d acknowledged, %d dropped, want the first chunk of four and the rest", acked, dropped)
	}
}

func TestAnEventThatCannotBeKeptHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var acked, dropped int
		refused := 0
		line := &fakeTimeline{kept: map[string]bool{}}
		line.refuse = func(events []*schemasv1.Event) error {
			for _, e := range events {
				if e.GetMsgKey() == "m1-77" {
					refused++
					return redis.Nil // a reply of the server's, the same at every try
				}
			}
			return nil
		}
		New(line, stream.Topics{}, time.Now, nil, zap.NewNop()).Handle(t.Context(), packs(t, 3, &acked, &dropped))
		if acked != 3 || dropped != 0 || len(line.kept) != 1499 {
			t.Errorf("%d acknowledged, %d dropped, %d of 1499 events kept", acked, dropped, len(line.kept))
		}
		if refused > lastingTries+12 {
			t.Errorf("asked %d times for the one that cannot be kept", refused)
		}
	})
}

// TestRow22ReachedAndClickedAreReported: receipts of devices become steps of their message's first push, and are counted.
func TestRow22ReachedAndClickedAreReported(t *testing.T) {
	t.Parallel()
	var acked, counted int
	var kept []*schemasv1.Event
	line := &fakeTimeline{kept: map[string]bool{}, refuse: func(events []*schemasv1.Event) error {
		kept = append(kept, events...)
		return nil
	}}
	topics := stream.Topics{Prefix: "p."}
	var batch []*stream.Record
	for _, kind := range []string{"reached", "clicked", "read", "acknowledged", "recall", "new"} {
		rec := &stream.Record{Topic: topics.Receipts(), Value: []byte(`{"App":"demo","User":"bob","Device":"bob-iphone","Receipt":"` + kind +
			`","MsgKey":"c2c:alice:101_900001_1790000000","ReceiptTime":1790000002000}`)}
		rec.OnAck(func(ok bool) {
			if ok {
				acked++
			}
		})
		batch = append(batch, rec)
	}
	New(line, topics, time.Now, func(*schemasv1.Event) { counted++ }, zap.NewNop()).Handle(t.Context(), batch)
	want := []*schemasv1.Event{}
	for _, kind := range []string{"reached", "clicked"} {
		want = append(want, &schemasv1.Event{App: "demo", MsgKey: "c2c:alice:101_900001_1790000000", User: "bob", Device: "bob-iphone",
			Id: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", Disposition: kind, TimeMs: 1790000002000})
	}
	if diff := cmp.Diff(want, kept, protocmp.Transform()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if acked != 6 || counted != 2 {
		t.Errorf("%d acknowledged, %d counted", acked, counted)
	}
}
