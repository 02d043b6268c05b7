package fleet

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
)

// keeperFunc is a keeper of one credential.
type keeperFunc func() push.CredentialState

func (f keeperFunc) RefreshCredentials() []push.CredentialState { return []push.CredentialState{f()} }

// TestEachChangeOfACredentialIsSaidOnce: what a state is told as, look by look.
func TestEachChangeOfACredentialIsSaidOnce(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 9, 21, 12, 0, 0, 0, time.UTC)
	day := func(n float64) time.Time { return start.Add(time.Duration(n * 24 * float64(time.Hour))) }
	in := func(fingerprint, problem string, expires time.Time) push.CredentialState {
		return push.CredentialState{App: "demo", Name: "ios", Platform: "apns", Fingerprint: fingerprint, Problem: problem, Expires: expires}
	}
	end := day(100)
	for name, looks := range map[string][]struct {
		at    time.Time
		state push.CredentialState
		want  []string
	}{
		"a key that never expires": {
			{start, in("a", "", time.Time{}), nil},
			{day(1000), in("a", "", time.Time{}), nil},
		},
		"a key is replaced": {
			{start, in("a", "", time.Time{}), nil},
			{start, in("b", "", time.Time{}), []string{"info: credential replaced"}},
			{start, in("b", "", time.Time{}), nil},
		},
		"a bad file is put in its place, and a good one after it": {
			{start, in("a", "", time.Time{}), nil},
			{start, in("a", "not a PEM file", time.Time{}), []string{"error: credential has a problem; what is in use stays so"}},
			{start, in("a", "not a PEM file", time.Time{}), nil},
			{start, in("a", "no such file", time.Time{}), []string{"error: credential has a problem; what is in use stays so"}},
			{start, in("b", "", time.Time{}), []string{"info: credential replaced", "info: credential is good again"}},
		},
		"the first file is bad": {
			{start, in("", "no such file", time.Time{}), []string{"error: credential cannot be used; its notifications are parked"}},
			{start, in("a", "", time.Time{}), []string{"info: credential is good again"}},
		},
		"a certificate comes to its end": {
			{day(69), in("a", "", end), nil},
			{day(70), in("a", "", end), []string{"warn: credential expires soon"}},
			{day(71), in("a", "", end), nil},
			{day(86), in("a", "", end), []string{"warn: credential expires soon"}},
			{day(93), in("a", "", end), []string{"warn: credential expires soon"}},
			{day(98.9), in("a", "", end), nil},
			{day(99), in("a", "", end), []string{"warn: credential expires soon"}},
			{day(100), in("a", "expired on 2026-12-30", end), []string{"error: credential has a problem; what is in use stays so"}},
			{day(101), in("a", "expired on 2026-12-30", end), nil},
		},
		"one that ends soon is replaced by one that does too": {
			{day(99), in("a", "", end), []string{"warn: credential expires soon"}},
			{day(99), in("b", "", end), []string{"info: credential replaced", "warn: credential expires soon"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, said := observer.New(zapcore.DebugLevel)
			var now time.Time
			w := newCredentialWatch(nil, telemetry.NewMetrics(), zap.New(core), func() time.Time { return now })
			for i, look := range looks {
				now = look.at
				w.tell(look.state)
				var got []string
				for _, entry := range said.TakeAll() {
					got = append(got, entry.Level.String()+": "+entry.Message)
				}
				if diff := cmp.Diff(look.want, got); diff != "" {
					t.Errorf("look %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestCredentialsAreLookedAtAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		metrics := telemetry.NewMetrics()
		w := newCredentialWatch(keeperFunc(func() push.CredentialState {
			s := push.CredentialState{App: "demo", Name: "ios", Platform: "apns", Fingerprint: "a", Expires: time.Now().Add(48 * time.Hour)}
			if looks.Add(1) > 2 {
				s.Fingerprint = "b"
			}
			return s
		}), metrics, zap.NewNop(), time.Now)
		ctx, stop := context.WithCancel(t.Context())
		go w.run(ctx)
		synctest.Wait()
		if looks.Load() != 1 {
			t.Errorf("looked %d times at the start", looks.Load())
		}
		time.Sleep(2*credentialPeriod + time.Millisecond) // of the bubble's clock
		stop()
		synctest.Wait()
		if looks.Load() != 3 {
			t.Errorf("looked %d times, want 3", looks.Load())
		}
		served := httptest.NewRecorder()
		metrics.Handler().ServeHTTP(served, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		for _, want := range []string{
			`pushfleet_credential_expiry_days{app="demo",credential="ios",platform="apns"} 2`,
			`pushfleet_credential_replaced_total{app="demo",credential="ios",platform="apns"} 1`,
		} {
			if !strings.Contains(served.Body.String(), want) {
				t.Errorf("no %s", want)
			}
		}
	})
}
