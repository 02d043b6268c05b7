package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// dead is the dead letter of a notification for one of bob's phones.
func dead(device string, reason push.Reason) stream.Message {
	n := &push.Notification{ID: "id-" + device, App: "demo", User: "bob", Device: device, MsgKey: "c2c:alice:1_2_3", Platform: "apns",
		Token: pushToken, Credential: "demo-ios", Version: 3, Body: "secret words", Badge: push.NoBadge}
	meta := stream.Meta{ID: n.ID, Lane: push.LaneNormal, Attempt: 8, FirstSeen: time.UnixMilli(1790000000000), Reason: reason,
		Answer: "503 ServiceUnavailable", Origin: "p.im.messages/0/0"}
	return stream.Message{Topic: topics.Dead("apns"), Key: stream.DeviceKey(n.App, n.User, n.Device), Value: stream.EncodeNotification(n),
		Headers: meta.Headers(), Partition: stream.ByKey}
}

// listed returns the devices of the letters that a command lists.
func (b *bench) listed(args ...string) string {
	b.t.Helper()
	var devices []string
	for line := range strings.Lines(b.ok("", append(args, "-o", "json")...)) {
		var l struct{ Device string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			b.t.Fatal(err)
		}
		devices = append(devices, l.Device)
	}
	return strings.Join(devices, " ")
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead("one", push.ReasonAttemptsExhausted))
	b.write(dead("two", push.ReasonTooLarge))
	b.write(dead("three", push.ReasonAttemptsExhausted))
	b.write(stream.DeadInput(topics, &stream.Record{Topic: topics.Messages(), Value: []byte("{secret words")}, push.ReasonInvalidMessage, "not JSON", time.Now()))

	for args, want := range map[string]string{
		"dead list":                                          "one two three ",
		"dead list --limit 2":                                "one two",
		"dead list --reason too_large":                       "two",
		"dead list --platform apns":                          "one two three",
		"dead list --topic p.im.messages.dead":               "",
		"dead list --app other":                              "",
		"dead redrive --reason attempts_exhausted --dry-run": "one three",
	} {
		if got := b.listed(strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	if work := b.values(topics.Work("apns", push.LaneNormal)); len(work) != 0 {
		t.Errorf("a dry run sent %d letters back", len(work))
	}

	table := b.ok("", "dead", "list")
	if !strings.Contains(table, "p.push.apns.dead/0/1") || !strings.Contains(table, "too_large") || !strings.Contains(table, "503 ServiceUnavailable") {
		t.Errorf("table:\n%s", table)
	}
	for _, args := range []string{"dead list", "dead list -o json", "dead show p.push.apns.dead/0/1", "dead show p.push.apns.dead/0/1 -o json",
		"dead show p.push.apns.dead/0/1 --reveal", "dead show p.im.messages.dead/0/0"} {
		out := b.ok("", strings.Fields(args)...)
		if strings.Contains(out, pushToken) || strings.Contains(out, "secret words") != strings.Contains(args, "--reveal") {
			t.Errorf("%s tells a token, or the text without being asked:\n%s", args, out)
		}
	}
	b.fails(1, "no dead letter", "dead", "show", "p.push.apns.dead/0/99")
	b.fails(1, "is no dead topic", "dead", "list", "--topic", "p.im.messages")
}

func TestRedrive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead("one", push.ReasonAttemptsExhausted))
	b.write(dead("two", push.ReasonTooLarge))
	b.write(dead("three", push.ReasonAttemptsExhausted))
	b.write(stream.DeadInput(topics, &stream.Record{Topic: topics.Messages(), Value: []byte(message)}, push.ReasonUnknownApp, "", time.Now()))

	const one, none = `{"redriven":1}` + "\n", `{"redriven":0}` + "\n"
	if out := b.ok("", "dead", "redrive", "p.push.apns.dead/0/2", "-o", "json"); out != one {
		t.Errorf("a position: %q", out)
	}
	b.fails(1, "--redriven sends it again", "dead", "redrive", "p.push.apns.dead/0/2")
	if out := b.ok("", "dead", "redrive", "--reason", "attempts_exhausted", "-o", "json"); out != one {
		t.Errorf("a filter, one of its two sent back before: %q", out)
	}
	if got := b.listed("dead", "list"); got != "two " {
		t.Errorf("left: %q", got)
	}
	if out := b.ok("", "dead", "redrive", "--all", "-o", "json"); out != `{"redriven":2}`+"\n" {
		t.Errorf("all: %q", out)
	}
	if out := b.ok("", "dead", "redrive", "--all", "-o", "json"); out != none {
		t.Errorf("all again: %q", out)
	}
	if out := b.ok("", "dead", "redrive", "--all", "--redriven", "--limit", "1"); out != "REDRIVEN\n1\n" {
		t.Errorf("with --redriven: %q", out)
	}
	if work, back := b.values(topics.Work("apns", push.LaneNormal)), b.values(topics.Messages()); len(work) != 4 || len(back) != 1 || back[0] != message {
		t.Errorf("%d letters in the lane, im.messages holds %q", len(work), back)
	}
}

func TestTopicsLag(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ok("", "send", b.file("message.json", message))
	lags := map[string]float64{}
	for line := range strings.Lines(b.ok("", "topics", "lag", "-o", "json")) {
		var l struct {
			Group, Topic string
			Lag          float64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		lags[l.Group+" "+l.Topic] = l.Lag
	}
	for row, want := range map[string]float64{
		"p.g.route p.im.messages": 1, "p.g.devices p.im.devices": 0, "p.g.devices p.im.presence": 0, "p.g.report p.push.events": 0,
		"p.g.deliver-apns p.push.apns.urgent": 0, "p.g.deliver-fcm p.push.fcm.bulk": 0,
		"p.g.retry-apns-10s p.push.apns.retry.10s": 0, "p.g.parked-fcm p.push.fcm.parked": 0,
	} {
		if got, ok := lags[row]; !ok || got != want {
			t.Errorf("%s: lag %v, there: %t; want %v", row, got, ok, want)
		}
	}
	if table := b.ok("", "topics", "lag"); !strings.HasPrefix(table, "GROUP") || strings.Count(table, "\n") != len(lags)+1 {
		t.Errorf("table:\n%s", table)
	}
}
