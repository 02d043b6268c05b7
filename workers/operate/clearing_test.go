package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// clear deals with what f chooses, as pushctl does: while the topic is read.
func (b *bench) clear(c *Clearing, f Filter) {
	b.t.Helper()
	var failed error
	err := b.Each(b.t.Context(), f, func(l Letter) bool {
		failed = c.Add(b.t.Context(), l)
		return failed == nil
	})
	if err := errors.Join(failed, err, c.Flush(b.t.Context())); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) deadLetters(n int) {
	b.t.Helper()
	for i := range n {
		b.write(dead(notification("apns", fmt.Sprintf("d%d", i)), exhausted))
	}
}

// sentBack counts how often each notification stands in its lane.
func (b *bench) sentBack() map[string]int {
	b.t.Helper()
	counts := map[string]int{}
	for _, rec := range b.records(topics.Work("apns", push.LaneUrgent)) {
		meta, err := stream.ParseMeta(rec.Headers)
		if err != nil {
			b.t.Fatal(err)
		}
		counts[meta.ID]++
	}
	return counts
}

func TestADiscardedLetterIsNeverSentByAccident(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deadLetters(3)
	victim := b.letters(Filter{})[1]
	d := b.NewDiscard(b.pub, "ops@console", "cannot be saved", 0)
	if err := errors.Join(d.Add(t.Context(), victim), d.Flush(t.Context())); err != nil || d.Done() != 1 {
		t.Fatalf("%d discarded, %v", d.Done(), err)
	}
	if work := b.sentBack(); len(work) != 0 {
		t.Errorf("a discard sent %v", work)
	}
	if got := len(b.letters(Filter{})); got != 2 {
		t.Errorf("%d letters are left, want 2", got)
	}
	if sent := b.redrive(Filter{Redriven: true}); sent != 2 || b.sentBack()[victim.ID] != 0 {
		t.Errorf("%d sent back, the discarded one among them %d times", sent, b.sentBack()[victim.ID])
	}
	shown, err := b.Get(t.Context(), victim.Position)
	if err != nil || !shown.Discarded || shown.Reason != push.ReasonAttemptsExhausted {
		t.Fatalf("%+v, %v", shown, err)
	}
	marks, err := b.Marks(t.Context(), shown)
	if err != nil {
		t.Fatal(err)
	}
	want := []Mark{{Action: Discarded, By: "ops@console", Note: "cannot be saved"}}
	if diff := cmp.Diff(want, marks, cmpopts.IgnoreFields(Mark{}, "Time")); diff != "" || marks[0].Time.IsZero() {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if sent := b.redrive(Filter{Discarded: true}); sent != 1 || b.sentBack()[victim.ID] != 1 {
		t.Errorf("on purpose: %d sent back", sent)
	}
	if back, err := b.Get(t.Context(), victim.Position); err != nil || back.Discarded || back.Redriven != 1 {
		t.Errorf("sent back after it was discarded: %+v, %v", back, err)
	}
}

// TestOperatorsShareTheWork: the second of two has read its letters before the first sends them back.
func TestOperatorsShareTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deadLetters(20)
	late := b.letters(Filter{})
	first := b.NewRedrive(b.pub, "ann@console", 0)
	b.clear(first, Filter{})
	second := b.NewRedrive(b.pub, "ben@console", 0)
	for _, l := range late {
		if err := second.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Flush(t.Context()); err != nil || first.Done() != 20 || second.Done() != 0 || second.Passed() != 20 {
		t.Errorf("first %d; second %d, and passed over %d; %v", first.Done(), second.Done(), second.Passed(), err)
	}
	if got := b.sentBack(); len(got) != 20 || slices.ContainsFunc(mapsValues(got), func(n int) bool { return n != 1 }) {
		t.Errorf("sent back %v", got)
	}
}

func mapsValues(m map[string]int) []int {
	var out []int
	for _, n := range m {
		out = append(out, n)
	}
	return out
}

// TestOperatorsAtTheSameInstant: what both of them send carries one redrive number, by which admit tells the second copy.
func TestOperatorsAtTheSameInstant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deadLetters(100)
	var wg sync.WaitGroup
	clearings := make([]*Clearing, 2)
	for i := range clearings {
		clearings[i] = b.NewRedrive(b.pub, "ops@console", 0)
		clearings[i].size = 10
		wg.Go(func() { b.clear(clearings[i], Filter{}) })
	}
	wg.Wait()
	copies := 0
	for id, n := range b.sentBack() {
		copies += n
		if n > 2 {
			t.Errorf("%s was sent back %d times", id, n)
		}
	}
	if done := clearings[0].Done() + clearings[1].Done(); copies != done || len(b.sentBack()) != 100 {
		t.Errorf("%d letters of 100 in %d copies, %d marked", len(b.sentBack()), copies, done)
	}
	for _, rec := range b.records(topics.Work("apns", push.LaneUrgent)) {
		if meta, err := stream.ParseMeta(rec.Headers); err != nil || meta.Redrive != 1 {
			t.Errorf("redrive number %d, %v", meta.Redrive, err)
		}
	}
	if left := b.letters(Filter{}); len(left) != 0 {
		t.Errorf("%d letters are left", len(left))
	}
}

