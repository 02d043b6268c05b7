package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/stream/embedded"
)

// configFor is a configuration file for a Kafka at an address.
func configFor(t *testing.T, kafka string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushfleet.yml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "kafka: {brokers: [%q]}\napps: {demo: {}}\n", kafka), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// kafka is a running Kafka with the topics that load writes to.
func kafka(t *testing.T) string {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: []string{broker.Addr()}})
	defer cluster.Close()
	if _, err := cluster.Apply(t.Context(), stream.Layout{Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return broker.Addr()
}

func TestLoadEndsWithSuccess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kafka   func(*testing.T) string
		args    []string
		signal  time.Duration // after which SIGINT arrives; 0 = none
		printed string
		within  time.Duration
	}{
		"when all is made": {
			kafka: kafka, args: []string{"--messages", "20", "--users", "10"}, printed: "20 messages", within: 30 * time.Second,
		},
		"at a signal while it makes messages": {
			kafka: kafka, args: []string{"--messages", "100000", "--rate", "100"}, signal: 300 * time.Millisecond, printed: " 0 failed", within: 10 * time.Second,
		},
		"at a signal while Kafka is away": {
			kafka: func(*testing.T) string { return "127.0.0.1:1" }, args: []string{"--users", "1000000"},
			signal: 300 * time.Millisecond, printed: "0 records written, 0 failed", within: 15 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"load", "--config", configFor(t, test.kafka(t))}, test.args...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.signal > 0 {
				timer := time.AfterFunc(test.signal, cancel)
				defer timer.Stop()
			}
			var out, problems bytes.Buffer
			began := time.Now()
			if code := run(ctx, args, nil, &out, &problems); code != 0 || !strings.Contains(out.String(), test.printed) {
				t.Errorf("exit %d, want 0 and %q\n%s%s", code, test.printed, out.String(), problems.String())
			}
			if took := time.Since(began); took > test.within {
				t.Errorf("ended after %s", took)
			}
		})
	}
}
