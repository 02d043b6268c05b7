package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func testRestore(t *testing.T, f *fixture) {
	full := State{
		App: f.app, User: "bob", Device: "phone", EventTime: at(10),
		Binding: push.Binding{Platform: "fcm", Token: "aa", Credential: "main", Language: "zh-Hant", Version: 7},
	}
	if diff := cmp.Diff(full, StateOf(full.Record())); diff != "" {
		t.Errorf("as a record: %s", diff)
	}
	at10 := func(version int64, seconds float64) State {
		s := full
		s.EventTime, s.Binding.Version = at(seconds), version
		return s
	}
	for _, step := range []struct {
		name   string
		states []State
		want   State
	}{
		{"lost", []State{full}, full},
		{"older by time", []State{at10(9, 9)}, full},
		{"older by version", []State{at10(6, 10)}, full},
		{"newer by version", []State{at10(8, 10)}, at10(8, 10)},
		{"newer by time", []State{at10(2, 11), at10(8, 10)}, at10(2, 11)},
		{"what cannot be a state", []State{{App: f.app, User: "bob", Device: "ph\x1fne", Binding: full.Binding, EventTime: at(99)}, {}}, at10(2, 11)},
	} {
		if err := f.Restore(t.Context(), step.states); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, f.binding("bob", "phone")); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	if err := f.Restore(t.Context(), []State{{App: f.app, User: "bob", Device: "old", LoggedOut: true, EventTime: at(1), Binding: push.Binding{Version: 3}}}); err != nil {
		t.Fatal(err)
	}
	f.now = at(1000)
	got := f.decide(f.message())[0].Devices
	if len(got) != 2 || got[0].Reason != push.ReasonLoggedOut || got[1].Reason != push.ReasonKilled || !got[1].Push {
		t.Errorf("restored devices: logged out stays, unknown presence is killed; got %+v", got)
	}
	if s := f.apply(f.event(EventLogin, 2000, token("bb")))[0].States[0]; s.Binding.Version != 3 {
		t.Errorf("the version goes on with %d", s.Binding.Version)
	}
}

