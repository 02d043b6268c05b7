package fcm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// patience bounds every test's sends.
const patience = 20 * time.Second

// send sends a batch and checks that each item is reported exactly once and without its secrets.
func send(ctx context.Context, t *testing.T, s push.Sender, batch ...*push.Notification) []push.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var mu sync.Mutex
	outcomes, reports := make([]push.Outcome, len(batch)), make([]int, len(batch))
	s.Send(ctx, batch, func(i int, o push.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[i] = o
		reports[i]++
	})
	for i, n := range reports {
		if n != 1 {
			t.Errorf("item %d was reported %d times", i, n)
		}
		text := fmt.Sprintf("%+v", outcomes[i])
		for _, secret := range []string{batch[i].Token, batch[i].Body, batch[i].Ext, "PRIVATE KEY", "ya29."} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("the outcome tells a secret: %s", text)
			}
		}
	}
	return outcomes
}

func (w *world) script(t *testing.T, answers ...pushtest.Answer) {
	t.Helper()
	if err := w.Control().Script.Put("", answers); err != nil {
		t.Fatal(err)
	}
}

func (w *world) entries() []pushtest.Entry { return w.Control().Ledger.Entries("") }

func TestSendSendsWhatRenderShows(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		clicked := map[string]any{"platform": "fcm", "service_account_file": "sa.json", "click_action": "com.example.demo.CHAT"}
		for name, app := range map[string]map[string]any{"data": nil, "notification": notificationStyle} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				simulator, file := start(t, fcmtest.Config{})
				w := connect(t, simulator, file, settings(on(transport), app, clicked))
				var batch []*push.Notification
				for i := range 20 {
					n := hello()
					n.Token = fmt.Sprintf("token-%d", i)
					n.Type = []push.Type{push.TypeAlert, push.TypeVoIP, push.TypeBackground}[i%3]
					n.Title, n.Subtitle, n.Image = "<T>", "S & S", "https://example.com/i.png"
					n.AndroidSound, n.Channel, n.Purpose = "ding", "chat", push.PurposeRecall
					n.Body = strings.Repeat("\"<é>\x01", 100*i) // from short to cut
					batch = append(batch, n)
				}
				for i, o := range send(t.Context(), t, w.sender, batch...) {
					if diff := cmp.Diff(push.Outcome{Disposition: push.Delivered, Answer: "200"}, o); diff != "" {
						t.Error(diff)
					}
					entries := w.Control().Ledger.Entries(batch[i].Token)
					if len(entries) != 1 {
						t.Fatalf("%d entries of item %d, want 1", len(entries), i)
					}
					shown, _ := w.driver.Render(batch[i], now)
					if got, want := string(entries[0].Body), string(shown.Body); got != want {
						t.Errorf("sent  %s\nshown %s", got, want)
					}
					if got, want := entries[0].ID, "projects/"+project+"/messages/"; !strings.HasPrefix(got, want) {
						t.Errorf("id: got %q, want %s…", got, want)
					}
				}
			})
		}
	})
}

func TestSendMapsAnswers(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		w.Unregister("uninstalled")
		for _, c := range []struct {
			name   string
			token  string
			answer pushtest.Answer
			want   push.Outcome
		}{
			{"unregistered", "uninstalled", pushtest.Answer{}, push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "404 UNREGISTERED"}},
			{"a token that is none", "bob-pixel-token", pushtest.Answer{Status: 400, Reason: fcmtest.InvalidToken}, push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Answer: "400 INVALID_ARGUMENT"}},
			{"a message that is none", "bob-pixel-token", pushtest.Answer{Status: 400, Reason: "INVALID_ARGUMENT"}, push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT"}},
			{"another sender", "bob-pixel-token", pushtest.Answer{Status: 403, Reason: "SENDER_ID_MISMATCH"}, push.Outcome{Disposition: push.DropToken, Reason: push.ReasonSenderMismatch, Answer: "403 SENDER_ID_MISMATCH"}},
			{"no permission", "bob-pixel-token", pushtest.Answer{Status: 403}, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential, Answer: "403 PERMISSION_DENIED"}},
			{"throttled", "bob-pixel-token", pushtest.Answer{Status: 429, Reason: "QUOTA_EXCEEDED", RetryAfter: 7}, push.Outcome{Reason: push.ReasonProviderThrottled, Scope: push.ScopeCredential, Answer: "429 QUOTA_EXCEEDED", RetryAfter: 7 * time.Second}},
			{"unavailable", "bob-pixel-token", pushtest.Answer{Status: 503, Reason: "UNAVAILABLE", RetryAfter: 3}, push.Outcome{Reason: push.ReasonProviderUnavailable, Scope: push.ScopeProvider, Answer: "503 UNAVAILABLE", RetryAfter: 3 * time.Second}},
			{"broken", "bob-pixel-token", pushtest.Answer{Status: 500, Reason: "INTERNAL"}, push.Outcome{Reason: push.ReasonProviderUnavailable, Scope: push.ScopeProvider, Answer: "500 INTERNAL"}},
		} {
			w.script(t, c.answer)
			w.Control().Ledger.Reset()
			n := hello()
			n.Token = c.token
			if diff := cmp.Diff(c.want, send(t.Context(), t, w.sender, n)[0]); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
			if got := len(w.entries()); got != 1 {
				t.Errorf("%s: %d requests, want 1", c.name, got)
			}
		}
	})
}

func TestSendNeverSendsWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		large, spaced := hello(), hello()
		large.Ext = strings.Repeat("x", 5000)
		spaced.Token = "with space"
		outcomes := send(t.Context(), t, w.sender, large, spaced)
		if o := outcomes[0]; o.Disposition != push.Dead || o.Reason != push.ReasonTooLarge {
			t.Errorf("too large: got %+v", o)
		}
		if o := outcomes[1]; o.Disposition != push.DropToken || o.Reason != push.ReasonBadToken {
			t.Errorf("token: got %+v", o)
		}
		if w.AccessTokens() != 0 || len(w.entries()) != 0 {
			t.Error("something was sent")
		}
	})
}

func TestSendRenewsARefusedAccessTokenOnce(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		send(t.Context(), t, w.sender, hello())
		w.RevokeAccessTokens()
		batch := make([]*push.Notification, 50)
		for i := range batch {
			batch[i] = hello()
		}
		for _, o := range send(t.Context(), t, w.sender, batch...) {
			if o.Disposition != push.Delivered {
				t.Errorf("got %+v, want delivered", o)
			}
		}
		if got := w.AccessTokens(); got != 2 {
			t.Errorf("%d access tokens, want 2", got)
		}

		w.RevokeAccessTokens()
		want := push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential, Answer: "401 UNAUTHENTICATED"}
		got := send(t.Context(), t, w.sender, hello())[0]
		got.Err = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("refused again at once: %s", diff)
		}
	})
}

func TestSendParksWhatItsAccountMayNotSend(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		trusted := func(values map[string]any) func(*testing.T, *fcmtest.Simulator) []byte {
			return func(t *testing.T, s *fcmtest.Simulator) []byte {
				values["token_uri"] = s.TokenURI()
				if err := s.Trust(accountJSON(t, map[string]any{"token_uri": s.TokenURI()})); err != nil {
					t.Fatal(err)
				}
				return accountJSON(t, values)
			}
		}
		for name, c := range map[string]struct {
			file   func(*testing.T, *fcmtest.Simulator) []byte
			answer string
		}{
			"an unknown account":   {trusted(map[string]any{"client_email": "other@example.com"}), "400 invalid_grant"},
			"a key that was ended": {trusted(map[string]any{"private_key_id": "old"}), "400 invalid_grant"},
			"an unknown project":   {trusted(map[string]any{"project_id": "other-project"}), "404 NOT_FOUND"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				simulator, err := fcmtest.Start(fcmtest.Config{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = simulator.Close() })
				w := worldWithKey(t, simulator, on(transport), c.file(t, simulator))
				o := send(t.Context(), t, w.sender, hello())[0]
				if o.Disposition != push.Park || o.Reason != push.ReasonCredentialRefused || o.Answer != c.answer || o.Scope != push.ScopeCredential {
					t.Errorf("got %+v, want parked for %s", o, c.answer)
				}
			})
		}
	})
}

func TestSendToNobody(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		send(t.Context(), t, w.sender, hello())
		if err := w.Simulator.Close(); err != nil {
			t.Fatal(err)
		}
		send(t.Context(), t, w.sender, hello()) // may still meet the connection's end
		o := send(t.Context(), t, w.sender, hello())[0]
		if o.Disposition != push.Retry || o.Reason != push.ReasonNetwork || o.Ambiguous || o.Err == nil {
			t.Errorf("got %+v, want a network error", o)
		}
	})
}

func TestSendWithoutAnAnswerIsAmbiguous(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		w.script(t, pushtest.Answer{Reason: pushtest.ReasonReset})
		o := send(t.Context(), t, w.sender, hello())[0]
		if o.Disposition != push.Retry || o.Reason != push.ReasonAmbiguous || !o.Ambiguous {
			t.Errorf("reset: got %+v", o)
		}

		w.script(t, pushtest.Answer{DelayMS: 60_000})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		o = send(ctx, t, w.sender, hello())[0]
		if o.Disposition != push.Retry || o.Reason != push.ReasonTimeout || !o.Ambiguous {
			t.Errorf("out of time: got %+v", o)
		}
		if got := len(w.entries()); got > 2 {
			t.Errorf("%d requests, want 2", got)
		}
	})
}

