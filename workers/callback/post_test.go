package callback

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// newPoster is a Callback that speaks to a server.
func newPoster(t *testing.T, url, secretFile string) *Callback {
	t.Helper()
	secrets, err := OpenSecrets(secretFile, "", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{App: "demo 😀", URL: url, Secrets: secrets, Timeout: 10 * time.Second, Concurrency: 1,
		Now: func() time.Time { return time.Unix(1790000000, 0) }}, nil, zap.NewNop())
	t.Cleanup(c.client.CloseIdleConnections)
	return c
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestACallbackIsSignedWithEverySecretThatHolds(t *testing.T) {
	t.Parallel()
	var headers http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		headers = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	t.Cleanup(server.Close)
	file := secretFile(t, secret)
	c := newPoster(t, server.URL, file)
	sign := func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(`1790000000.{"App":"demo","Events":[]}`))
		return "v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	next := strings.Repeat("n", 40)
	for _, step := range []struct{ text, want string }{
		{secret, sign(secret)},
		{next + "\n" + secret + "\n", sign(next) + "," + sign(secret)},
		{"too short", sign(next) + "," + sign(secret)}, // what was read before holds
		{next, sign(next)},
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if a := c.post(t.Context(), []byte(`{"App":"demo","Events":[]}`)); a.result != Accepted {
			t.Fatalf("%+v", a)
		}
		got := []string{headers.Get("Content-Type"), headers.Get(HeaderApp), headers.Get(HeaderTimestamp), headers.Get(HeaderSignature), string(body)}
		want := []string{"application/json", "demo%20%F0%9F%98%80", "1790000000", step.want, `{"App":"demo","Events":[]}`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestSecretsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"none": " \n", "three": secret + " " + secret + " " + secret, "short": "0123456789abcde",
		"endless": strings.Repeat(secret, 1000)} {
		if _, err := OpenSecrets(secretFile(t, text), "", zap.NewNop()); err == nil || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenSecrets(filepath.Join(t.TempDir(), "missing"), "", zap.NewNop()); err == nil {
		t.Error("a missing file is no error")
	}
	if _, err := OpenSecrets("", "PUSHFLEET_TEST_NO_SUCH_SECRET", zap.NewNop()); err == nil {
		t.Error("a missing variable is no error")
	}
}

func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Setenv("CALLBACK_SECRETS", secret+" "+secret+"2")
	s, err := OpenSecrets("", "CALLBACK_SECRETS", zap.NewNop())
	if err != nil || len(s.current()) != 2 {
		t.Errorf("%v", err)
	}
}

func TestAnswersOfReceivers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Result{200: Accepted, 202: Accepted, 204: Accepted, 299: Accepted,
		301: Unavailable, 307: Unavailable, 401: Unavailable, 403: Unavailable, 404: Unavailable, 408: Unavailable, 410: Unavailable,
		429: Unavailable, 500: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
		400: Refused, 413: Refused, 415: Refused, 422: Refused} {
		if got := classify(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
	now := time.Unix(1790000000, 0)
	for value, want := range map[string]time.Duration{"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999": maxRetryAfter,
		"99999999999999999999": 0, now.Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).UTC().Format(http.TimeFormat): 0} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

// TestAReceiverLeadsNowhereElse: no redirect is followed, however it is told, and of an endless answer a part is read.
func TestAReceiverLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(inside.Close)
	endless, written := make(chan struct{}), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		case "/endless":
			defer close(endless)
			for r.Context().Err() == nil {
				n, err := w.Write(make([]byte, 4096))
				if written += n; err != nil || written > 1<<30 {
					return
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	file := secretFile(t, secret)
	if a := newPoster(t, server.URL+"/moved", file).post(t.Context(), nil); a.result != Unavailable || a.text != "307" || reached {
		t.Errorf("moved: %+v, followed %t", a, reached)
	}
	if a := newPoster(t, server.URL+"/endless", file).post(t.Context(), nil); a.result != Accepted {
		t.Errorf("endless: %+v", a)
	}
	<-endless
	if written > 256<<20 { // what waits in sockets is far less
		t.Errorf("%d bytes of an answer were read", written)
	}
}

// TestNothingSecretIsSaid: neither the URL, where a secret may stand, nor the body nor a signing secret.
func TestNothingSecretIsSaid(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	c := newPoster(t, "https://127.0.0.1:1/hook?token=hunter2", secretFile(t, secret))
	c.log = zap.New(core)
	a := c.post(t.Context(), []byte(`{"hello":1}`))
	c.note(a)
	if a.result != Unavailable || a.text == "" {
		t.Errorf("%+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	said := a.text + c.post(ctx, nil).text
	for _, entry := range logs.All() {
		said += entry.Message
		for _, f := range entry.Context {
			said += f.String
		}
	}
	for _, word := range []string{"hunter2", "hook", "hello", secret} {
		if strings.Contains(said, word) {
			t.Errorf("%q was said", word)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	told, _ := Tell(event(1))
	f.Add((&batch{items: []item{{json: told.encode()}, {json: told.encode()}}}).body("demo"))
	f.Add([]byte(`{"App":"demo","Events":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := unpack(body, "demo")
		if err != nil || len(items) == 0 {
			return
		}
		again, err := unpack((&batch{items: items}).body("demo"), "demo")
		if err != nil || len(again) != len(items) {
			t.Errorf("what was read cannot be read again: %d of %d, %v", len(again), len(items), err)
		}
	})
}
