package fcm_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/fcm"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// state is that of the one credential after so many looks at its file.
func state(t *testing.T, d push.Driver, looks int) push.CredentialState {
	t.Helper()
	var states []push.CredentialState
	for range looks {
		states = d.(push.CredentialKeeper).RefreshCredentials()
	}
	if len(states) != 1 {
		t.Fatalf("got %d states", len(states))
	}
	return states[0]
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// worldOnDisk is a world whose service account lies in the file returned.
func worldOnDisk(t *testing.T, transport string, cfg fcmtest.Config) (*world, string) {
	t.Helper()
	simulator, file := start(t, cfg)
	s := settings(on(transport), nil, anyKey)
	path := filepath.Join(t.TempDir(), "sa.json")
	write(t, path, file)
	s.Apps["demo"].Credentials["demo-android"] = block{"apps.demo.credentials.demo-android", map[string]any{"platform": "fcm", "service_account_file": path}}
	return connect(t, simulator, file, s), path
}

// TestAServiceAccountIsReplacedUnderLoad: every push is taken once, and the new account's access token is used.
func TestAServiceAccountIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w, path := worldOnDisk(t, transport, fcmtest.Config{Latency: 5 * time.Millisecond})
		before := state(t, w.driver, 1)
		var sent, failed atomic.Int64
		ctx, stop := context.WithCancel(context.Background())
		var run sync.WaitGroup
		defer func() { stop(); run.Wait() }()
		for caller := range 4 {
			run.Go(func() {
				batch := make([]*push.Notification, 25)
				for i := range batch {
					batch[i] = hello()
					batch[i].Token = fmt.Sprintf("token-%d-%d", caller, i)
				}
				for ctx.Err() == nil {
					w.sender.Send(context.Background(), batch, func(_ int, o push.Outcome) {
						sent.Add(1)
						if o.Disposition != push.Delivered {
							failed.Add(1)
							t.Errorf("got %+v", o)
						}
					})
				}
			})
		}
		more := func(n int64) {
			n += sent.Load()
			until(t, "pushes are answered", func() bool { return sent.Load() >= n || failed.Load() > 0 })
		}
		more(500)
		next, err := w.ServiceAccount(project)
		if err != nil {
			t.Fatal(err)
		}
		fetched := w.AccessTokens()
		write(t, path, next)
		after := state(t, w.driver, 2)
		if after.Problem != "" || after.KeyID == before.KeyID || after.Fingerprint == before.Fingerprint {
			t.Errorf("before %+v, after %+v", before, after)
		}
		more(500)
		stop()
		run.Wait()
		if got := w.AccessTokens(); got != fetched+1 {
			t.Errorf("%d access tokens, want one more than %d", got, fetched)
		}
		if got := int64(w.Control().Ledger.Counts().Requests); got != sent.Load() {
			t.Errorf("the simulator got %d requests for %d pushes", got, sent.Load())
		}
		if again, err := w.driver.Sender("demo", "demo-android"); err != nil || again != w.sender {
			t.Errorf("another sender, or %v", err)
		}
	})
}

// TestABadServiceAccountChangesNothing: what is sent goes on with the one before.
func TestABadServiceAccountChangesNothing(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w, path := worldOnDisk(t, transport, fcmtest.Config{})
		before := state(t, w.driver, 1)
		for says, values := range map[string]map[string]any{
			"token_uri: ": {"token_uri": "https://evil.example/token"},
			"project_id: other-project, but the account in use is of demo-project": {"project_id": "other-project", "token_uri": w.TokenURI()},
			"private_key: not PEM": {"private_key": "secret", "token_uri": w.TokenURI()},
		} {
			write(t, path, accountJSON(t, values))
			got := state(t, w.driver, 2)
			if !strings.Contains(got.Problem, says) || got.Fingerprint != before.Fingerprint || got.KeyID != before.KeyID {
				t.Errorf("got %+v, want %q", got, says)
			}
			var outcome push.Outcome
			w.sender.Send(t.Context(), []*push.Notification{hello()}, func(_ int, o push.Outcome) { outcome = o })
			if outcome.Disposition != push.Delivered {
				t.Errorf("got %+v", outcome)
			}
		}
	})
}

func TestAServiceAccountComesFromOnePlace(t *testing.T) {
	t.Parallel()
	for says, credential := range map[string]map[string]any{
		"":                                    {"platform": "fcm", "service_account_env": "GOOGLE_ACCOUNT"},
		"service_account_file: missing":       {"platform": "fcm"},
		"service_account_file: want only one": {"platform": "fcm", "service_account_file": "sa.json", "service_account_env": "GOOGLE_ACCOUNT"},
	} {
		s := settings(nil, nil, credential)
		d, err := fcm.Open(s)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("got %v, want %q", err, says)
		}
		if err == nil {
			d.Close()
		}
	}
}

// TestAServiceAccountFromTheEnvironment is not parallel: it sets a variable.
func TestAServiceAccountFromTheEnvironment(t *testing.T) {
	t.Setenv("A_SERVICE_ACCOUNT", string(accountJSON(t, map[string]any{"token_uri": "https://oauth2.googleapis.com/token"})))
	driver := open(t, settings(nil, nil, map[string]any{"platform": "fcm", "service_account_env": "A_SERVICE_ACCOUNT"}))
	if err := driver.Check(); err != nil {
		t.Error(err)
	}
	if got := state(t, driver, 1); got.Source != "environment variable A_SERVICE_ACCOUNT" || got.Kind != "service_account" {
		t.Errorf("got %+v", got)
	}
}