func TestSendKeepsItsBounds(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		const limit = 7
		w := newWorld(t, fcmtest.Config{Latency: 5 * time.Millisecond}, map[string]any{"transport": transport, "concurrency": limit})
		batch := make([]*push.Notification, 10*limit)
		for i := range batch {
			batch[i] = hello()
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { send(t.Context(), t, w.sender, batch...) })
		}
		both.Wait()
		if got := w.Control().Traffic.Counts().MostStreams; got > limit {
			t.Errorf("%d requests at once, want at most %d", got, limit)
		}
		if got := w.Control().Ledger.Counts().Accepted; got != 2*len(batch) {
			t.Errorf("%d accepted, want %d", got, 2*len(batch))
		}
	})
}

// TestSendParksWhatItsProjectsQuotaHoldsBack: two credentials of one project have one quota, and what it leaves no room
// for while its time lasts is parked: never sent, and no fault of its own.
func TestSendParksWhatItsProjectsQuotaHoldsBack(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		simulator, file := start(t, fcmtest.Config{})
		s := settings(map[string]any{"transport": transport, "ramp_up": time.Duration(0)}, nil, nil)
		key := map[string]any{"platform": "fcm", "service_account_file": "sa.json", "quota_per_minute": 1200, "quota_share": 0.005}
		s.Apps["demo"] = push.AppSettings{Block: s.Apps["demo"].Block, Credentials: map[string]push.Block{
			"demo-android": block{"apps.demo.credentials.demo-android", key},
			"demo-tablet":  block{"apps.demo.credentials.demo-tablet", key},
		}}
		w := connect(t, simulator, file, s)
		other, err := w.driver.Sender("demo", "demo-tablet")
		if err != nil {
			t.Fatal(err)
		}
		if o := send(t.Context(), t, w.sender, hello())[0]; o.Disposition != push.Delivered {
			t.Errorf("the first: got %+v", o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the next has its turn in 10 s
		defer cancel()
		var both sync.WaitGroup
		for _, sender := range []push.Sender{w.sender, other} {
			both.Go(func() {
				for _, o := range send(ctx, t, sender, numbered(20)...) {
					if o.Disposition != push.Park || o.Reason != push.ReasonCredentialShare || o.Scope != push.ScopeDevice || o.Ambiguous {
						t.Errorf("got %+v, want parked", o)
					}
				}
			})
		}
		both.Wait()
		if got := w.Control().Ledger.Counts().Accepted; got != 1 {
			t.Errorf("%d accepted, want 1", got)
		}
	})
}

func TestSendSharesConnections(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{Latency: 20 * time.Millisecond}, on(transport))
		batch := make([]*push.Notification, 400)
		for i := range batch {
			batch[i] = hello()
		}
		for _, o := range send(t.Context(), t, w.sender, batch...) {
			if o.Disposition != push.Delivered {
				t.Fatalf("got %+v", o)
			}
		}
		// 400 requests at once need 4 connections of 100 streams; a few more are opened while the limits are not known.
		if got := w.Control().Traffic.Counts().Connections; got > 16 {
			t.Errorf("%d connections for a cold start of %d requests", got, len(batch))
		}
	})
}

func TestSendAfterItsTime(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, map[string]any{"transport": transport, "concurrency": 1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, o := range send(ctx, t, w.sender, hello(), hello(), hello()) {
			if o.Disposition != push.Retry || o.Ambiguous {
				t.Errorf("got %+v, want a plain retry", o)
			}
		}
	})
}

func TestCloseEndsRunningSends(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		w := newWorld(t, fcmtest.Config{}, on(transport))
		w.script(t, pushtest.Answer{DelayMS: 60_000, Times: -1})
		ended := make(chan push.Outcome, 1)
		go func() { ended <- send(context.WithoutCancel(t.Context()), t, w.sender, hello())[0] }()
		for deadline := time.Now().Add(patience); w.Control().Traffic.Counts().MostStreams == 0 || w.AccessTokens() == 0; {
			if time.Now().After(deadline) {
				t.Fatal("the send did not begin")
			}
			time.Sleep(time.Millisecond)
		}
		if err := w.driver.Close(); err != nil {
			t.Error(err)
		}
		if o := <-ended; o.Disposition != push.Retry || !errors.Is(o.Err, context.Canceled) {
			t.Errorf("got %+v, want a retry because it was stopped", o)
		}
		if o := send(t.Context(), t, w.sender, hello())[0]; o.Disposition != push.Retry || o.Ambiguous {
			t.Errorf("after the end: got %+v, want a plain retry", o)
		}
		open := func() int {
			w.Control().Traffic.Reset() // counts what is open from here on
			return w.Control().Traffic.Counts().Connections
		}
		for deadline := time.Now().Add(patience); open() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections stay open", open())
			}
		}
	})
}
