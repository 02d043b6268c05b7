package registry

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// step is one transition of what Redis holds.
type step struct {
	name string
	// take takes it and returns the answer.
	take func(ctx context.Context, f *fixture) (any, error)
	// changed is why the second answer is another than the first; "" = it is the same.
	changed string
}

// steps are every transition that a role makes, in an order in which each has something to change.
func steps(f *fixture) []step {
	first, second := f.message(), f.message()
	sent := f.request(message.NotificationID(f.app, first.MsgKey, "bob", "phone", push.PurposeFirst))
	waits, recalled := f.request("waits"), f.request("recalled")
	recalled.MsgKey, recalled.Message = "c2c:alice:9", MessageRef{App: f.app, Key: "c2c:alice:9"}
	mark := func(q AdmitRequest, state MarkState, reason push.Reason) []Mark {
		return []Mark{{App: q.App, User: q.User, ID: q.ID, Owner: q.Owner, State: state, Reason: reason}}
	}
	apply := func(events ...DeviceEvent) func(context.Context, *fixture) (any, error) {
		return func(ctx context.Context, f *fixture) (any, error) { return f.Apply(ctx, events) }
	}
	decide := func(q DecideRequest) func(context.Context, *fixture) (any, error) {
		return func(ctx context.Context, f *fixture) (any, error) { return f.Decide(ctx, []DecideRequest{q}) }
	}
	admit := func(q AdmitRequest) func(context.Context, *fixture) (any, error) {
		return func(ctx context.Context, f *fixture) (any, error) { return f.Admit(ctx, []AdmitRequest{q}) }
	}
	settle := func(q AdmitRequest, state MarkState, reason push.Reason) func(context.Context, *fixture) (any, error) {
		return func(ctx context.Context, f *fixture) (any, error) { return nil, f.Settle(ctx, mark(q, state, reason)) }
	}
	sound := "a.caf"
	bob := State{App: f.app, User: "eve", Device: "phone", EventTime: at(0), Binding: push.Binding{Platform: "apns", Token: "ee", Version: 3}}
	settings := &schemasv1.UserState{App: f.app, User: "eve", EventTimeMs: at(0).UnixMilli(), PushOff: true}
	member := Membership{App: f.app, Group: "team", User: "bob", Joined: at(0)}
	left := Membership{App: f.app, Group: "team", User: "bob", Left: at(5)}
	receipt := Receipt{App: f.app, User: "bob", Device: "tablet", Kind: ReceiptRead, MsgKey: first.MsgKey, Time: at(20)}
	service := true
	return []step{
		{"login", apply(f.event(EventLogin, 0, token("aa"))), ""},
		{"background", apply(f.event(EventBackground, 5, unread(3))), ""},
		{"foreground, too late", apply(f.event(EventForeground, 1)), ""},
		{"token moves to another user", apply(f.event(EventLogin, 6, token("aa"), of("carol", "phone"))), ""},
		{"token is rejected", apply(f.event(EventTokenRejected, 7, version(1), of("carol", "phone"))), ""},
		{"login again", apply(f.event(EventLogin, 8, token("bb")), f.event(EventBackground, 11)), ""},
		{"settings", apply(f.settings(9, Settings{SoundC2C: &sound})), ""},
		{"device with a service", apply(f.event(EventLogin, 9, token("cc"), of("dora", "phone"), func(e *DeviceEvent) { e.Service = &service })), ""},
		{"joined", func(ctx context.Context, f *fixture) (any, error) {
			return nil, f.ApplyMemberships(ctx, []Membership{member})
		}, ""},
		{"left", func(ctx context.Context, f *fixture) (any, error) {
			return nil, f.ApplyMemberships(ctx, []Membership{left})
		}, ""},
		{"message noted", func(ctx context.Context, f *fixture) (any, error) {
			return f.Messages(ctx, []MessageRef{{App: f.app, Key: "c2c:alice:9", Origin: "im.messages/0/9", Body: "0a0b0c0d"}})
		}, ""},
		{"decided", decide(first), "New, then the Replay of the same decision"},
		{"decided, other message", decide(second), "New, then the Replay of the same decision"},
		{"duplicate", decide(f.again(first)), ""},
		{"admitted", admit(sent), ""},
		{"delivered", settle(sent, MarkDone, ""), ""},
		{"done already", admit(sent), ""},
		{"admitted, to be released", admit(waits), ""},
		{"released", settle(waits, MarkReleased, ""), ""},
		{"admitted after the release", admit(waits), ""},
		{"retried", settle(waits, MarkRetry, ""), ""},
		{"superseded", admit(waits), ""},
		{"recalled", func(ctx context.Context, f *fixture) (any, error) {
			return f.Recall(ctx, MessageRef{App: f.app, Key: "c2c:alice:9"}, f.now)
		}, ""},
		{"filtered as recalled", admit(recalled), "Filtered, then Done with that reason"},
		{"read", func(ctx context.Context, f *fixture) (any, error) { return f.Read(ctx, []Receipt{receipt}) }, ""},
		{"taken back", func(ctx context.Context, f *fixture) (any, error) { return f.Shown(ctx, []DecideRequest{second}) }, ""},
		{"acknowledged", func(ctx context.Context, f *fixture) (any, error) {
			return nil, f.Acknowledge(ctx, []Receipt{{App: f.app, User: "dora", Device: "phone", Kind: ReceiptAcknowledged, MsgKey: first.MsgKey, Time: at(20)}})
		}, ""},
		{"logout", apply(f.event(EventLogout, 30)), ""},
		{"filtered as logged out", admit(f.request("late")), "Filtered, then Done with that reason"},
		{"restored", func(ctx context.Context, f *fixture) (any, error) { return nil, f.Restore(ctx, []State{bob}) }, ""},
		{"settings restored", func(ctx context.Context, f *fixture) (any, error) {
			return nil, f.RestoreSettings(ctx, []*schemasv1.UserState{settings})
		}, ""},
		{"membership restored", func(ctx context.Context, f *fixture) (any, error) {
			return nil, f.RestoreMemberships(ctx, []Membership{member, left})
		}, ""},
		{"rebuilt", func(ctx context.Context, f *fixture) (any, error) { return nil, f.Complete(ctx) }, ""},
	}
}

