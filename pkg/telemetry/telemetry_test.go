package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get asks a handler and returns its status and body.
func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestEveryDocumentedMetricIsServed(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.Records("route", "im.messages", 3)
	m.Outcome("apns", push.Dead.String(), push.ReasonTooLarge)
	m.Sent("apns", 3*time.Millisecond)
	m.Delivered("apns", push.LaneNormal, 7*time.Millisecond)
	now := time.Unix(1790000000, 0)
	certificate := push.CredentialState{App: "demo", Name: "ios", Platform: "apns", Expires: now.Add(36 * time.Hour)}
	m.Credential(certificate, now)
	m.CredentialReplaced(certificate)
	m.Credential(push.CredentialState{App: "demo", Name: "android", Platform: "fcm", Expires: now}, now)
	m.Credential(push.CredentialState{App: "demo", Name: "android", Platform: "fcm", Problem: "no file"}, now)
	m.WatchSource("route", "pushfleet-route", func() SourceState {
		return SourceState{
			InFlight: 4, Lag: []PartitionLag{{"im.messages", 2, 9}}, Fetches: 10, FetchErrors: 1, Commits: 5, CommitErrors: 2,
			Bytes: 600, Generations: 1, OutOfRange: 3, Damaged: 7, Abandoned: 6,
		}
	})
	m.WatchPublisher("main", func() PublisherState {
		return PublisherState{Requests: 20, Errors: 1, Records: 200, Bytes: 4000, Failed: 2, Queued: 8}
	})
	m.WatchDeliver("apns", func() DeliverState {
		return DeliverState{Circuit: "half-open", Paused: true, Credentials: []SendingState{
			{App: "demo", Credential: "ios", Circuit: "open", Braked: true, Limit: 250, InFlight: 7, Waiting: 5},
		}}
	})
	status, body := get(t, Mux(NewHealth(), m), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	var got []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "pushfleet_") && !strings.Contains(line, "_bucket{") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`pushfleet_brake{app="demo",credential="ios",platform="apns"} 1`,
		`pushfleet_concurrency_limit{app="demo",credential="ios",platform="apns"} 250`,
		`pushfleet_credential_circuit{app="demo",credential="ios",platform="apns"} 2`,
		`pushfleet_credential_expiry_days{app="demo",credential="ios",platform="apns"} 1.5`,
		`pushfleet_credential_problem{app="demo",credential="android",platform="fcm"} 1`,
		`pushfleet_credential_problem{app="demo",credential="ios",platform="apns"} 0`,
		`pushfleet_credential_replaced_total{app="demo",credential="android",platform="fcm"} 0`,
		`pushfleet_credential_replaced_total{app="demo",credential="ios",platform="apns"} 1`,
		`pushfleet_delivery_seconds_sum{lane="normal",platform="apns"} 0.007`,
		`pushfleet_delivery_seconds_count{lane="normal",platform="apns"} 1`,
		`pushfleet_in_flight{group="pushfleet-route",role="route"} 4`,
		`pushfleet_kafka_abandoned_total{group="pushfleet-route",role="route"} 6`,
		`pushfleet_kafka_damaged_total{group="pushfleet-route",role="route"} 7`,
		`pushfleet_kafka_failed_records_total{publisher="main"} 2`,
		`pushfleet_kafka_fetched_bytes_total{group="pushfleet-route",role="route"} 600`,
		`pushfleet_kafka_generations_total{group="pushfleet-route",role="route"} 1`,
		`pushfleet_kafka_out_of_range_total{group="pushfleet-route",role="route"} 3`,
		`pushfleet_kafka_produce_errors_total{publisher="main"} 1`,
		`pushfleet_kafka_produce_requests_total{publisher="main"} 20`,
		`pushfleet_kafka_produced_bytes_total{publisher="main"} 4000`,
		`pushfleet_kafka_produced_records_total{publisher="main"} 200`,
		`pushfleet_kafka_queued_records{publisher="main"} 8`,
		`pushfleet_kafka_request_errors_total{api="commit",group="pushfleet-route",role="route"} 2`,
		`pushfleet_kafka_request_errors_total{api="fetch",group="pushfleet-route",role="route"} 1`,
		`pushfleet_kafka_requests_total{api="commit",group="pushfleet-route",role="route"} 5`,
		`pushfleet_kafka_requests_total{api="fetch",group="pushfleet-route",role="route"} 10`,
		`pushfleet_lag{group="pushfleet-route",partition="2",topic="im.messages"} 9`,
		`pushfleet_outcomes_total{disposition="dead",platform="apns",reason="too_large"} 1`,
		`pushfleet_paused{app="",credential="",platform="apns"} 1`,
		`pushfleet_paused{app="demo",credential="ios",platform="apns"} 0`,
		`pushfleet_provider_circuit{platform="apns"} 1`,
		`pushfleet_records_total{role="route",topic="im.messages"} 3`,
		`pushfleet_send_seconds_sum{platform="apns"} 0.003`,
		`pushfleet_send_seconds_count{platform="apns"} 1`,
		`pushfleet_sends_in_flight{app="demo",credential="ios",platform="apns"} 7`,
		`pushfleet_sends_waiting{app="demo",credential="ios",platform="apns"} 5`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, family := range []string{"go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(body, "\n"+family) {
			t.Errorf("no %s", family)
		}
	}
}

