package apns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/h2"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// errSign says that no provider token could be made.
var errSign = errors.New("apns: no provider token")

// exchange is what travels around apns2 with one request: headers and payload on its way out; connection, provider
// token and answer on the way back. apns2 loses the status where the body is not JSON, never shows Retry-After, and cuts
// the timestamp to seconds. It is itself the context of its request, and may be used for one push after another.
type exchange struct {
	context.Context // the push's

	refused      *push.Outcome // why nothing is sent; nil = it is
	notification apns2.Notification
	request      request
	fields       fields
	body         *payloadReader
	conn         *conn
	bearer       string
	answer       answer
}

type exchangeKey struct{}

// Value gives the exchange to the transport below apns2.
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// prepare gives the outcome instead where n can never be sent.
func (x *exchange) prepare(n *push.Notification, bundleID string) *push.Outcome {
	if err := checkToken(n.Token); err != nil {
		return &push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Err: err}
	}
	x.notification.DeviceToken, x.notification.Payload = n.Token, placeholder
	return x.request.render(n, bundleID)
}

func (x *exchange) report(i int, to func(i int, o push.Outcome)) {
	if x.refused != nil {
		to(i, *x.refused)
		return
	}
	to(i, classify(x.answer))
}

// transport is the http.RoundTripper under an apns2 client: it puts headers and payload in place and reads the
// answer.
type transport struct {
	pool   *pool
	signer authorizer
	now    func() time.Time
	// lingers says that a connection may look at a request after its end, as net/http's do: then nothing of an exchange is
	// used again.
	lingers bool
}

// RoundTrip is called by apns2 through http.Client, with an exchange as the request's context. It changes the request,
// which apns2 makes for this one push and does not look at again.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("apns: a request without an exchange")
	}
	if r.Body != nil {
		r.Body.Close() // apns2's placeholder
	}
	for range t.pool.limit + 1 {
		if err := t.prepare(r, x); err != nil {
			x.answer = answer{err: err}
			break
		}
		response, err := x.conn.client.RoundTrip(r)
		t.finish(x, response, err)
		if err == nil {
			return response, nil
		}
		// A connection that takes no request any more was the pool's to find out, and there may be another one.
		if x.answer.sent || ended(err) || aboutStream(err) {
			break
		}
		if t.lingers {
			r = r.WithContext(x)
		}
	}
	return nil, x.answer.err
}

// prepare fills in the request, and takes a stream for it.
func (t *transport) prepare(r *http.Request, x *exchange) (err error) {
	if t.lingers || x.body == nil {
		x.fields, x.body = fields{}, new(payloadReader)
	}
	x.body.reset(x.request.payload)
	x.conn = nil
	if x.bearer, err = t.signer.bearer(); err != nil {
		return errors.Join(errSign, err)
	}
	if x.conn, err = t.pool.acquire(x); err != nil {
		return err
	}
	r.Header = x.fields.of(&x.request, x.bearer)
	r.Body, r.GetBody, r.ContentLength = x.body, nil, int64(len(x.request.payload))
	return nil
}

// finish keeps what came of the request, and gives its stream back.
func (t *transport) finish(x *exchange, response *http.Response, err error) {
	// pkg/h2 reads the payload before it has a stream, and knows better; net/http reads it when it writes.
	sent := x.body.begun() && !errors.Is(err, h2.ErrNotProcessed)
	if err != nil {
		x.answer = answer{err: err, sent: sent}
	} else {
		x.answer = readAnswer(response, t.now)
		response.Body.Close()
		response.Body = http.NoBody
	}
	t.pool.release(x.conn, err, sent)
}

// maxAnswer bounds what is read of an answer's body: Apple's are below 100 bytes.
const maxAnswer = 4096

func readAnswer(response *http.Response, clock func() time.Time) answer {
	a := answer{status: response.StatusCode, sent: true}
	if response.StatusCode == http.StatusOK {
		return a
	}
	now := clock()
	a.retryAfter = retryAfter(response.Header, now)
	if its, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.ahead = its.Sub(now)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return a // the status is known; a reason cut short is none
	}
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // ms
	}
	_ = json.Unmarshal(body, &said) // a proxy's HTML has no reason, and a wrong type leaves the other field
	if isReason(said.Reason) {
		a.reason = said.Reason
	}
	if said.Timestamp > 0 {
		a.since = time.UnixMilli(said.Timestamp)
	}
	return a
}

// maxRetryAfter bounds what a server may wish: beyond it lies a slip, or a clock that is wrong.
const maxRetryAfter = 24 * time.Hour

// retryAfter is the server's wish, in seconds or as a date; 0 = none that can be understood. A date is measured by the
// server's own clock where it tells it, else by ours.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if its, err := http.ParseTime(header.Get("Date")); err == nil {
		now = its
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// isReason keeps out of logs and records whatever is not a short word.
func isReason(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) <= 64
}

// payloadReader is a request's body that knows whether a byte of it was taken. HTTP/2 sends it after the headers, so as
// long as it was not, the server has no whole request.
type payloadReader struct {
	content bytes.Reader
	state   atomic.Int32
}

const (
	payloadUntouched = iota
	payloadBegun
	payloadWithheld // closed before it was begun: it never will be
)

func (p *payloadReader) reset(content []byte) {
	p.content.Reset(content)
	p.state.Store(payloadUntouched)
}

func (p *payloadReader) begun() bool { return p.state.Load() == payloadBegun }

// Read is called by the HTTP/2 connection's goroutine, which may outlive the request's.
func (p *payloadReader) Read(b []byte) (int, error) {
	if !p.state.CompareAndSwap(payloadUntouched, payloadBegun) && p.state.Load() == payloadWithheld {
		return 0, context.Canceled
	}
	return p.content.Read(b)
}

// Close ends the body. Called before begun is asked, it makes sure that the answer stays true.
func (p *payloadReader) Close() error {
	p.state.CompareAndSwap(payloadUntouched, payloadWithheld)
	return nil
}
