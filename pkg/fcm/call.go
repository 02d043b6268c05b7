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

	"firebase.google.com/go/v4/messaging"

	"github.com/pushfleet/pushfleet/pkg/h2"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// maxAnswerBytes bounds what is read of an answer; FCM's have less than 2 KB.
const maxAnswerBytes = 64 << 10

// maxKept bounds the memory for an answer that a call keeps for the next one.
const maxKept = 4 << 10

var (
	// errUnsendable says that the SDK refused a message before it asked FCM.
	errUnsendable = errors.New("the SDK refuses the message")
	// errUnprocessed says that the server refused the stream twice without having looked at it.
	errUnprocessed = errors.New("the connection refused the request before processing it")
)

// call is one request through the SDK: what it is to send, and what came of it. It is itself the context of its request,
// because the SDK lets neither through, and may be used for one notification after another.
type call struct {
	context.Context // the send's

	refused *push.Outcome     // why nothing is sent, or no more; nil = the result counts
	message messaging.Message // all that the SDK is told
	token   string            // OAuth access token; "" = not asked for yet
	renewed bool              // it is a second one
	body    []byte
	upload  *upload
	begun   bool // the SDK made its request
	result  result

	answer   bytes.Buffer
	limited  io.LimitedReader // of the answer that comes
	response http.Response    // what the SDK sees
	content  content          // of it
}

type callKey struct{}

// Value gives the call to the courier.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

//go:noinline // what it needs of the stack must not stay below a request
func (c *call) report(i int, to func(i int, o push.Outcome)) {
	if c.refused != nil {
		to(i, *c.refused)
		return
	}
	to(i, classify(c.result))
}

// courier is the RoundTripper under the SDK. It puts in the body and the authorization of the [call], and keeps what
// came of it there. The SDK itself gets 200 or [handled] and nothing else: it would repeat a request after a network
// error or a 503 up to four times by itself, waiting as Retry-After says, and follow redirects.
type courier struct {
	base http.RoundTripper
	now  func() time.Time
	// lingers says that base may look at a request after its end: then nothing of a call is used again.
	lingers bool

	authorized atomic.Pointer[authorized] // the last header
}

// authorized is a header that nobody changes any more.
type authorized struct {
	token  string
	header http.Header
}

// handled is the status that the SDK sees for every failure: one that it does not repeat.
const handled = http.StatusBadRequest

// RoundTrip sends the request's call. It changes the request, which the SDK makes for this one call and does not look at
// again.
func (c *courier) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, ok := r.Context().Value(callKey{}).(*call)
	if r.Body != nil {
		_ = r.Body.Close() // the SDK's own version of the message, in memory
	}
	if !ok {
		return nil, errors.New("request without a call")
	}
	c.prepare(r, sent)
	response, err := c.base.RoundTrip(r)
	c.finish(sent, response, err)
	return sent.seen(r), nil
}

// prepare fills in the request.
func (c *courier) prepare(r *http.Request, sent *call) {
	sent.begun = true
	if c.lingers || sent.upload == nil {
		sent.upload = newUpload()
	}
	sent.upload.reset(sent.body)
	r.Header = c.header(sent.token, r.Header)
	r.Body, r.GetBody, r.ContentLength = sent.upload.first, sent.upload.again, int64(len(sent.body))
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

// finish keeps what came of a request.
func (c *courier) finish(sent *call, response *http.Response, err error) {
	if sent.answer.Reset(); sent.answer.Cap() > maxKept {
		sent.answer = bytes.Buffer{}
	}
	if err != nil {
		sent.lose(0, err)
		return
	}
	defer response.Body.Close()
	sent.limited = io.LimitedReader{R: response.Body, N: maxAnswerBytes}
	_, err = sent.answer.ReadFrom(&sent.limited)
	sent.limited.R = nil
	switch {
	case response.StatusCode != http.StatusOK: // it stands, even where the body broke off
		sent.result = readAnswer(response.StatusCode, response.Header, sent.answer.Bytes(), c.now())
	case err != nil:
		sent.lose(http.StatusOK, fmt.Errorf("read the answer: %w", err))
	default:
		sent.result = result{status: http.StatusOK}
	}
}

// lose keeps an error instead of an answer.
func (c *call) lose(status int, err error) {
	// pkg/h2 reads the body before it has a stream, and knows better; the other client reads it when it writes.
	sent := c.upload.started.Load() && !errors.Is(err, h2.ErrNotProcessed)
	// The caller's end of time counts, however the transport words what it led to.
	if ended := c.Err(); ended != nil {
		err = ended
	}
	c.result = result{status: status, err: err, sent: sent}
}

// seen is the response that the SDK gets.
//
//go:noinline // as report
func (c *call) seen(r *http.Request) *http.Response {
	status := handled
	if c.result.status == http.StatusOK && c.result.err == nil {
		status = http.StatusOK
	}
	c.content.Reset(c.answer.Bytes())
	c.response = http.Response{
		StatusCode: status, ProtoMajor: 2, Body: &c.content, ContentLength: int64(c.answer.Len()), Request: r,
	}
	return &c.response
}

// content is a body in memory.
type content struct{ bytes.Reader }

// Close has nothing to end.
func (*content) Close() error { return nil }

// upload hands the body to the transport and knows whether it took any of it: before, nothing of the message can have
// left, since a request whose body is not complete is none.
type upload struct {
	content []byte
	first   *uploadReader
	again   func() (io.ReadCloser, error) // second, as a value
	started atomic.Bool
	retried atomic.Bool
}

func newUpload() *upload {
	u := new(upload)
	u.first, u.again = &uploadReader{upload: u}, u.second
	return u
}

func (u *upload) reset(content []byte) {
	u.content = content
	u.first.Reset(content)
	u.started.Store(false)
	u.retried.Store(false)
}

// second is the request's GetBody. The transport asks for it where the server said that it did not process the request
// (REFUSED_STREAM, or GOAWAY with a lower stream id): once that costs nothing, as with each connection that the server
// retires; the transport would wait before the next times.
func (u *upload) second() (io.ReadCloser, error) {
	u.started.Store(false)
	if u.retried.Swap(true) {
		return nil, errUnprocessed
	}
	other := &uploadReader{upload: u}
	other.Reset(u.content)
	return other, nil
}

type uploadReader struct {
	bytes.Reader
	upload *upload
}

// Read marks the upload as begun.
func (r *uploadReader) Read(p []byte) (int, error) {
	r.upload.started.Store(true)
	return r.Reader.Read(p)
}

// WriteTo does as well.
func (r *uploadReader) WriteTo(w io.Writer) (int64, error) {
	r.upload.started.Store(true)
	return r.Reader.WriteTo(w)
}

// Close has nothing to end.
func (r *uploadReader) Close() error { return nil }
