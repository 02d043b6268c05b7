package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/workers/devices"
)

func TestRegistryStatus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	login := registry.DeviceEvent{App: "demo", User: "bob", Device: "phone", Event: registry.EventLogin, EventTime: time.Now()}
	if _, err := b.registry.Apply(t.Context(), []registry.DeviceEvent{login}); err != nil {
		t.Fatal(err)
	}
	if got := b.ok("", "registry", "status"); !strings.Contains(got, "READY") || !strings.Contains(got, "users") {
		t.Errorf("a table:\n%s", got)
	}
	var line registryLine
	if err := json.Unmarshal([]byte(b.ok("", "registry", "status", "-o", "json")), &line); err != nil {
		t.Fatal(err)
	}
	if !line.Ready || line.Devices != 1 || line.Kinds["u"].Keys != 1 || line.Rebuild != nil {
		t.Errorf("with one device: %+v", line)
	}
	if err := b.registry.Retract(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.fails(1, "epoch marker", "registry", "status")
}

// TestRegistryRebuild: what Redis lost of a user is there again, and who asked is told; nothing is decided meanwhile.
func TestRegistryRebuild(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	state := registry.State{App: "demo", User: "bob", Device: "phone", EventTime: time.Now()}
	state.Binding.Platform, state.Binding.Token, state.Binding.Version = "apns", pushToken, 1
	written := make(chan error, 1)
	b.pub.Publish(t.Context(), devices.State(topics, state.Record()), func(err error) { written <- err })
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	b.ok("", "registry", "rebuild", "--yes")
	if err := b.registry.Ready(t.Context()); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("everything has to be held: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	rebuilder := devices.NewRebuilder(b.registry, b.cluster, devices.Config{Topics: topics, Now: time.Now}, "me", zap.NewNop())
	go func() { defer close(ended); rebuilder.Run(ctx) }()
	defer func() { stop(); <-ended }()

	a := execute(t, "", "--config", filepath.Join(b.dir, "pushfleet.yaml"), "registry", "rebuild", "--yes", "--no-hold", "--wait", "-o", "json")
	var report registry.RebuildReport
	if err := json.Unmarshal([]byte(a.stdout), &report); err != nil || a.code != 0 || !strings.Contains(a.stderr, "waiting") {
		t.Fatalf("exit %d, %v\n%s%s", a.code, err, a.stdout, a.stderr)
	}
	if !report.Done || report.Records != 1 || !strings.HasPrefix(report.Wish, operator()) {
		t.Errorf("report %+v", report)
	}
	if err := b.registry.Ready(t.Context()); err != nil {
		t.Errorf("after the rebuild: %v", err)
	}
	known, err := b.registry.Devices(t.Context(), "demo", "bob")
	if err != nil || len(known) != 1 {
		t.Errorf("bob has %d devices, %v", len(known), err)
	}
	var line registryLine
	if err := json.Unmarshal([]byte(b.ok("", "registry", "status", "-o", "json")), &line); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&report, line.Rebuild); diff != "" {
		t.Errorf("status shows another rebuild (-want +got):\n%s", diff)
	}
}
