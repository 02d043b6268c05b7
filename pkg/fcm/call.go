package fcm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

// maxAnswerBytes bounds what is read of an answer; FCM's have less than 2 KB.
const maxAnswerBytes = 64 << 10

var (
	// errUnsendable says that the SDK refused a message before it asked FCM.
	errUnsendable = errors.New("the SDK refuses the message")
	// errUnprocessed says that the server refused the stream twice without having looked at it.
	errUnprocessed = errors.New("the connection refused the request before processing it")
)

// call is one request through the SDK: what it is to send, and what came of it. It travels in the request's context,
// because the SDK lets neither through.
type call struct {
	token  string // OAuth access token
	body   []byte
	result result
	begun  bool // the SDK made its request
}

type callKey struct{}

// courier is the RoundTripper under the SDK. It puts in the body and the authorization of the [call], and keeps what
// came of it there. The SDK itself gets 200 or [handled] and nothing else: it would repeat a request after a network
// error or a 503 up to four times by itself, waiting as Retry-After says, and follow redirects.
type courier struct {
	base http.RoundTripper
	now  func() time.Time

	authorized atomic.Pointer[authorized] // the last header
}

// authorized is a header that nobody changes any more.
type authorized struct {
	token  string
	header http.Header
}

// handled is the status that the SDK sees for every failure: one that it does not repeat.
const handled = http.StatusBadRequest

// RoundTrip sends the request's call.
func (c *courier) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // the SDK's own version of the message, in memory
	}
	sent, ok := r.Context().Value(callKey{}).(*call)
	if !ok {
		return nil, errors.New("request without a call")
	}
	sent.begun = true
	answer := c.exchange(r, sent)
	status := handled
	if sent.result.status == http.StatusOK && sent.result.err == nil {
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode:    status,
		ProtoMajor:    2,
		Header:        http.Header{},
		Body:          io.NopCloser(bytes.NewReader(answer)),
		ContentLength: int64(len(answer)),
		Request:       r,
	}, nil
}

// exchange makes the request, keeps its result, and returns the answer's body.
func (c *courier) exchange(r *http.Request, sent *call) []byte {
	ctx := r.Context()
	body := &upload{content: sent.body}
	out := *r
	out.Header = c.header(sent.token, r.Header)
	out.ContentLength = int64(len(sent.body))
	out.Body = body.reader()
	out.GetBody = body.again
	fail := func(status int, lost error) []byte {
		err := lost
		// The caller's end of time counts, however the transport words what it led to.
		if ended := ctx.Err(); ended != nil {
			err = ended
		}
		// pkg/h2 reads the body before it has a stream, and knows better; the other one reads it when it writes.
		sent.result = result{status: status, err: err, sent: body.started.Load() && !errors.Is(lost, h2.ErrNotProcessed)}
		return nil
	}

	response, err := c.base.RoundTrip(&out)
	if err != nil {
		return fail(0, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if response.StatusCode != http.StatusOK {
		// The status stands, even where the body broke off.
		sent.result = readAnswer(response.StatusCode, response.Header, answer, c.now())
		return answer
	}
	if err != nil {
		return fail(http.StatusOK, fmt.Errorf("read the answer: %w", err))
	}
	sent.result = result{status: http.StatusOK}
	return answer
}

// header is the SDK's header, always the same, with an access token.
func (c *courier) header(token string, of http.Header) http.Header {
	known := c.authorized.Load()
	if known == nil || known.token != token {
		known = &authorized{token: token, header: maps.Clone(of)}
		known.header["Authorization"] = []string{"Bearer " + token}
		c.authorized.Store(known)
	}
	return known.header
}

// upload hands the body to the transport and knows whether it took any of it: before, nothing of the message can have
// left, since a request whose body is not complete is none.
type upload struct {
	content []byte
	started atomic.Bool
	retried atomic.Bool
}

func (u *upload) reader() io.ReadCloser {
	return &uploadReader{Reader: bytes.NewReader(u.content), upload: u}
}

// again is the request's GetBody. The transport asks for it where the server said that it did not process the request
// (REFUSED_STREAM, or GOAWAY with a lower stream id): once that costs nothing, as with each connection that the server
// retires; the transport would wait before the next times.
func (u *upload) again() (io.ReadCloser, error) {
	u.started.Store(false)
	if u.retried.Swap(true) {
		return nil, errUnprocessed
	}
	return u.reader(), nil
}

type uploadReader struct {
	io.Reader
	upload *upload
}

// Read marks the upload as begun.
func (r *uploadReader) Read(p []byte) (int, error) {
	r.upload.started.Store(true)
	return r.Reader.Read(p)
}

// Close has nothing to end.
func (r *uploadReader) Close() error { return nil }

// withCall attaches a call to the context that the SDK hands to the courier.
func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}
