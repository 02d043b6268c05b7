package redistest_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func needsServers(t *testing.T) {
	t.Helper()
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		t.Skip("starts real servers: run scripts/integration ./pkg/registry/redistest")
	}
}

func TestAServerIsKilledFrozenAndStartedAgain(t *testing.T) {
	t.Parallel()
	needsServers(t)
	s, err := redistest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	do := func(want string, args ...string) {
		t.Helper()
		if got, err := s.Do(t.Context(), args...); err != nil || got != want {
			t.Errorf("%v: %q, %v, want %q", args, got, err, want)
		}
	}
	do("OK", "set", "a", "1")
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	do("1", "get", "a")
	s.Kill()
	if _, err := s.Do(t.Context(), "ping"); err == nil {
		t.Error("a killed server answers")
	}
	if err := s.Restart(t.Context(), "--maxmemory", "100mb"); err != nil {
		t.Fatal(err)
	}
	do("", "get", "a")
	do("maxmemory\n104857600", "config", "get", "maxmemory")
}

func TestAClusterHasReplicas(t *testing.T) {
	t.Parallel()
	needsServers(t)
	c, err := redistest.StartCluster(t.Context(), 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, s := range c.Servers {
		role := "slave"
		if i < 3 {
			role = "master"
		}
		if got, err := s.Do(t.Context(), "role"); err != nil || !strings.HasPrefix(got, role) {
			t.Errorf("node %d: %q, %v, want a %s", i, got, err, role)
		}
	}
}
