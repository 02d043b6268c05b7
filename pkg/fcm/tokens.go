package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
)

// messagingScope is the OAuth scope of sending.
const messagingScope = "https://www.googleapis.com/auth/firebase.messaging"

const (
	// fetchLimit bounds one request for an access token.
	fetchLimit = 10 * time.Second
	// fetchAhead is how long before its end a token is replaced, so that no send waits for it; a token that lives
	// shorter than five times that is replaced after four fifths of its life.
	fetchAhead = 5 * time.Minute
	// aheadJitter is the part of that time by which it comes sooner, at random: credentials and replicas that began
	// together should not ask together.
	aheadJitter = 0.5
	// expiryMargin is when a token counts as ended: it has to live as long as the request takes to arrive.
	expiryMargin = 10 * time.Second
	// unknownLife is how long a token is used that came without an end.
	unknownLife = 5 * time.Minute
	// After a failure the same answer stands for a pause, so that a full window of sends makes one request.
	refusedPause = 30 * time.Second
	failedPause  = 2 * time.Second
	// renewPause is the least time between tokens that were asked for because FCM refused the one before.
	renewPause = time.Minute
)

// tokenError says why there is no access token.
type tokenError struct {
	refused bool   // by the token endpoint's answer: the credential is at fault, or the clock
	answer  string // status and error word; "" = none came
	err     error
}

func (e *tokenError) Error() string {
	if e.answer != "" {
		return "access token: " + e.answer
	}
	return fmt.Sprintf("access token: %v", e.err)
}

// tokens keeps the access token of one credential: fetched on the first use, replaced in the background before it ends.
// However many ask, one request runs at a time. Safe for concurrent use.
type tokens struct {
	fetch func(context.Context) (*oauth2.Token, error) // its errors are *tokenError
	now   func() time.Time                             // of lives and pauses; fetches keep the true time

	stop context.CancelFunc
	ctx  context.Context // of fetches, which outlive the send that needed them
	wait sync.WaitGroup

	mu       sync.Mutex
	token    string
	expiry   time.Time
	renewed  time.Time // when FCM's refusal last made us ask
	flight   chan struct{}
	failure  error
	failedTo time.Time // until then the failure answers
	timer    *time.Timer
}

func newTokens(fetch func(context.Context) (*oauth2.Token, error), now func() time.Time) *tokens {
	t := &tokens{fetch: fetch, now: now}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// close stops the background and waits for it.
func (t *tokens) close() {
	t.mu.Lock()
	t.stop()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	t.wait.Wait()
}

// get returns the access token, waiting for it only where there is none that still lives.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	if t.lives() {
		defer t.mu.Unlock()
		return t.token, nil
	}
	return t.await(ctx, "")
}

// renew returns another token than the one that FCM refused.
func (t *tokens) renew(ctx context.Context, refused string) (string, error) {
	t.mu.Lock()
	if t.token != refused && t.lives() { // somebody else was faster
		defer t.mu.Unlock()
		return t.token, nil
	}
	if t.flight == nil {
		now := t.now()
		if now.Sub(t.renewed) < renewPause {
			defer t.mu.Unlock()
			return "", &tokenError{refused: true, err: errors.New("refused again right after it was renewed")}
		}
		t.renewed = now
	}
	return t.await(ctx, refused)
}

func (t *tokens) lives() bool {
	return t.token != "" && t.now().Before(t.expiry.Add(-expiryMargin))
}

// await joins the running fetch or starts one, and waits for its end or the context's. It is called with the lock held
// and releases it.
func (t *tokens) await(ctx context.Context, refused string) (string, error) {
	flight := t.start()
	t.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lives() && t.token != refused {
		return t.token, nil
	}
	if t.failure == nil {
		return "", &tokenError{refused: true, err: errors.New("the token endpoint repeats a refused or ended token")}
	}
	return "", t.failure
}

// start returns the running fetch, or starts one unless the last one's failure still stands. The lock is held.
func (t *tokens) start() <-chan struct{} {
	if t.flight != nil {
		return t.flight
	}
	flight := make(chan struct{})
	if t.ctx.Err() != nil {
		t.failure = errClosed
		close(flight)
		return flight
	}
	if t.failure != nil && t.now().Before(t.failedTo) {
		close(flight)
		return flight
	}
	t.flight = flight
	t.wait.Go(func() {
		defer close(flight)
		ctx, cancel := context.WithTimeout(t.ctx, fetchLimit)
		defer cancel()
		token, err := t.fetch(ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.flight = nil
		t.settle(token, err)
	})
	return flight
}

// settle takes a fetch's result over and sets the time of the next. The lock is held.
func (t *tokens) settle(token *oauth2.Token, err error) {
	now := t.now()
	t.failure = err
	if err != nil {
		pause := failedPause
		var refusal *tokenError
		if errors.As(err, &refusal) && refusal.refused {
			pause = refusedPause
		}
		t.failedTo = now.Add(pause)
		if t.lives() {
			t.schedule(jittered(pause))
		}
		return
	}
	life := unknownLife
	if !token.Expiry.IsZero() {
		life = time.Until(token.Expiry) // the library counted it from the true time
	}
	t.token, t.expiry = token.AccessToken, now.Add(life)
	t.schedule(life - jittered(min(fetchAhead, life/5)))
}

// jittered is d and up to aheadJitter of it more.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*aheadJitter*float64(d))
}

// schedule sets when the token is replaced in the background. The lock is held.
func (t *tokens) schedule(after time.Duration) {
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.ctx.Err() != nil {
		return
	}
	t.timer = time.AfterFunc(after, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.start()
	})
}

// fetcher asks the token endpoint of an account through base, once per call.
func fetcher(config *jwt.Config, base http.RoundTripper) func(context.Context) (*oauth2.Token, error) {
	return func(ctx context.Context) (*oauth2.Token, error) {
		client := &http.Client{
			Transport: bound{ctx: ctx, base: base},
			// A redirect would carry the assertion to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		token, err := config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
		if err != nil {
			return nil, tokenFailure(err)
		}
		if token.AccessToken == "" {
			return nil, &tokenError{err: errors.New("the answer has none")}
		}
		return token, nil
	}
}

// tokenFailure keeps of an error what may be logged: an answer's body could repeat the assertion.
func tokenFailure(err error) *tokenError {
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		return &tokenError{err: err}
	}
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(refusal.Body, &body) // without a word the status decides
	status := refusal.Response.StatusCode
	return &tokenError{
		refused: status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests,
		answer:  answerText(status, only(errorWord, body.Error)),
		err:     errors.New("refused"),
	}
}

// bound ends requests with a context: the OAuth library makes them without one.
type bound struct {
	ctx  context.Context
	base http.RoundTripper
}

// RoundTrip makes a request under the context.
func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.base.RoundTrip(r.WithContext(b.ctx))
}
