package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// request is what goes out. Nobody changes it while the stream is under way.
type request struct {
	fields fields // for HPACK's table; pseudo fields first
	pseudo int    // how many of them are
	block  []byte // encoded literals: path, then the other fields, and then the body
	path   int    // where the path ends in block
	body   int    // where the body begins in block
	size   uint32 // of the header list
}

const (
	// usual is what the block of a push takes, in bytes.
	usual = 768
	// maxKept bounds what a request that is used again keeps of the one before, in bytes.
	maxKept = 8 << 10
)

// maker makes streams of requests. What it lends out comes back as soon as possible, so that a request that waits for its
// answer holds little.
type maker struct {
	settings Settings
	yield    func() // lets other goroutines run before a writer that waited looks
	indexed  map[string]struct{}
	streams  sync.Pool // of *stream
	requests sync.Pool // of *request, until they are encoded
	lists    sync.Pool // of *fields, from a response's header to its caller
}

func newMaker(settings Settings) *maker {
	m := &maker{settings: settings.withDefaults(), yield: runtime.Gosched, indexed: make(map[string]struct{}, len(settings.Indexed))}
	for _, name := range settings.Indexed {
		m.indexed[name] = struct{}{}
	}
	m.streams.New = func() any { return &stream{done: make(chan struct{}, 1)} }
	m.requests.New = func() any { return &request{fields: make(fields, 0, 8), block: make([]byte, 0, usual)} }
	m.lists.New = func() any { return new(fields) }
	return m
}

// stream takes over the request's body, and closes it where the request can't be sent.
func (m *maker) stream(r *http.Request) (*stream, error) {
	s := m.streams.Get().(*stream)
	s.out, s.declared, s.head = m.requests.Get().(*request), -1, r.Method == http.MethodHead
	err := r.Context().Err()
	if err == nil {
		err = m.header(s.out, r)
	}
	if err == nil {
		err = m.body(s, r)
	}
	if r.Body != nil && s.upload == nil {
		_ = r.Body.Close() // it was read to its end, or is not wanted
	}
	if err != nil {
		return nil, &Error{Cause: err, NotProcessed: true}
	}
	s.unsent, s.complete = s.out.block[s.out.body:], s.upload == nil
	return s, nil
}

// again is a stream for the same request once more, after one that was open; nil where its body is gone.
func (m *maker) again(s *stream, r *http.Request) *stream {
	other := *r
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.GetBody == nil:
		return nil
	default:
		s.close()
		body, err := r.GetBody()
		if err != nil {
			return nil
		}
		other.Body = body
	}
	next, err := m.stream(&other)
	if err != nil {
		return nil
	}
	return next
}

// sent takes back a request that is encoded.
func (m *maker) sent(r *request) {
	if cap(r.block) > maxKept {
		return
	}
	clear(r.fields)
	*r = request{fields: r.fields[:0], block: r.block[:0]}
	m.requests.Put(r)
}

// answered takes back a stream whose response is whole, unless the writer may still hold it.
func (m *maker) answered(s *stream) {
	if s.upload != nil || !s.encoded.Load() {
		return
	}
	*s = stream{done: s.done}
	m.streams.Put(s)
}

// list is a copy of a response's header.
func (m *maker) list(of fields) *fields {
	l := m.lists.Get().(*fields)
	*l = append((*l)[:0], of...)
	return l
}

// copied takes back a list.
func (m *maker) copied(l *fields) {
	clear(*l)
	m.lists.Put(l)
}

// header copies what the request's header list will be: fields for HPACK's table, and encoded literals.
func (m *maker) header(out *request, r *http.Request) error {
	if err := out.target(r); err != nil {
		return err
	}
	for name, values := range r.Header {
		if err := m.field(out, name, values); err != nil {
			return err
		}
	}
	return nil
}

