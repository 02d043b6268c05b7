package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/operate"
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
		"dead list --credential demo-ios --user bob":         "one two three",
		"dead list --credential other":                       "",
		"dead list --user nobody":                            "",
		"dead list --msg-key c2c:alice:1_2_3":                "one two three",
		"dead list --since 1h --limit 1":                     "one",
		"dead list --until 1h":                               "",
		"dead list --until 2020-01-01T00:00:00Z":             "",
		"dead list --since 2020-01-01T00:00:00Z --app demo":  "one two three",
		"dead discard --reason too_large --dry-run":          "two",
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

// audits are the commands that dead audit lists, and how many letters each dealt with.
func (b *bench) audits() []string {
	b.t.Helper()
	var lines []string
	for line := range strings.Lines(b.ok("", "dead", "audit", "-o", "json")) {
		var a struct {
			Began, Ended time.Time
			By, Command  string
			Letters      int
			Problem      string
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			b.t.Fatal(err)
		}
		if a.Began.IsZero() || a.Ended.Before(a.Began) || a.By != operator() {
			b.t.Errorf("audit %+v", a)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %s %s", a.Letters, a.Command, a.Problem)))
	}
	return lines
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, device := range []string{"one", "two", "three"} {
		b.write(dead(device, push.ReasonTooLarge))
	}
	if out := b.ok("", "dead", "discard", "p.push.apns.dead/0/1", "--note", "Ext of build 214", "-o", "json"); out != `{"discarded":1}`+"\n" {
		t.Errorf("a position: %q", out)
	}
	b.fails(1, "was discarded already", "dead", "discard", "p.push.apns.dead/0/1", "--note", "again")
	b.fails(1, "--discarded sends it back", "dead", "redrive", "p.push.apns.dead/0/1")
	b.fails(2, "--note", "dead", "discard", "--all")
	if got := b.listed("dead", "list"); got != "one three" {
		t.Errorf("left: %q", got)
	}
	if got := b.listed("dead", "list", "--discarded"); got != "one two three" {
		t.Errorf("with --discarded: %q", got)
	}
	if out := b.ok("", "dead", "redrive", "--all"); out != "REDRIVEN\n2\n" {
		t.Errorf("all but the discarded one: %q", out)
	}
	b.fails(1, "--redriven discards it", "dead", "discard", "p.push.apns.dead/0/0", "--note", "x")
	if work := b.values(topics.Work("apns", push.LaneNormal)); len(work) != 2 {
		t.Errorf("%d letters in the lane, want 2", len(work))
	}
	shown := b.ok("", "dead", "show", "p.push.apns.dead/0/1")
	if !strings.Contains(shown, "by "+operator()+" Ext of build 214") || strings.Contains(shown, pushToken) {
		t.Errorf("show:\n%s", shown)
	}
	want := []string{
		"1 pushctl dead discard --note=Ext of build 214 p.push.apns.dead/0/1",
		"0 pushctl dead discard --note=again p.push.apns.dead/0/1 p.push.apns.dead/0/1 was discarded already",
		"0 pushctl dead redrive p.push.apns.dead/0/1 p.push.apns.dead/0/1 was discarded; --discarded sends it back all the same",
		"2 pushctl dead redrive --all",
		"0 pushctl dead discard --note=x p.push.apns.dead/0/0 p.push.apns.dead/0/0 was sent back; --redriven discards it all the same",
	}
	if diff := cmp.Diff(want, b.audits()); diff != "" {
		t.Errorf("audits (-want +got):\n%s", diff)
	}
	if table := b.ok("", "dead", "audit", "--limit", "1"); strings.Contains(table, "--all") || !strings.Contains(table, operator()) {
		t.Errorf("the last one:\n%s", table)
	}
}

func TestDeadStats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, device := range []string{"one", "two", "three"} {
		b.write(dead(device, push.ReasonTooLarge))
	}
	b.ok("", "dead", "redrive", "p.push.apns.dead/0/0")
	b.ok("", "dead", "discard", "p.push.apns.dead/0/1", "--note", "x")
	var row struct {
		Topic, Reason, App, Platform, Credential string
		Letters, Open, Redriven, Discarded       int
		Oldest, Newest                           time.Time
	}
	if err := json.Unmarshal([]byte(b.ok("", "dead", "stats", "-o", "json")), &row); err != nil {
		t.Fatal(err)
	}
	if row.Topic != "p.push.apns.dead" || row.Reason != "too_large" || row.App != "demo" || row.Platform != "apns" || row.Credential != "demo-ios" ||
		row.Letters != 3 || row.Open != 1 || row.Redriven != 1 || row.Discarded != 1 || row.Oldest.IsZero() || row.Newest.IsZero() {
		t.Errorf("%+v", row)
	}
	if table := b.ok("", "dead", "stats", "--by", "app,platform"); !strings.Contains(table, "demo") || strings.Contains(table, "too_large") || !strings.Contains(table, "all") {
		t.Errorf("table:\n%s", table)
	}
}