// TestAnInterruptedRedriveGoesOn: its caller gives up in the middle of a batch.
func TestAnInterruptedRedriveGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deadLetters(30)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	published := 0
	pub := publisherFunc(func(ctx context.Context, m stream.Message, done func(error)) {
		if published++; published == 15 { // of the second batch of ten, the middle
			interrupt()
		}
		b.pub.Publish(ctx, m, done)
	})
	c := b.NewRedrive(pub, "ops@console", 0)
	c.size = 5
	var failed error
	err := b.Each(ctx, Filter{}, func(l Letter) bool {
		failed = c.Add(ctx, l)
		return failed == nil
	})
	if err := errors.Join(failed, err); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not interrupted: %v", err)
	}
	sent := 0
	for _, n := range b.sentBack() {
		sent += n
	}
	if c.Done() == 0 || c.Done() == 30 || c.Done() != sent {
		t.Errorf("%d sent back, %d marked", sent, c.Done())
	}
	rest := b.NewRedrive(b.pub, "ops@console", 0)
	b.clear(rest, Filter{})
	if got := b.sentBack(); len(got) != 30 || slices.ContainsFunc(mapsValues(got), func(n int) bool { return n != 1 }) {
		t.Errorf("then %d more; sent back: %v", rest.Done(), got)
	}
}

// TestALetterWhoseRecordWasLostStaysOpen: Kafka takes some records of a batch and not others.
func TestALetterWhoseRecordWasLostStaysOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deadLetters(4)
	calls := 0
	pub := publisherFunc(func(ctx context.Context, m stream.Message, done func(error)) {
		if calls++; calls == 2 {
			done(stream.ErrRefused)
			return
		}
		b.pub.Publish(ctx, m, done)
	})
	c := b.NewRedrive(pub, "ops@console", 0)
	for _, l := range b.letters(Filter{}) {
		if err := c.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(t.Context()); !errors.Is(err, stream.ErrRefused) || c.Done() != 3 {
		t.Errorf("%d sent back, %v; want 3 and the refusal", c.Done(), err)
	}
	if left := b.letters(Filter{}); len(left) != 1 {
		t.Errorf("%d letters are open, want the one that was refused", len(left))
	}
}

func TestMarksOfInputsThatHaveNoValue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rec := &stream.Record{Topic: topics.Groups(), Key: []byte("no membership"), Headers: []stream.Header{{Key: "x", Value: []byte("y")}}}
	b.write(stream.DeadInput(topics, rec, push.ReasonInvalidMessage, "key", exhausted.FirstSeen))
	if sent := b.redrive(Filter{}); sent != 1 || len(b.letters(Filter{})) != 0 {
		t.Errorf("%d sent back, %d left", sent, len(b.letters(Filter{})))
	}
	back := b.records(topics.Groups())
	if len(back) != 1 || back[0].Value != nil || string(back[0].Key) != "no membership" {
		t.Errorf("im.groups holds %d records", len(back))
	}
}

func TestEveryInputGoesBackToItsTopic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kept := stream.Header{Key: "traceparent", Value: []byte("00-x-y-01")}
	for _, origin := range topics.Inputs() {
		b.write(deadInput(origin, "bytes \xff of "+origin, kept))
	}
	if sent := b.redrive(Filter{}); sent != len(topics.Inputs()) {
		t.Fatalf("%d sent back", sent)
	}
	for _, origin := range topics.Inputs() {
		back := b.records(origin)
		if len(back) != 1 || string(back[0].Value) != "bytes \xff of "+origin || string(back[0].Key) != "k" {
			t.Errorf("%s holds %d records", origin, len(back))
			continue
		}
		if trace, _ := back[0].Header("traceparent"); string(trace) != "00-x-y-01" {
			t.Errorf("%s: traceparent %q", origin, trace)
		}
		if _, place, ok := back[0].SentBack(); ok != true || place != origin+"/1/7" {
			t.Errorf("%s: says %t, %q of where it stood first", origin, ok, place)
		}
	}
}
