package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// checkLimit is how long the checks of one probe may take, together: half of the time-out that probes commonly have.
const checkLimit = 2 * time.Second

// Check says why a part of the process cannot do its work now; nil when it can. It returns when ctx ends. What it says
// is shown to whoever can reach the probe.
type Check func(ctx context.Context) error

// Health answers the probes of a process. It is safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	checks map[string]Check
}

// NewHealth returns a Health without checks, which is ready.
func NewHealth() *Health { return &Health{checks: make(map[string]Check)} }

// Add makes readiness depend on a check. A check of the same name takes the place of the one before.
func (h *Health) Add(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Alive answers 200 as long as the process serves HTTP: a Kafka or Redis that is away is no reason to restart it.
func (h *Health) Alive() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
}

// Ready answers with each check's name and "ok" or what it says, as a JSON object: 200 where all are ok, else 503.
func (h *Health) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkLimit)
		defer cancel()
		answers := h.run(ctx)
		status := http.StatusOK
		for _, answer := range answers {
			if answer != "ok" {
				status = http.StatusServiceUnavailable
			}
		}
		writeJSON(w, status, answers)
	})
}

// Check asks every check, and returns what those that fail say, joined; nil when all are ok.
func (h *Health) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	var failed []error
	answers := h.run(ctx)
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if answers[name] != "ok" {
			failed = append(failed, fmt.Errorf("%s: %s", name, answers[name]))
		}
	}
	return errors.Join(failed...)
}

// run asks every check at the same time.
func (h *Health) run(ctx context.Context) map[string]string {
	h.mu.Lock()
	checks := maps.Clone(h.checks)
	h.mu.Unlock()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		answers = make(map[string]string, len(checks))
	)
	for name, check := range checks {
		wg.Go(func() {
			answer := "ok"
			if err := check(ctx); err != nil {
				answer = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			answers[name] = answer
		})
	}
	wg.Wait()
	return answers
}

// Mux serves /healthz, /readyz and /metrics.
func Mux(h *Health, m *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h.Alive())
	mux.Handle("GET /readyz", h.Ready())
	mux.Handle("GET /metrics", m.Handler())
	return mux
}

func writeJSON(w http.ResponseWriter, status int, answers map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answers) // the client has gone: nobody is left to tell
}