// target writes the pseudo fields.
func (out *request) target(r *http.Request) error {
	if err := check(r); err != nil {
		return err
	}
	authority := r.Host
	if authority == "" {
		authority = r.URL.Host
	}
	authority, err := httpguts.PunycodeHostPort(authority)
	if err != nil || authority == "" || !httpguts.ValidHostHeader(authority) {
		return errors.New("no valid host in the request")
	}
	path := r.URL.RequestURI()
	if !strings.HasPrefix(path, "/") && path != "*" || !httpguts.ValidHeaderFieldValue(path) { // a query is taken as it is
		return errors.New("no valid path in the request")
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	out.index(":method", method)
	out.index(":scheme", r.URL.Scheme)
	out.index(":authority", authority)
	out.pseudo = len(out.fields)
	out.literal(":path", path)
	out.path = len(out.block)
	return nil
}

// field adds the values of a name.
func (m *maker) field(out *request, name string, values []string) error {
	name, skip := wireName(name)
	if skip {
		return nil
	}
	_, again := m.indexed[name]
	for _, value := range values {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return errors.New("a header field of the request is not valid")
		}
		switch {
		case name == "te" && value != "trailers": // all that HTTP/2 knows
		case again:
			out.index(name, value)
		default:
			out.literal(name, value)
		}
	}
	return nil
}

func check(r *http.Request) error {
	switch {
	case r.URL == nil:
		return errors.New("no URL in the request")
	case r.URL.Scheme != "https" && r.URL.Scheme != "http":
		return errors.New("the scheme is neither https nor http")
	case !validMethod(r.Method):
		return errors.New("no valid method in the request")
	case r.Method == http.MethodConnect:
		return errors.New("CONNECT is not supported")
	case len(r.Trailer) > 0:
		return errors.New("request trailers are not supported")
	}
	return nil
}

func validMethod(method string) bool {
	return method == "" || method == http.MethodPost || httpguts.ValidHeaderFieldName(method)
}

// index adds a field that goes through HPACK's table.
func (out *request) index(name, value string) {
	f := hpack.HeaderField{Name: name, Value: value}
	out.fields = append(out.fields, f)
	out.size += f.Size()
}

// literal adds a field that never enters HPACK's table, on the way neither: RFC 7541, section 6.2.3. It depends on no
// table, so the caller encodes it and the writer only copies it.
func (out *request) literal(name, value string) {
	out.block = append(out.block, 0x10)
	out.block = appendString(out.block, name)
	out.block = appendString(out.block, value)
	out.size += uint32(len(name)+len(value)) + 32
}

// appendString leaves Huffman's code away: it saves a quarter of the bytes, and costs more time than these take.
func appendString(b []byte, s string) []byte {
	const prefix = 127 // what fits into seven bits; RFC 7541, section 5.1
	if len(s) < prefix {
		b = append(b, byte(len(s)))
	} else {
		b = append(b, prefix)
		n := len(s) - prefix
		for ; n >= 128; n >>= 7 {
			b = append(b, byte(n)|128)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

// body reads a body that is small and of known length, and leaves any other to an upload.
func (m *maker) body(s *stream, r *http.Request) error {
	length := r.ContentLength
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		length = 0
	case length == 0:
		length = -1 // that is how a request says that it does not know
	}
	if length > 0 || length == 0 && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch) {
		s.out.literal("content-length", strconv.FormatInt(length, 10))
	}
	s.out.body = len(s.out.block)
	switch {
	case length == 0:
		return nil
	case length > 0 && length <= int64(m.settings.MaxBody):
		return s.out.read(r.Body, int(length))
	}
	s.upload = newUpload(r.Body, length)
	return nil
}

// read appends a body of n bytes to the block.
func (out *request) read(body io.Reader, n int) error {
	need := len(out.block) + n + 1 // one more tells whether the body ends where it should
	if cap(out.block) < need {
		out.block = append(make([]byte, 0, need), out.block...)
	}
	got, err := io.ReadFull(body, out.block[len(out.block):need])
	switch {
	case err == nil:
		return fmt.Errorf("the request's body is longer than the %d bytes of its length", n)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if got < n {
			return fmt.Errorf("the request's body ends after %d of %d bytes", got, n)
		}
	default:
		return fmt.Errorf("read the request's body: %w", err)
	}
	out.block = out.block[:need-1]
	return nil
}

// await waits until the stream has ended; cancel is called when ctx ends before.
func (s *stream) await(ctx context.Context, cancel func(*stream, error)) {
	select {
	case <-s.done:
	case <-ctx.Done():
		cancel(s, ctx.Err())
		<-s.done // by cancel, or a little before it
	}
}

// close gives up what is left of the request's body.
func (s *stream) close() {
	if s.upload != nil {
		s.upload.close()
	}
}
