package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/workers/control"
)

// paused lists what is paused, as the command says.
func (b *bench) paused() []control.Target {
	b.t.Helper()
	var targets []control.Target
	for line := range strings.Lines(b.ok("", "pause", "--list", "-o", "json")) {
		var p control.Pause
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			b.t.Fatal(err)
		}
		if p.By == "" || time.Since(p.Since) > time.Hour {
			b.t.Errorf("paused by %q since %s", p.By, p.Since)
		}
		targets = append(targets, p.Target)
	}
	return targets
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got := b.paused(); got != nil {
		t.Errorf("paused at first: %v", got)
	}
	b.ok("", "pause", "--platform", "apns")
	b.ok("", "pause", "--app", "demo")
	b.ok("", "pause", "--credential", "demo-ios", "--note", "wrong key")
	app, credential := control.Target{App: "demo"}, control.Target{App: "demo", Credential: "demo-ios"}
	if diff := cmp.Diff([]control.Target{app, credential, {Platform: "apns"}}, b.paused()); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
	if got := b.ok("", "pause", "--list"); !strings.Contains(got, "wrong key") {
		t.Errorf("the note is not listed:\n%s", got)
	}
	board := control.NewBoard(b.cluster, topics, zap.NewNop()) // as a process of the fleet
	if err := board.Read(t.Context()); err != nil || !board.PlatformPaused("apns") || !board.Paused("demo", "demo-android") {
		t.Errorf("the fleet does not see it: %v", err)
	}
	b.ok("", "resume", "--platform", "apns")
	b.ok("", "resume", "--app", "demo")
	b.ok("", "resume", "--app", "gone")
	if diff := cmp.Diff([]control.Target{credential}, b.paused()); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
	for line, want := range map[string]string{
		"pause --app dem":                  `no app "dem"`,
		"pause --credential demo-iphone":   `no credential "demo-iphone"`,
		"pause --app dem --credential ios": `no app "dem"`,
	} {
		b.fails(1, want, strings.Fields(line)...)
	}
}
