package registry

import (
	"errors"
	"testing"
	"time"
)

// The lock is one for all, so this case alone may use it on a backend.
func testRebuild(t *testing.T, f *fixture) {
	ctx := t.Context()
	if len(f.markers.keys) > 1 {
		f.markers = &markers{keys: f.markers.keys[:64]} // some slots tell what all would
	}
	acquire := func(owner string, want bool) {
		t.Helper()
		if got, err := f.AcquireRebuild(ctx, owner, time.Minute); err != nil || got != want {
			t.Errorf("%s acquires: %t, %v, want %t", owner, got, err, want)
		}
	}
	extend := func(owner string, want error) {
		t.Helper()
		if err := f.ExtendRebuild(ctx, owner, time.Minute); !errors.Is(err, want) {
			t.Errorf("%s extends: %v, want %v", owner, err, want)
		}
	}
	complete := func(owner string, want error) {
		t.Helper()
		if err := f.CompleteRebuild(ctx, owner); !errors.Is(err, want) {
			t.Errorf("%s completes: %v, want %v", owner, err, want)
		}
	}
	release := func(owner string) {
		t.Helper()
		if err := f.ReleaseRebuild(ctx, owner); err != nil {
			t.Error(err)
		}
	}
	forget := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			if err := f.client.Del(ctx, key).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}

	acquire("one", true)
	acquire("two", false)
	acquire("one", true) // what it has itself, after an attempt that failed
	extend("two", ErrRebuildLost)
	extend("one", nil)
	release("two")
	acquire("two", false)
	complete("one", nil)
	complete("one", ErrRebuildLost) // once: what comes after would not be in it
	if err := f.Ready(ctx); err != nil {
		t.Error(err)
	}
	release("one")

	acquire("two", true)
	forget(rebuildKey)
	extend("two", ErrRebuildLost) // though it has the lock again now: something was lost in between
	release("two")

	// The master of some slot loses what it has; the lock stands on another. The other cases need the marker, so it stays.
	acquire("one", true)
	forget(nonceOf(f.markers.keys[len(f.markers.keys)-1]))
	extend("one", nil)
	complete("one", ErrRebuildLost)
	acquire("one", true)
	complete("one", nil)
	release("one")

	// One that was away for longer than its lease finds that another began anew.
	acquire("one", true)
	forget(rebuildKey)
	acquire("two", true)
	complete("one", ErrRebuildLost)
	complete("two", nil)
	release("two")

	if _, err := f.AcquireRebuild(ctx, "", time.Minute); err == nil {
		t.Error("a lock without an owner")
	}
	if _, err := f.AcquireRebuild(ctx, "one", 0); err == nil {
		t.Error("a lock without a time")
	}
}
