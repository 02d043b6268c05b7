package fcm

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
)

// mint is a token endpoint: every token lives an hour and takes a second to make.
type mint struct {
	mu    sync.Mutex
	made  int
	fails error
}

func (m *mint) fetch(ctx context.Context) (*oauth2.Token, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, &tokenError{err: ctx.Err()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	if m.fails != nil {
		return nil, m.fails
	}
	return &oauth2.Token{AccessToken: "token-" + strconv.Itoa(m.made), Expiry: time.Now().Add(time.Hour)}, nil
}

func (m *mint) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made
}

func (m *mint) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = err
}

// inBubble runs a test with a fake clock.
func inBubble(t *testing.T, test func(t *testing.T, m *mint, k *tokens)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := new(mint)
		k := newTokens(m.fetch, time.Now)
		defer k.close()
		test(t, m, k)
	})
}

func wantToken(t *testing.T, want string) func(string, error) {
	t.Helper()
	return func(got string, err error) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestTokensAreFetchedOnceForAll(t *testing.T) {
	inBubble(t, func(t *testing.T, m *mint, k *tokens) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { wantToken(t, "token-1")(k.get(t.Context())) })
		}
		all.Wait()
		if m.requests() != 1 {
			t.Errorf("%d requests, want 1", m.requests())
		}
	})
}

func TestTokensAreReplacedAheadWithoutAnyoneWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *mint, k *tokens) {
		wantToken(t, "token-1")(k.get(t.Context()))
		for want := 1; want < 5; want++ {
			before := time.Now()
			wantToken(t, "token-"+strconv.Itoa(want))(k.get(t.Context()))
			if waited := time.Since(before); waited != 0 {
				t.Errorf("waited %s for token %d", waited, want)
			}
			time.Sleep(time.Hour - fetchAhead + 2*time.Second)
		}
	})
}

// TestTokensOfManyAreNotReplacedTogether: a fleet that starts at one time spreads its later requests.
func TestTokensOfManyAreNotReplacedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const replicas = 50
		var mu sync.Mutex
		at := make(map[time.Duration]int) // requests by half minute
		began := time.Now()
		for range replicas {
			k := newTokens(func(context.Context) (*oauth2.Token, error) {
				mu.Lock()
				defer mu.Unlock()
				at[time.Since(began).Truncate(30*time.Second)]++
				return &oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}, nil
			}, time.Now)
			defer k.close()
			wantToken(t, "token")(k.get(t.Context()))
		}
		time.Sleep(time.Hour - fetchAhead + time.Second)
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for when, requests := range at {
			if when == 0 {
				continue
			}
			total += requests
			if requests > replicas/2 {
				t.Errorf("%d of %d requests in the half minute at %s", requests, replicas, when)
			}
		}
		if total != replicas {
			t.Errorf("%d tokens replaced in time, want %d", total, replicas)
		}
	})
}

// TestTokensAreTriedAgainWithoutAStampedeWhileOneLives: a refresh that fails blocks no send, and repeats itself.
func TestTokensAreTriedAgainWithoutAStampedeWhileOneLives(t *testing.T) {
	inBubble(t, func(t *testing.T, m *mint, k *tokens) {
		wantToken(t, "token-1")(k.get(t.Context()))
		m.fail(&tokenError{answer: "503", err: errors.New("refused")})
		time.Sleep(50 * time.Minute)
		for range 9 * 60 * 10 { // ten sends a second until shortly before the end
			before := time.Now()
			wantToken(t, "token-1")(k.get(t.Context()))
			if waited := time.Since(before); waited != 0 {
				t.Fatalf("waited %s although a token lives", waited)
			}
			time.Sleep(time.Second / 10)
		}
		if got, most := m.requests(), 1+int(9*time.Minute/(failedPause+time.Second)); got < 10 || got > most {
			t.Errorf("%d requests, want tries on end and at most %d", got, most)
		}
		m.fail(nil)
		time.Sleep(5 * time.Second)
		if token, err := k.get(t.Context()); token == "token-1" || err != nil {
			t.Errorf("got %q, %v once the endpoint is back", token, err)
		}
	})
}

func TestTokensLiveOnWhileTheirEndpointIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, m *mint, k *tokens) {
		wantToken(t, "token-1")(k.get(t.Context()))
		m.fail(&tokenError{answer: "503", err: errors.New("refused")})
		time.Sleep(time.Hour - 30*time.Second)
		wantToken(t, "token-1")(k.get(t.Context()))
		time.Sleep(time.Minute)
		if token, err := k.get(t.Context()); err == nil {
			t.Errorf("got %q after its end", token)
		}
		m.fail(nil)
		time.Sleep(failedPause)
		if token, err := k.get(t.Context()); err != nil {
			t.Errorf("got %q, %v once the endpoint is back", token, err)
		}
	})
}

func TestTokensFailureStandsForAPause(t *testing.T) {
	for name, c := range map[string]struct {
		failure *tokenError
		pause   time.Duration
	}{
		"refused":     {&tokenError{refused: true, answer: "400 invalid_grant"}, refusedPause},
		"unavailable": {&tokenError{answer: "503"}, failedPause},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *mint, k *tokens) {
				m.fail(c.failure)
				for range 50 {
					if _, err := k.get(t.Context()); !errors.Is(err, c.failure) {
						t.Errorf("got %v, want %v", err, c.failure)
					}
				}
				if m.requests() != 1 {
					t.Errorf("%d requests, want 1", m.requests())
				}
				m.fail(nil)
				time.Sleep(c.pause)
				wantToken(t, "token-2")(k.get(t.Context()))
			})
		})
	}
}

func TestTokensRenewOnceForAll(t *testing.T) {
	inBubble(t, func(t *testing.T, m *mint, k *tokens) {
		wantToken(t, "token-1")(k.get(t.Context()))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { wantToken(t, "token-2")(k.renew(t.Context(), "token-1")) })
		}
		all.Wait()
		wantToken(t, "token-2")(k.renew(t.Context(), "token-1")) // refused before the others renewed

		var refusal *tokenError
		if _, err := k.renew(t.Context(), "token-2"); !errors.As(err, &refusal) || !refusal.refused {
			t.Errorf("got %v for a token refused right after it was renewed", err)
		}
		if m.requests() != 2 {
			t.Errorf("%d requests, want 2", m.requests())
		}
		time.Sleep(renewPause)
		wantToken(t, "token-3")(k.renew(t.Context(), "token-2"))
	})
}

func TestTokensKeepTheCallersTime(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *mint, k *tokens) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := k.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of time", err)
		}
		wantToken(t, "token-1")(k.get(t.Context())) // the fetch went on
	})
}

func TestTokensEndWithTheirSender(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *mint, k *tokens) {
		waiting := make(chan error, 1)
		go func() {
			_, err := k.get(t.Context())
			waiting <- err
		}()
		synctest.Wait()
		k.close()
		if err := <-waiting; err == nil {
			t.Error("got a token from a fetch that was ended")
		}
		if _, err := k.get(t.Context()); err == nil {
			t.Error("got a token after the end")
		}
	})
}
