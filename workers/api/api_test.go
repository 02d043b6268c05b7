package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestProbesNeedNoBearerToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for path, want := range map[string]string{"/healthz": "healthy", "/readyz": "ready", "/metrics": "metrics", "/openapi.yaml": "openapi: 3.1.0"} {
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s: status %d, body %.40q", path, w.Code, w.Body)
		}
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	problemOf(t, b.do("GET", "/v2/messages", "", ""), 404)
	w := b.do("GET", "/v1/messages", "", "")
	problemOf(t, w, 405)
	if allow := w.Header().Get("Allow"); allow != "POST" {
		t.Errorf("Allow %q, want POST", allow)
	}
}

func TestRequestsAreCountedByRouteAndCode(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	b := newBench(t, func(o *Options) { o.Registerer = metrics })
	b.do("POST", "/v1/messages", "", oneToOne)
	b.do("POST", "/v1/messages", "", "{")
	b.do("GET", "/v1/apps/demo/users/bob/devices", "", "")
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "pushfleet_api_requests_total" {
		t.Fatalf("gathered %v, %v", families, err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	want := map[string]float64{"/v1/messages 202": 1, "/v1/messages 400": 1, "/v1/apps/{app}/users/{user}/devices 200": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route and code (-want +got):\n%s", diff)
	}
}

func TestAStopLetsRunningRequestsFinish(t *testing.T) {
	t.Parallel()
	waiting := make(chan func(error), 1)
	b := newBench(t, func(o *Options) {
		o.Publisher = publisherFunc(func(_ context.Context, _ stream.Message, done func(error)) { waiting <- done })
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, ln) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest(http.MethodPost, "http://"+ln.Addr().String()+"/v1/messages", strings.NewReader(oneToOne))
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := client.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	done := <-waiting
	stop()
	deadline := time.Now().Add(5 * time.Second)
	for {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break // the stop has begun: no new request is taken
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("still listening after the stop")
		}
	}
	done(nil)
	if status := <-answered; status != 202 {
		t.Errorf("the running request got %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAStopCutsOffWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	queued := make(chan struct{}, 1)
	b := newBench(t, func(o *Options) {
		o.ShutdownTimeout = 20 * time.Millisecond
		o.Publisher = publisherFunc(func(context.Context, stream.Message, func(error)) { queued <- struct{}{} })
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, ln) }()
	failed := make(chan error, 1)
	go func() {
		req, _ := http.NewRequest(http.MethodPost, "http://"+ln.Addr().String()+"/v1/messages", strings.NewReader(oneToOne))
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-queued
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if <-failed == nil {
		t.Error("a request that never finishes was answered")
	}
}