func testRestoredTokens(t *testing.T, f *fixture) {
	err := f.Restore(t.Context(), []State{{
		App: f.app, User: "bob", Device: "phone", EventTime: at(10), Binding: push.Binding{Platform: "apns", Token: "aa", Version: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	states := f.apply(f.event(EventLogin, 20, token("aa"), of("carol", "phone")))[0].States
	if len(states) != 2 || states[1].User != "bob" || states[1].Binding.Token != "" {
		t.Errorf("a restored token is taken away: %+v", states)
	}
}

// A master that was restarted or newly promoted does not know the scripts.
func testUnknownScripts(t *testing.T, f *fixture) {
	f.apply(f.event(EventLogin, 0, token("aa")), f.event(EventBackground, 5))
	for range 3 {
		if err := f.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		got := f.decide(f.message(), f.message(), f.message())
		if badges := got[2].Devices[0].Badge - got[0].Devices[0].Badge; badges != 2 {
			t.Errorf("three messages raised the badge by %d after the first", badges)
		}
	}
}

func TestEmptyRedisDecidesNothing(t *testing.T) {
	t.Parallel()
	for _, cluster := range []bool{false, true} {
		t.Run(fmt.Sprintf("cluster %t", cluster), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newRegistry(dial(t, serve(t), 0), cluster, Options{}))
			ctx := t.Context()
			login, message, request := f.event(EventLogin, 0, token("aa")), f.message(), f.request("1")
			refuse := func(when string) {
				t.Helper()
				_, decided := f.Decide(ctx, []DecideRequest{message})
				_, admitted := f.Admit(ctx, []AdmitRequest{request})
				_, applied := f.Apply(ctx, []DeviceEvent{login})
				for what, err := range map[string]error{"ready": f.Ready(ctx), "decide": decided, "admit": admitted, "apply": applied} {
					if !errors.Is(err, ErrEmpty) {
						t.Errorf("%s, %s: %v", when, what, err)
					}
				}
				if n := f.client.DBSize(ctx).Val(); n != 1 {
					t.Errorf("%s: %d keys, want the probe alone", when, n)
				}
			}
			refuse("new")
			if err := f.Complete(ctx); err != nil {
				t.Fatal(err)
			}
			if err := f.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			f.apply(login)
			f.now = at(500)
			if d := f.decide(message)[0]; len(d.Devices) != 1 {
				t.Errorf("complete: %+v", d)
			}
			if err := f.client.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			refuse("lost")
		})
	}
}

// One command per recipient and per notification, all in one trip, whatever the user wants and however many devices
// count; a batch looks once at each message's recalls.
func TestOneScriptPerRecipient(t *testing.T) {
	t.Parallel()
	client := dial(t, serve(t), 0)
	f := newFixture(t, newRegistry(client, true, Options{}))
	if err := f.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	var events []DeviceEvent
	var messages []DecideRequest
	var requests, ofOneMessage []AdmitRequest
	var marks []Mark
	for i := range 100 {
		user := fmt.Sprint("user", i)
		for _, device := range []string{"phone", "pad"} {
			events = append(events, f.event(EventLogin, 0, of(user, device), token(user+device)), f.event(EventBackground, 5, of(user, device)))
		}
		messages = append(messages, f.message(func(q *DecideRequest) {
			q.User, q.Conversation, q.Group, q.AnyForeground = user, "group:team", true, i%2 == 0
		}))
		requests = append(requests, f.request("1", func(q *AdmitRequest) { q.User = user }))
		ofOneMessage = append(ofOneMessage, f.request("2", func(q *AdmitRequest) {
			q.User, q.Message = user, MessageRef{App: f.app, Key: fmt.Sprint("group:team:", i%2)}
		}))
		marks = append(marks, Mark{App: f.app, User: user, ID: "1", Owner: "me", State: MarkDone})
		if i%4 == 0 {
			option := map[string]any{"group:team": "3" + unit + "1"}
			if err := client.HSet(t.Context(), settingsKey(userTag(f.app, user)), option).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.apply(events...)
	f.decide(f.message())
	f.admit(f.request("0"))
	if err := f.Settle(t.Context(), marks[:1]); err != nil { // every script is loaded now
		t.Fatal(err)
	}
	sent := &checker{t: t, strict: true}
	client.AddHook(sent)
	for _, row := range []struct {
		what  string
		do    func()
		calls int64
	}{
		{"decide", func() { f.decide(messages...) }, 100},
		{"decide again", func() { f.decide(messages...) }, 100},
		{"admit", func() { f.admit(requests...) }, 100},
		{"admit what two messages give", func() { f.admit(ofOneMessage...) }, 102},
		{"settle", func() { f.Settle(t.Context(), marks) }, 100},
	} {
		sent.calls.Store(0)
		sent.trips.Store(0)
		row.do()
		if calls, trips := sent.calls.Load(), sent.trips.Load(); calls != row.calls || trips != 1 {
			t.Errorf("%s of 100: %d commands in %d trips, want %d in one", row.what, calls, trips, row.calls)
		}
	}
}

// A cluster would refuse a script that touches a key it was not given; the embedded server would not.
func TestScriptsTouchOnlyDeclaredKeys(t *testing.T) {
	t.Parallel()
	call := regexp.MustCompile(`redis\.call\('[A-Z]+', *([^,)]+)`)
	declared := regexp.MustCompile(`^KEYS\[[1-7]\]$`) // or key, which a function got from its caller
	for _, source := range newScripts().source {
		calls := call.FindAllStringSubmatch(source, -1)
		if len(calls) != strings.Count(source, "redis.call") {
			t.Errorf("%d of %d calls are readable in %.80q", len(calls), strings.Count(source, "redis.call"), source)
		}
		for _, c := range calls {
			if !declared.MatchString(c[1]) && c[1] != "key" { // make_room's parameter
				t.Errorf("%s in %.80q", c[0], source)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	r, err := Open(Config{Addrs: []string{serve(t)}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.Decide(t.Context(), []DecideRequest{{App: "demo", User: "bob", Origin: "im.messages/0/0"}}); err != nil {
		t.Error(err)
	}
}

func TestAbsentRedisIsAnErrorSoon(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // accepts, never answers
	r, err := Open(Config{Addrs: []string{listener.Addr().String()}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := r.Ready(ctx); err == nil || errors.Is(err, ErrEmpty) {
		t.Errorf("a silent server: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a context of 100 ms took %s", took)
	}
	if _, err := Open(Config{}, Options{}); err == nil {
		t.Error("no address is an error")
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int{"123456789": 0x31c3, "foo": 12182, "": 0} { // CRC16 of the specification; CLUSTER KEYSLOT
		if got := slotOf(tag); got != want%slots {
			t.Errorf("slot of %q is %d, want %d", tag, got, want%slots)
		}
	}
	m := newMarkers(true)
	for slot, key := range m.keys {
		if slotOf(hashTag(key)) != slot {
			t.Fatalf("marker %q is not in slot %d", key, slot)
		}
	}
}
