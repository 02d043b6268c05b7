package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publisherFunc lets a function be a Publisher.
type publisherFunc func(ctx context.Context, m stream.Message, done func(error))

func (f publisherFunc) Publish(ctx context.Context, m stream.Message, done func(error)) {
	f(ctx, m, done)
}

// fakeRegistry remembers what was applied, and answers what it was given.
type fakeRegistry struct {
	mu       sync.Mutex
	applied  []registry.DeviceEvent
	members  []registry.Membership
	receipts []registry.Receipt // read or acknowledged
	devices  []registry.Device
	settings *schemasv1.UserState
	asked    []string
	err      error
}

func (f *fakeRegistry) ApplyMemberships(_ context.Context, memberships []registry.Membership) error {
	f.members = append(f.members, memberships...)
	return f.err
}

func (f *fakeRegistry) Read(_ context.Context, receipts []registry.Receipt) ([]registry.Sync, error) {
	f.receipts = append(f.receipts, receipts...)
	return nil, f.err
}

func (f *fakeRegistry) Acknowledge(_ context.Context, receipts []registry.Receipt) error {
	f.receipts = append(f.receipts, receipts...)
	return f.err
}

func (f *fakeRegistry) Settings(_ context.Context, app, user string) (*schemasv1.UserState, error) {
	f.asked = append(f.asked, app, user)
	return f.settings, f.err
}

func (f *fakeRegistry) Apply(_ context.Context, events []registry.DeviceEvent) ([]registry.Applied, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, events...)
	return make([]registry.Applied, len(events)), f.err
}

func (f *fakeRegistry) Devices(_ context.Context, app, user string) ([]registry.Device, error) {
	f.asked = append(f.asked, app, user)
	return f.devices, f.err
}

// fakeTimeline answers what it was given.
type fakeTimeline struct {
	line  timeline.Line
	asked []string
	err   error
}

func (f *fakeTimeline) Read(_ context.Context, app, msgKey string) (timeline.Line, error) {
	f.asked = append(f.asked, app, msgKey)
	return f.line, f.err
}

const (
	bearer  = "test-bearer-1"
	pushTok = "abababababababababababababababababababababababababababababababab"
)

// now is a little after the contract's examples.
var now = time.Unix(1790000000, 0)

// bench is a server with fakes around it. Published messages are durable at once unless the test changes the options.
type bench struct {
	*Server
	registry  *fakeRegistry
	timeline  *fakeTimeline
	tokens    string // the file
	logs      *observer.ObservedLogs
	mu        sync.Mutex
	published []stream.Message
}

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	b := &bench{registry: &fakeRegistry{}, timeline: &fakeTimeline{}, tokens: filepath.Join(t.TempDir(), "tokens"), logs: logs}
	writeFile(t, b.tokens, "# of the tests\n\n"+bearer+"\n")
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) })
	}
	opts := Options{
		Topics: stream.Topics{Prefix: "p."}, DefaultApp: "demo", TokensFile: b.tokens,
		Publisher: publisherFunc(func(_ context.Context, m stream.Message, done func(error)) {
			b.mu.Lock()
			b.published = append(b.published, m)
			b.mu.Unlock()
			done(nil)
		}),
		Registry: b.registry, Timeline: b.timeline,
		KnownApp: func(app string) bool { return app == "demo" || app == "a|b%" },
		KnownCredential: func(app string, p push.Platform, credential string) bool {
			return app == "demo" && p == "apns" && credential == "demo-ios"
		},
		CheckToken: func(p push.Platform, token string) error {
			if p != "apns" {
				return errors.New("Platform is not one of [apns]")
			}
			if strings.Trim(token, "0123456789abcdef") != "" {
				return errors.New("Token: not hex")
			}
			return nil
		},
		Health: text("healthy"), Ready: text("ready"), Metrics: text("metrics"),
		Now: func() time.Time { return now }, Logger: zap.New(core),
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if b.Server, err = New(opts); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do sends a request with the bearer token.
func (b *bench) do(method, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+bearer)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w
}

// problemOf decodes an error answer and checks that it is one.
func problemOf(t *testing.T, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q, want application/problem+json", ct)
	}
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" || p.Type == "" {
		t.Errorf("incomplete problem: %s", w.Body)
	}
	return p
}

func oneLine(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
