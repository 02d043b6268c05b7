package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestRedriveStartsANotificationAnewInItsLane(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := notification("apns", "bob-iphone")
	b.write(dead(n, exhausted))
	if sent := b.redrive(Filter{}); sent != 1 {
		t.Fatalf("%d sent back", sent)
	}
	work := b.records(topics.Work("apns", push.LaneUrgent))
	if len(work) != 1 || string(work[0].Key) != "demo|bob|bob-iphone" {
		t.Fatalf("%d records in the lane", len(work))
	}
	got, meta, err := stream.DecodeWork(work[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(n, got); diff != "" {
		t.Errorf("notification (-want +got):\n%s", diff)
	}
	want := stream.Meta{ID: n.ID, Lane: push.LaneUrgent, Attempt: 1, FirstSeen: exhausted.FirstSeen, Origin: exhausted.Origin,
		Traceparent: exhausted.Traceparent, Redrive: 1}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestRedriveSendsInputBackAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kept := stream.Header{Key: "content-type", Value: []byte("application/json")}
	b.write(deadInput(topics.Messages(), "as \xff produced", kept), deadInput(topics.Devices(), "{}"), deadInput(topics.Presence(), "{}"))
	if sent := b.redrive(Filter{}); sent != 3 {
		t.Fatalf("%d sent back", sent)
	}
	messages := b.records(topics.Messages())
	if len(messages) != 1 || string(messages[0].Value) != "as \xff produced" || string(messages[0].Key) != "k" {
		t.Fatalf("im.messages holds %d records", len(messages))
	}
	want := []stream.Header{kept, {Key: "pf-origin", Value: []byte("p.im.messages/1/7")}, {Key: "pf-first-seen", Value: []byte("1790000000000")}}
	if diff := cmp.Diff(want, messages[0].Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if devices, presence := b.records(topics.Devices()), b.records(topics.Presence()); len(devices) != 1 || len(presence) != 1 {
		t.Errorf("%d records back in im.devices, %d in im.presence", len(devices), len(presence))
	}
}

func TestALetterIsSentBackOnceUnlessAskedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 5 {
		b.write(dead(notification("apns", fmt.Sprintf("d%d", i)), exhausted))
	}
	first := b.letters(Filter{})[2] // not the first of its partition: a position alone would not do
	r := b.NewRedrive(b.pub, "ops@console", 0)
	if err := errors.Join(r.Add(t.Context(), first), r.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	if sent := b.redrive(Filter{}); sent != 4 {
		t.Errorf("%d sent back after one was, want 4", sent)
	}
	if sent := b.redrive(Filter{}); sent != 0 {
		t.Errorf("%d sent back after all were, want none", sent)
	}
	if sent := b.redrive(Filter{Redriven: true}); sent != 5 {
		t.Errorf("%d sent back again, want 5", sent)
	}
	var redrives []int
	for _, rec := range b.records(topics.Work("apns", push.LaneUrgent)) {
		meta, err := stream.ParseMeta(rec.Headers)
		if err != nil {
			t.Fatal(err)
		}
		redrives = append(redrives, meta.Redrive)
	}
	slices.Sort(redrives)
	if want := []int{1, 1, 1, 1, 1, 2, 2, 2, 2, 2}; !slices.Equal(redrives, want) {
		t.Errorf("redrive numbers %v, want %v", redrives, want)
	}
	for _, l := range b.letters(Filter{Redriven: true}) {
		if l.Redriven != 2 {
			t.Errorf("%s says that it was sent back %d times, want 2", l, l.Redriven)
		}
	}
}

func TestALetterIsMarkedWhereItStands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for partition := range int32(2) { // one of the two is not where the key would lead
		letter := dead(notification("apns", "d"), exhausted)
		letter.Partition = partition
		b.write(letter)
	}
	if first, second := b.redrive(Filter{}), b.redrive(Filter{}); first != 2 || second != 0 {
		t.Errorf("%d, then %d sent back; want 2, then none", first, second)
	}
}

func TestALetterThatDiesAgainIsANewOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "d"), exhausted))
	b.redrive(Filter{})
	again := exhausted
	again.Redrive = 1
	b.write(dead(notification("apns", "d"), again))
	if sent := b.redrive(Filter{}); sent != 1 {
		t.Fatalf("%d sent back, want the new letter", sent)
	}
	work := b.records(topics.Work("apns", push.LaneUrgent))
	if meta, err := stream.ParseMeta(work[len(work)-1].Headers); err != nil || meta.Redrive != 2 {
		t.Errorf("redrive number %d, %v; want 2", meta.Redrive, err)
	}
}

