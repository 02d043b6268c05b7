package fleet_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// buildPushfleet builds the program from this tree.
func buildPushfleet(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(dir, "pushfleet")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/pushfleet")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// worker is a pushfleet process that is started again and again.
type worker struct {
	args   []string
	stderr string // file of all its lives
	cmd    *exec.Cmd
	ended  chan error
}

// startWorker starts it. When the test has failed, the end of its log is printed; it never outlives the test.
func startWorker(t *testing.T, binary, cfg, roles string) *worker {
	t.Helper()
	w := &worker{args: []string{binary, "run", "--config", cfg, "--roles", roles}, stderr: filepath.Join(t.TempDir(), "stderr")}
	t.Cleanup(func() {
		if w.cmd != nil {
			w.kill(t)
		}
		if t.Failed() {
			t.Logf("end of the worker's log:\n%s", w.tail(t, 8<<10))
		}
	})
	w.start(t)
	return w
}

func (w *worker) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(w.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(w.args[0], w.args[1:]...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.cmd, w.ended = cmd, ended
}

// kill ends it without a chance to finish anything; it has to be running.
func (w *worker) kill(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Errorf("the worker ended by itself: %v", err)
	}
	<-w.ended
	w.cmd = nil
}

// stop asks it to end, and expects success in time.
func (w *worker) stop(t *testing.T, limit time.Duration) {
	t.Helper()
	began := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the worker ended by itself: %v", err)
	}
	select {
	case err := <-w.ended:
		w.cmd = nil
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		t.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(limit):
		t.Errorf("still running %s after SIGTERM", limit)
	}
}

// complaints fails for a crash, and shows how often what was logged.
func (w *worker) complaints(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(w.stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, crash := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
		if bytes.Contains(log, []byte(crash)) {
			t.Errorf("the worker's log holds %q", crash)
		}
	}
	count := map[string]int{}
	for line := range strings.Lines(string(log)) {
		var entry struct{ Level, Logger, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil {
			count[entry.Level+" "+entry.Logger+": "+entry.Msg]++
		}
	}
	for what, n := range count {
		t.Logf("logged %d times: %s", n, what)
	}
}

// tail is the end of its log.
func (w *worker) tail(t *testing.T, size int) []byte {
	t.Helper()
	log, err := os.ReadFile(w.stderr)
	if err != nil {
		t.Error(err)
	}
	return log[max(0, len(log)-size):]
}
