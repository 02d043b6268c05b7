package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testClaim(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	type record struct {
		key     string
		content string
		msgTime int64
		seconds float64 // record time
		want    ClaimStatus
		other   bool
	}
	for _, story := range []struct {
		name    string
		records []record
	}{
		{"same content within the window, whatever its MsgTime", []record{
			{"a", "x", 1, 0, New, false}, {"a", "x", 1, 100, Duplicate, false}, {"a", "x", 2, 120, Duplicate, false},
		}},
		{"same content after the window", []record{
			{"b", "x", 1, 0, New, false}, {"b", "x", 2, 120.001, New, false}, {"b", "x", 3, 200, Duplicate, false},
		}},
		{"the window counts record times, in either direction", []record{
			{"c", "x", 1, 500, New, false}, {"c", "x", 1, 400, Duplicate, false}, {"c", "x", 1, 379, New, false},
		}},
		{"other content under the same message key", []record{
			{"d", "x", 1, 0, New, false}, {"d", "y", 1, 1, New, true}, {"d", "y", 1, 2, Duplicate, true}, {"d", "x", 1, 3, Duplicate, false},
		}},
		{"other content at another MsgTime has a message key of its own", []record{
			{"e", "x", 1, 0, New, false}, {"e", "y", 2, 1, New, false}, {"e", "z", 2, 2, New, true},
		}},
		{"content keeps its message key after the window", []record{
			{"g", "x", 1, 0, New, false}, {"g", "y", 1, 1, New, true}, {"g", "x", 1, 300, New, false}, {"g", "y", 1, 301, New, true},
		}},
		{"a group's claim has no content", []record{
			{"h", "", 1, 0, New, false}, {"h", "", 2, 1, Duplicate, false},
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			for i, r := range story.records {
				got := f.decide(f.message(func(q *DecideRequest) {
					q.Claim = Claim{Key: r.key, Content: r.content, MsgTime: r.msgTime, Window: 120 * time.Second}
					q.RecordTime = at(r.seconds)
				}))[0]
				if got.Status != r.want || got.OtherContent != r.other {
					t.Errorf("record %d: %s, other content %t; want %s, %t", i, got.Status, got.OtherContent, r.want, r.other)
				}
				if pushes := len(got.Devices) == 1; pushes == (r.want == Duplicate) {
					t.Errorf("record %d: %d devices", i, len(got.Devices))
				}
			}
		})
	}
}

func testReplay(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5),
		f.event(EventLogin, 0, token("bb"), of("bob", "desktop")))
	f.now = at(10)
	first, other := f.message(), f.message()
	other.Claim = first.Claim
	other.Claim.Content = "ffffffff"
	before := f.decide(first, other)
	if before[0].OtherContent || !before[1].OtherContent {
		t.Fatalf("other content: %t, %t", before[0].OtherContent, before[1].OtherContent)
	}
	// The world moves on: the phone comes to the foreground with a new token, the desktop logs out.
	f.apply(f.event(EventForeground, 20), f.event(EventToken, 21, token("cc")), f.event(EventLogout, 22, of("bob", "desktop")),
		f.event(EventLogin, 23, token("dd"), of("bob", "new")))
	f.now = at(800)
	want := before
	for i := range want {
		want[i].Status = Replay
		want[i].Devices[0].Binding.Version = 2 // desktop, logged out
		want[i].Devices[1].Binding.Version = 2
		want[i].Devices[1].Binding.Token = "cc"
	}
	if diff := cmp.Diff(want, f.decide(first, other)); diff != "" {
		t.Errorf("the same origins: the same decision with the current bindings: %s", diff)
	}
	if badge := f.shown(t).Badge; badge != 2 {
		t.Errorf("badge %d after two messages and their replays", badge)
	}
}

// shown is bob's phone as shown.
func (f *fixture) shown(t *testing.T) Device {
	t.Helper()
	devices, err := f.Devices(t.Context(), f.app, "bob")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Device == "phone" {
			return d
		}
	}
	t.Fatal("bob has no phone")
	return Device{}
}

func testClaimsAreBounded(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")))
	claim := func(content int) DecideRequest {
		return f.message(func(q *DecideRequest) {
			q.Claim = Claim{Key: "one", Content: fmt.Sprint(content), Window: 5 * time.Minute}
		})
	}
	for i := range 40 {
		f.decide(claim(i))
	}
	key := claimKey(userTag(f.app, "bob"), "one")
	if n := f.client.StrLen(t.Context(), key).Val(); n > 16*60 {
		t.Errorf("40 contents under one claim take %d bytes", n)
	}
	if got := f.decide(claim(39))[0].Status; got != Duplicate {
		t.Errorf("the newest content is %s", got)
	}
	if ttl := f.client.PTTL(t.Context(), key).Val(); ttl < 14*time.Minute || ttl > 15*time.Minute {
		t.Errorf("a claim lives %s, want the replay window of 15 min", ttl)
	}
	long := f.message(func(q *DecideRequest) { q.Claim = Claim{Key: "long", Window: time.Hour} })
	f.decide(long)
	if ttl := f.client.PTTL(t.Context(), claimKey(userTag(f.app, "bob"), "long")).Val(); ttl < time.Hour {
		t.Errorf("a claim with a window of an hour lives %s", ttl)
	}
}
