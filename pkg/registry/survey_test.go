package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A Redis of its own, since a survey looks at everything in it.
func TestSurvey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	if _, err := f.Survey(t.Context()); err != nil {
		t.Errorf("of an empty Redis: %v", err)
	}
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventLogin, 0, token("bb"), of("bob", "desktop")),
		f.event(EventLogin, 0, token("cc"), of("carol", "phone")), f.event(EventBackground, 5))
	f.now = at(10)
	f.decide(f.message())
	s, err := f.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int64{}
	for kind, k := range s.Kinds {
		kinds[kind] = k.Keys
	}
	want := map[string]int64{"u": 2, "t": 3, "c": 1, "b": 1, "other": 1}
	if diff := cmp.Diff(want, kinds); diff != "" || s.Devices != 3 || s.Since == "" {
		t.Errorf("%d devices since %q; kinds (-want +got):\n%s", s.Devices, s.Since, diff)
	}
}

// What an operator asks for is done once, by whoever sees it first, and a later wish is not taken for an earlier one.
func TestAWishForARebuild(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	ctx := t.Context()
	if err := f.Complete(ctx); err != nil {
		t.Fatal(err)
	}
	wish := func(want string) {
		t.Helper()
		if got, err := f.RebuildWish(ctx); err != nil || got != want {
			t.Errorf("the wish is %q, %v, want %q", got, err, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wish("")
	do(f.WishRebuild(ctx, "ann", false))
	wish("ann")
	do(f.Ready(ctx))
	do(f.WishRebuild(ctx, "bob", true))
	if err := f.Ready(ctx); !errors.Is(err, ErrEmpty) {
		t.Errorf("ready while everything is to be held: %v", err)
	}
	do(f.FulfillRebuild(ctx, "ann"))
	wish("bob")
	do(f.FulfillRebuild(ctx, "bob"))
	do(f.FulfillRebuild(ctx, "bob"))
	wish("")

	if report, err := f.LastRebuild(ctx); err != nil || report != (RebuildReport{}) {
		t.Errorf("before the first report: %+v, %v", report, err)
	}
	want := RebuildReport{Owner: "me", Wish: "bob", Began: start.UTC(), Seen: at(2).UTC(), Records: 7, Done: true}
	do(f.ReportRebuild(ctx, want))
	got, err := f.LastRebuild(ctx)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("the report, %v (-want +got):\n%s", err, diff)
	}
}

// Each rebuild has a generation of its own, also where the same process rebuilds again.
func TestEachRebuildIsAGeneration(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	seen := map[string]bool{}
	for range 3 {
		generation, err := f.Generation(t.Context())
		if err != nil || seen[generation] {
			t.Errorf("the generation %q was there before, %v", generation, err)
		}
		seen[generation] = true
		if ok, err := f.AcquireRebuild(t.Context(), "me", time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	before, _ := f.Generation(t.Context())
	if ok, err := f.AcquireRebuild(t.Context(), "another", time.Minute); ok || err != nil {
		t.Fatal(ok, err)
	}
	if after, err := f.Generation(t.Context()); err != nil || after != before {
		t.Errorf("who does not get the lock begins a generation: %q, %q, %v", before, after, err)
	}
}