// again is another record of the same message.
func (f *fixture) again(q DecideRequest) DecideRequest {
	q.Origin += "9"
	return q
}

// TestEveryTransitionTwice: whoever repeats a transition, because its answer was lost or the process died, changes nothing
// more, and gets the same answer but where the table says so.
func TestEveryTransitionTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.now = at(15)
	for _, s := range steps(f) {
		before := f.dump()
		first, err := s.take(t.Context(), f)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		once := f.dump()
		again, err := s.take(t.Context(), f)
		if err != nil {
			t.Fatalf("%s, again: %v", s.name, err)
		}
		if diff := cmp.Diff(once, f.dump()); diff != "" {
			t.Errorf("%s, again, changes what Redis holds (-once +twice):\n%s", s.name, diff)
		}
		if same := cmp.Equal(first, again, protocmp.Transform()); same != (s.changed == "") {
			t.Errorf("%s: %+v, again %+v; want %q", s.name, first, again, s.changed)
		}
		if s.name == "login" && cmp.Equal(before, once) {
			t.Error("nothing is ever written")
		}
	}
}

// dump is all that Redis holds, apart from the times at which keys end.
func (f *fixture) dump() map[string]any {
	f.t.Helper()
	ctx, all := f.t.Context(), map[string]any{}
	keys, err := f.client.Keys(ctx, "*").Result()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, key := range keys {
		switch kind := f.client.Type(ctx, key).Val(); kind {
		case "string":
			all[key] = f.client.Get(ctx, key).Val()
		case "hash":
			all[key] = f.client.HGetAll(ctx, key).Val()
		case "zset":
			all[key] = f.client.ZRangeWithScores(ctx, key, 0, -1).Val()
		default:
			f.t.Fatalf("%s is a %s", key, kind)
		}
	}
	return all
}

// TestLeasesGoByTheirOwnersClocks: a lease ends to the millisecond by the clock of whoever asks. A clock that is ahead may
// end it early by as much, one that is behind makes its owner wait; the margin of the lease covers the difference.
func TestLeasesGoByTheirOwnersClocks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	const lease = 15 * time.Second
	for name, test := range map[string]struct {
		skew time.Duration // of the second clock to the first, at the moment of the first lease
		want Verdict
		left time.Duration
	}{
		"the same moment":              {0, Leased, lease},
		"a second ahead":               {time.Second, Leased, lease - time.Second},
		"ahead by the lease, nearly":   {lease - time.Millisecond, Leased, time.Millisecond},
		"ahead by the lease":           {lease, Go, 0},
		"behind: longer, not for ever": {-time.Minute, Leased, lease + time.Minute},
	} {
		f.now = at(10)
		if got := f.admit(f.request(name))[0]; got.Verdict != Go {
			t.Fatalf("%s: the first is %s", name, got.Verdict)
		}
		f.now = at(10).Add(test.skew)
		if got := f.admit(f.request(name, by("you")))[0]; got.Verdict != test.want || got.LeaseLeft != test.left {
			t.Errorf("%s: %s with %s left, want %s with %s", name, got.Verdict, got.LeaseLeft, test.want, test.left)
		}
	}
}

// TestEverythingButUsersEnds: what is kept for good is a user's, a group's or a token's; all else has an end that Redis
// keeps by its own clock, whatever the callers' clocks say.
func TestEverythingButUsersEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newRegistry(dial(t, serve(t), 0), false, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.now = at(15)
	most := map[string]time.Duration{"c": 15 * time.Minute, "n": 24 * time.Hour, "b": 8 * 24 * time.Hour, "r": 24 * time.Hour, "y": 10 * time.Second,
		"m": 7 * 24 * time.Hour, "t": tokenTTL, "g": 50 * time.Hour}
	seen := map[string]bool{}
	for _, s := range steps(f) {
		if _, err := s.take(t.Context(), f); err != nil {
			t.Fatal(s.name, err)
		}
		for key := range f.dump() {
			kind := kindOf(key)
			ttl := f.client.PTTL(t.Context(), key).Val()
			limit, ends := most[kind]
			switch {
			case kind == "g" && ttl <= 0: // somebody is in it
			case ends && (ttl <= 0 || ttl > limit):
				t.Errorf("%s: %s lives %s, want at most %s", s.name, key, ttl, limit)
			case !ends && ttl > 0:
				t.Errorf("%s: %s ends after %s", s.name, key, ttl)
			default:
				seen[kind] = true
			}
		}
	}
	for kind := range most {
		if !seen[kind] {
			t.Errorf("no key of kind %s was seen", kind)
		}
	}
}
