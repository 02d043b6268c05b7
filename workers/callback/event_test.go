package callback

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

const (
	oneToOne = "c2c:alice:101_900001_1790000000"
	inGroup  = "group:team:424242_1790000001"
)

func TestRow22WhatIsTold(t *testing.T) {
	t.Parallel()
	push1 := func(change func(*schemasv1.Event)) *schemasv1.Event {
		e := &schemasv1.Event{App: "demo", MsgKey: oneToOne, User: "bob", Device: "bob-iphone", Platform: "apns", Id: "x", Disposition: "delivered",
			Answer: "200", TimeMs: 1790000000150, Attempt: 1, Sender: "alice", Conversation: "c2c:alice", MsgSeq: 101}
		change(e)
		return e
	}
	told := func(change func(*Event)) *Event {
		e := &Event{EventType: 1, EventTime: 1790000000150, FromAccount: "alice", ToAccount: "bob", Device: "bob-iphone", PushPlatform: 1,
			Platform: "apns", PushStage: 1, MsgKey: oneToOne, MsgSeq: 101, MsgRandom: 900001, MsgTime: 1790000000, PushID: "x"}
		change(e)
		return e
	}
	for name, test := range map[string]struct {
		step *schemasv1.Event
		want *Event // nil = it is not told
	}{
		"delivered":       {push1(func(*schemasv1.Event) {}), told(func(*Event) {})},
		"routed":          {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason = "push", "killed" }), nil},
		"to be repeated":  {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason = "retry", "timeout" }), nil},
		"parked":          {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason = "park", "paused" }), nil},
		"never a push":    {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason, e.Id = "filter", "muted", "" }), nil},
		"superseded":      {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason = "filter", "superseded" }), nil},
		"a number alone":  {push1(func(e *schemasv1.Event) { e.Purpose = "sync" }), nil},
		"of another kind": {push1(func(e *schemasv1.Event) { e.Disposition = "new" }), nil},
		"ended before it was sent": {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason, e.Answer = "filter", "foreground", "" }),
			told(func(e *Event) { e.ErrCode, e.ErrInfo = 1001, "foreground" })},
		"a dead token": {push1(func(e *schemasv1.Event) {
			e.Disposition, e.Reason, e.Answer = "drop_token", "unregistered", "410 Unregistered"
		}),
			told(func(e *Event) { e.ErrCode, e.ErrInfo = 2001, "unregistered: 410 Unregistered" })},
		"dead": {push1(func(e *schemasv1.Event) { e.Disposition, e.Reason = "dead", "attempts_exhausted" }),
			told(func(e *Event) { e.ErrCode, e.ErrInfo = 3007, "attempts_exhausted: 200" })},
		"the whole message is dead": {&schemasv1.Event{App: "demo", MsgKey: "at:im.messages/0/7", Disposition: "dead", Reason: "too_large", TimeMs: 5},
			&Event{EventType: 1, EventTime: 5, PushStage: 1, MsgKey: "at:im.messages/0/7", ErrCode: 3003, ErrInfo: "too_large"}},
		"to Android, a recall": {push1(func(e *schemasv1.Event) { e.Platform, e.Purpose = "fcm", "recall" }),
			told(func(e *Event) { e.PushPlatform, e.Platform, e.Purpose = 4, "fcm", "recall" })},
		"to a device's own service": {push1(func(e *schemasv1.Event) { e.Platform = "service" }),
			told(func(e *Event) { e.PushPlatform, e.Platform = 0, "service" })},
		"in a group": {push1(func(e *schemasv1.Event) { e.MsgKey, e.Conversation, e.MsgSeq = inGroup, "group:team", 7 }),
			told(func(e *Event) {
				e.EventType, e.MsgKey, e.GroupID, e.MsgSeq, e.MsgRandom, e.MsgTime = 2, inGroup, "team", 7, 424242, 1790000001
			})},
		"in a group, without a random": {push1(func(e *schemasv1.Event) { e.MsgKey, e.Conversation, e.MsgSeq = "at:im.messages/0/7", "group:team", 7 }),
			told(func(e *Event) {
				e.EventType, e.MsgKey, e.GroupID, e.MsgSeq, e.MsgRandom, e.MsgTime = 2, "at:im.messages/0/7", "team", 7, 0, 0
			})},
		"reached": {&schemasv1.Event{App: "demo", MsgKey: oneToOne, User: "bob", Device: "bob-iphone", Id: "x", Disposition: "reached", TimeMs: 9},
			told(func(e *Event) { e.EventTime, e.PushStage, e.Platform, e.PushPlatform = 9, 2, "", 0 })},
		"clicked, in a group": {&schemasv1.Event{App: "demo", MsgKey: inGroup, User: "bob", Device: "bob-iphone", Id: "x", Disposition: "clicked", TimeMs: 9},
			told(func(e *Event) {
				e.EventTime, e.PushStage, e.Platform, e.PushPlatform, e.EventType, e.MsgKey, e.GroupID = 9, 3, "", 0, 2, inGroup, "team"
				e.MsgSeq, e.MsgRandom, e.MsgTime, e.FromAccount = 0, 424242, 1790000001, ""
			})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Tell(test.step)
			if ok != (test.want != nil) {
				t.Fatalf("told: %t", ok)
			}
			if !ok {
				return
			}
			if diff := cmp.Diff(*test.want, got, cmpopts.IgnoreFields(Event{}, "EventID")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSameEventHasTheSameID(t *testing.T) {
	t.Parallel()
	id := func(change func(*schemasv1.Event)) string {
		e := &schemasv1.Event{App: "demo", MsgKey: oneToOne, User: "bob", Device: "d", Id: "x", Disposition: "dead", Reason: "too_large", TimeMs: 1, Attempt: 1}
		change(e)
		told, _ := Tell(e)
		return told.EventID
	}
	first := id(func(*schemasv1.Event) {})
	if got := id(func(e *schemasv1.Event) { e.TimeMs, e.Attempt, e.Answer = 2, 2, "400" }); got != first {
		t.Errorf("said again after a crash: %s, before %s", got, first)
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func(*schemasv1.Event){
		"app":         func(e *schemasv1.Event) { e.App = "other" },
		"message":     func(e *schemasv1.Event) { e.MsgKey = inGroup },
		"user":        func(e *schemasv1.Event) { e.User = "carol" },
		"device":      func(e *schemasv1.Event) { e.Device = "e" },
		"push":        func(e *schemasv1.Event) { e.Id = "y" },
		"reason":      func(e *schemasv1.Event) { e.Reason = "payload_rejected" },
		"disposition": func(e *schemasv1.Event) { e.Disposition, e.Reason = "clicked", "" },
		"redrive":     func(e *schemasv1.Event) { e.Redrive = 1 },
	} {
		got := id(change)
		if other, twice := seen[got]; twice {
			t.Errorf("another %s has the id of %s", name, other)
		}
		seen[got] = name
	}
}

// TestEveryEndHasACode reads the closed list of reasons from its source, so that a new one is not forgotten.
func TestEveryEndHasACode(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/push/outcome.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := Codes()
	numbers := map[int]bool{}
	for _, code := range codes {
		if numbers[code] || code == other || code == 0 {
			t.Errorf("the code %d has two meanings", code)
		}
		numbers[code] = true
	}
	// What is no end of a push, and what befalls callbacks themselves.
	without := []push.Reason{push.ReasonBackground, push.ReasonKilled, push.ReasonSuperseded, push.ReasonCallbackRefused, push.ReasonCallbackExpired}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		reason := push.Reason(text)
		reasons++
		end := reason.Disposition() != push.Retry && reason.Disposition() != push.Park && !slices.Contains(without, reason)
		if _, has := codes[reason]; has != end {
			t.Errorf("%s: has a code %t, want %t", reason, has, end)
		}
		return true
	})
	if reasons < 30 {
		t.Errorf("%d reasons were found", reasons)
	}
	if codeOf("new") != other {
		t.Error("a reason that is not known has a code")
	}
}
