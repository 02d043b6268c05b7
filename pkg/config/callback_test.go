package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnAppsCallback(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `apps:
  demo: {callback: {url: "https://im.example.com/push", secret_file: s, linger: 2s}}
  here: {callback: {url: "http://127.0.0.1:80/", secret_env: S, batch: 10, ca_file: /ca.pem}}
  open: {callback: {url: "http://im.internal/", secret_env: S, allow_http: true}}
  none: {}
default_app: demo
`)
	want := map[string]Callback{
		"demo": {URL: "https://im.example.com/push", SecretFile: filepath.Join(c.Dir, "s"), Batch: 100, Linger: 2 * time.Second, Timeout: 5 * time.Second,
			Concurrency: 4, MaxAge: 24 * time.Hour},
		"here": {URL: "http://127.0.0.1:80/", SecretEnv: "S", CAFile: "/ca.pem", Batch: 10, Linger: time.Second, Timeout: 5 * time.Second,
			Concurrency: 4, MaxAge: 24 * time.Hour},
		"open": {URL: "http://im.internal/", SecretEnv: "S", AllowHTTP: true, Batch: 100, Linger: time.Second, Timeout: 5 * time.Second,
			Concurrency: 4, MaxAge: 24 * time.Hour},
		"none": defaultCallback(),
	}
	got := map[string]Callback{}
	for name, app := range c.Apps {
		got[name] = app.Callback
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakesInCallbacks(t *testing.T) {
	t.Parallel()
	const signed = ", secret_env: S}"
	for name, tc := range map[string]struct {
		callback string
		want     []string
	}{
		"no URL":       {`{secret_env: S}`, []string{"url: required where callback has other keys"}},
		"no secret":    {`{url: "https://x/"}`, []string{": expected secret_file or secret_env, and one of them"}},
		"two places":   {`{url: "https://x/", secret_file: s` + signed, []string{": expected secret_file or secret_env, and one of them"}},
		"no TLS":       {`{url: "http://im.example.com/"` + signed, []string{"url: expected https; http goes to this machine alone, or where allow_http is set"}},
		"a lookalike":  {`{url: "http://localhost.example.com/"` + signed, []string{"url: expected https; http goes to this machine alone, or where allow_http is set"}},
		"another kind": {`{url: "file:///etc/passwd"` + signed, []string{"url: expected https://host/path"}},
		"no host":      {`{url: "https:///x"` + signed, []string{"url: expected https://host/path"}},
		"a user":       {`{url: "https://user:hunter2@im.example.com/"` + signed, []string{"url: expected neither a user nor a fragment: callbacks are signed"}},
		"unreadable":   {`{url: "https://[hunter2/"` + signed, []string{"url: expected https://host/path"}},
		"ranges": {`{url: "https://x/", batch: 101, concurrency: 0, linger: 0s, timeout: 2m, max_age: 168h` + signed, []string{
			"batch: expected 1 to 100", "concurrency: expected 1 to 100", "linger: expected from 1ms to 10s",
			"timeout: expected from 100ms to 1m0s", "max_age: expected from 1s to 144h0m0s"}},
		"a key that there is not": {`{url: "https://x/", retries: 3` + signed, []string{"retries: unknown key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := make([]string, len(tc.want))
			for i, text := range tc.want {
				want[i] = "apps.demo.callback." + text
				if strings.HasPrefix(text, ":") {
					want[i] = "apps.demo.callback" + text
				}
			}
			if diff := cmp.Diff(want, mistakesOf(t, "apps: {demo: {callback: "+tc.callback+"}}")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesInTheTimeline(t *testing.T) {
	t.Parallel()
	want := []string{
		"timeline.ttl: expected at least 1m0s",
		"timeline.bytes: expected at least 4MiB",
		"timeline.message_bytes: expected at least 4KiB, at most timeline.bytes",
		"timeline.sample: expected a share from 0 to 1",
		`timeline.redis.addrs[0]: expected host:port, found "x"`,
	}
	got := mistakesOf(t, oneApp+"timeline: {ttl: 1s, bytes: 1MiB, message_bytes: 2MiB, sample: 1.5, redis: {addrs: [x]}}")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