func TestALetterWithoutALaneGoesToTheNormalOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("fcm", "d"), stream.Meta{Lane: "no lane"}),
		stream.Message{Topic: topics.Dead("fcm"), Key: []byte("k"), Value: []byte("\xff"), Partition: stream.ByKey})
	b.redrive(Filter{})
	if work := b.records(topics.Work("fcm", push.LaneNormal)); len(work) != 2 {
		t.Errorf("%d records in the normal lane, want 2", len(work))
	}
}

// publisherFunc lets a function be a Publisher.
type publisherFunc func(ctx context.Context, m stream.Message, done func(error))

func (f publisherFunc) Publish(ctx context.Context, m stream.Message, done func(error)) {
	f(ctx, m, done)
}

func TestOnlyWhatIsDurableIsMarked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "d"), exhausted))
	var published []string
	r := b.NewRedrive(publisherFunc(func(_ context.Context, m stream.Message, done func(error)) {
		published = append(published, m.Topic)
		done(stream.ErrClosed)
	}), "ops@console", 0)
	err := errors.Join(r.Add(t.Context(), b.letters(Filter{})[0]), r.Flush(t.Context()))
	if !errors.Is(err, stream.ErrClosed) || r.Done() != 0 {
		t.Errorf("%d sent, %v", r.Done(), err)
	}
	if want := []string{topics.Work("apns", push.LaneUrgent)}; !slices.Equal(published, want) {
		t.Errorf("published to %q, want %q and no mark", published, want)
	}
}

func TestRedriveIsSentInBoundedBatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "d"), exhausted))
	l := b.letters(Filter{})[0]
	r := b.NewRedrive(publisherFunc(func(_ context.Context, _ stream.Message, done func(error)) { done(nil) }), "ops@console", 0)
	for range 2*batchLetters + 1 {
		if err := r.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if len(r.batch) >= batchLetters {
			t.Fatalf("%d letters wait", len(r.batch))
		}
	}
	if err := r.Flush(t.Context()); err != nil || r.Done() != 2*batchLetters+1 {
		t.Errorf("%d sent, %v", r.Done(), err)
	}
}

func TestRedriveKeepsItsRate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "d"), exhausted))
	l := b.letters(Filter{})[0]
	r := b.NewRedrive(b.pub, "ops@console", 0.001)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := r.Add(ctx, l); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(ctx, l); err == nil {
		t.Error("a second letter within the thousand seconds that the rate asks for")
	}
}

func TestLagTellsWhatAGroupHasNotRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 3 {
		b.write(stream.Message{Topic: topics.Messages(), Key: []byte("k"), Value: []byte("{}"), Partition: 1})
	}
	lags, err := Lags(t.Context(), b.cluster, []Subscription{{Group: "g", Topics: []string{topics.Messages(), "p.absent"}}}, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if len(lags) != 2 {
		t.Fatalf("%d partitions, want the 2 of im.messages: %+v", len(lags), lags)
	}
	if got := lags[0]; got.Lag != 0 || got.Oldest != 0 || got.Committed != -1 {
		t.Errorf("partition 0: %+v", got)
	}
	if got := lags[1]; got.Lag != 3 || got.End != 3 || got.Committed != -1 || got.Oldest < 59 || got.Oldest > 120 {
		t.Errorf("partition 1: %+v", got)
	}
}