func TestDeadExplain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, reason := range operate.DeadReasons() {
		if out := b.ok("", "dead", "explain", string(reason)); !strings.Contains(out, "remedy") || !strings.Contains(out, string(reason)) {
			t.Errorf("%s:\n%s", reason, out)
		}
	}
	var e struct {
		Reason, Meaning, Remedy string
		Leads                   string `json:"leads_to"`
	}
	if err := json.Unmarshal([]byte(b.ok("", "dead", "explain", "paused", "-o", "json")), &e); err != nil || e.Leads != "park" || e.Remedy == "" {
		t.Errorf("%+v, %v", e, err)
	}
	if lines := strings.Count(b.ok("", "dead", "explain"), "\n"); lines != len(operate.Explanations())+1 {
		t.Errorf("%d lines", lines)
	}
}

func TestMistakesOfDeadAreUsage(t *testing.T) {
	t.Parallel()
	for line, why := range map[string]string{
		"dead list --reason foo":                         "--reason is one of",
		"dead list --reason unregistered":                "--reason is one of",
		"dead stats --reason foo":                        "--reason is one of",
		"dead redrive --reason foo":                      "--reason is one of",
		"dead discard --reason foo --note x":             "--reason is one of",
		"dead list --since yesterday":                    "--since is a time",
		"dead list --until -1h":                          "--until is a time",
		"dead stats --by mood":                           "--by is",
		"dead explain foo":                               "is no reason",
		"dead explain a b":                               "arg",
		"dead discard":                                   "--note",
		"dead discard --note x":                          "--all",
		"dead discard a/0/1 --note x --user bob":         "not both",
		"dead redrive --all --platform pager":            "--platform",
		"dead redrive a/0/1 --since 1h":                  "not both",
		"dead audit --limit -1":                          "--limit",
		"dead redrive --redriven":                        "--all",
		"dead redrive --discarded":                       "--all",
		"dead redrive not-a-position":                    "topic/partition/offset",
		"dead redrive --reason too_large --rate -0.5":    "--rate",
		"dead discard --reason too_large --note x --x=y": "unknown flag",
	} {
		a := execute(t, "", append(strings.Fields(line), "--config", "missing.yaml")...)
		if a.code != 2 || !strings.Contains(a.stderr, why) || a.stdout != "" {
			t.Errorf("%s: exit %d, want 2 and %q\n%s%s", line, a.code, why, a.stdout, a.stderr)
		}
	}
}

// TestAnInterruptedRedriveIsAudited: the rate lets one letter go, then the caller ends the command.
func TestAnInterruptedRedriveIsAudited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, device := range []string{"one", "two", "three"} {
		b.write(dead(device, push.ReasonAttemptsExhausted))
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan answer)
	go func() {
		var stdout, stderr bytes.Buffer
		code := run(ctx, []string{"--config", filepath.Join(b.dir, "pushfleet.yaml"), "dead", "redrive", "--all", "--rate", "0.01"}, strings.NewReader(""), &stdout, &stderr)
		ended <- answer{code, stdout.String(), stderr.String()}
	}()
	for deadline := time.Now().Add(time.Minute); b.listed("dead", "list") != "two three"; {
		if time.Now().After(deadline) {
			t.Fatal("no letter was sent back in a minute")
		}
	}
	interrupt()
	if a := <-ended; a.code != 1 || a.stdout != "REDRIVEN\n1\n" || !strings.Contains(a.stderr, "goes on where it stopped") {
		t.Errorf("exit %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	if out := b.ok("", "dead", "redrive", "--all"); out != "REDRIVEN\n2\n" {
		t.Errorf("the same again: %q", out)
	}
	if work := b.values(topics.Work("apns", push.LaneNormal)); len(work) != 3 {
		t.Errorf("%d letters in the lane, want each once", len(work))
	}
	want := []string{"1 pushctl dead redrive --all --rate=0.01 interrupted", "2 pushctl dead redrive --all"}
	if diff := cmp.Diff(want, b.audits()); diff != "" {
		t.Errorf("audits (-want +got):\n%s", diff)
	}
}

func TestProgressIsToldUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := 0
		stop := every(progressEvery, func() { told++ })
		time.Sleep(3*progressEvery + time.Second)
		stop()
		if told != 3 {
			t.Errorf("told %d times", told)
		}
	})
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