func TestASourceThatIsMadeAnewTakesItsPlace(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	for _, inFlight := range []int{1, 2} {
		m.WatchSource("route", "g", func() SourceState { return SourceState{InFlight: inFlight} })
	}
	if status, body := get(t, m.Handler(), "/metrics"); status != http.StatusOK ||
		!strings.Contains(body, `pushfleet_in_flight{group="g",role="route"} 2`) {
		t.Errorf("%d: %s", status, body)
	}
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := NewHealth()
	mux := Mux(h, NewMetrics())
	h.Add("redis", func(context.Context) error { return nil })
	h.Add("kafka", func(context.Context) error { return errors.New("no broker answers") })
	for _, step := range []struct {
		path   string
		status int
		want   map[string]string
	}{
		{"/healthz", http.StatusOK, map[string]string{"status": "ok"}},
		{"/readyz", http.StatusServiceUnavailable, map[string]string{"redis": "ok", "kafka": "no broker answers"}},
	} {
		status, body := get(t, mux, step.path)
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" || status != step.status {
			t.Errorf("%s: %d\n%s", step.path, status, diff)
		}
	}
	if err := h.Check(t.Context()); err == nil || err.Error() != "kafka: no broker answers" {
		t.Errorf("check: %v", err)
	}
	h.Add("kafka", func(context.Context) error { return nil })
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("all well: %v", err)
	}
	if status, body := get(t, mux, "/readyz"); status != http.StatusOK {
		t.Errorf("all well: %d %s", status, body)
	}
}

func TestASlowCheckEndsWithTheProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		for _, name := range []string{"a", "b"} {
			h.Add(name, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}
		start := time.Now()
		status, _ := get(t, h.Ready(), "/readyz")
		if took := time.Since(start); status != http.StatusServiceUnavailable || took != checkLimit {
			t.Errorf("%d after %s", status, took)
		}
	})
}

func TestChecksDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		var both sync.WaitGroup
		both.Add(2)
		for _, name := range []string{"a", "b"} {
			h.Add(name, func(context.Context) error {
				both.Done()
				both.Wait() // for the other one
				return nil
			})
		}
		if err := h.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHealthMayChangeWhileItIsProbed(t *testing.T) {
	t.Parallel()
	h := NewHealth()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				h.Add("x", func(context.Context) error { return nil })
				h.run(context.Background())
			}
		})
	}
	wg.Wait()
}

func TestLog(t *testing.T) {
	t.Parallel()
	write := func(level, format string) string {
		var out bytes.Buffer
		log := newLogger(level, format, zapcore.AddSync(&out))
		log.Debug("fine")
		log.Warn("slow", zap.Duration("took", time.Second))
		return out.String()
	}
	var line struct{ Level, Time, Msg, Took string }
	if err := json.Unmarshal([]byte(write("info", "json")), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "warn" || line.Msg != "slow" || line.Took != "1s" || line.Time == "" {
		t.Errorf("line: %+v", line)
	}
	if out := write("debug", "console"); !strings.Contains(out, "\tfine\n") || !strings.Contains(out, "\tslow\t") {
		t.Errorf("console: %q", out)
	}
	if out := write("error", "json"); out != "" {
		t.Errorf("below the level: %q", out)
	}
}

func TestAFloodOfEqualLinesIsThinned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLogger("info", "json", zapcore.AddSync(&out))
		for range logFirst + 2*logEvery {
			log.Warn("trouble")
		}
		if got := strings.Count(out.String(), "\n"); got != logFirst+2 {
			t.Errorf("%d lines", got)
		}
	})
}
