package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// maxKept bounds what a stream that is used again keeps of its last request, in bytes.
const maxKept = 8 << 10

// maker makes streams of requests.
type maker struct {
	settings Settings
	indexed  map[string]struct{}
	used     sync.Pool // of *stream
}

func newMaker(settings Settings) *maker {
	m := &maker{settings: settings.withDefaults(), indexed: make(map[string]struct{}, len(settings.Indexed))}
	for _, name := range settings.Indexed {
		m.indexed[name] = struct{}{}
	}
	m.used.New = func() any { return &stream{done: make(chan struct{}, 1)} }
	return m
}

// stream takes over the request's body, and closes it where the request can't be sent.
func (m *maker) stream(r *http.Request) (*stream, error) {
	s := m.used.Get().(*stream)
	s.declared = -1
	err := r.Context().Err()
	if err == nil {
		err = m.head(s, r)
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
	s.unsent, s.complete = s.block[s.body:], s.upload == nil
	return s, nil
}

// recycle takes back a stream whose request went out and whose response is whole.
func (m *maker) recycle(s *stream) {
	if s.shared || s.upload != nil || !s.endTaken || !s.encoded.Load() || cap(s.block) > maxKept {
		return
	}
	clear(s.fields)
	clear(s.header)
	fields, block, header, done := s.fields[:0], s.block[:0], s.header[:0], s.done
	*s = stream{done: done}
	s.fields, s.block, s.header = fields, block, header
	m.used.Put(s)
}

// again is a stream for the same request once more; nil where its body is gone. The one before may still be in a writer's
// hands, so nothing of it is written to.
func (m *maker) again(s *stream, r *http.Request) *stream {
	other := m.used.Get().(*stream)
	other.request, other.declared = s.request, -1
	other.shared = true
	if u := s.upload; u != nil {
		source := u.source
		if u.begun() {
			if r.GetBody == nil {
				return nil
			}
			var err error
			if source, err = r.GetBody(); err != nil {
				return nil
			}
			u.close()
		}
		other.upload = newUpload(source, u.length)
	}
	other.unsent, other.complete = other.block[other.body:], other.upload == nil
	return other
}

// head copies what the request's header list will be: fields for HPACK's table, and encoded literals.
func (m *maker) head(s *stream, r *http.Request) error {
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
	if !strings.HasPrefix(path, "/") && path != "*" {
		return errors.New("no valid path in the request")
	}
	s.head = r.Method == http.MethodHead
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	s.index(":method", method)
	s.index(":scheme", r.URL.Scheme)
	s.index(":authority", authority)
	s.pseudo = len(s.fields)
	literal(s, ":path", path)
	s.path = len(s.block)
	for name, values := range r.Header {
		name, skip := wireName(name)
		if skip {
			continue
		}
		_, again := m.indexed[name]
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return errors.New("a header field of the request is not valid")
			}
			switch {
			case name == "te" && value != "trailers": // all that HTTP/2 knows
			case again:
				s.index(name, value)
			default:
				literal(s, name, value)
			}
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
func (s *stream) index(name, value string) {
	f := hpack.HeaderField{Name: name, Value: value}
	s.fields = append(s.fields, f)
	s.size += f.Size()
}

// literal adds a field that never enters HPACK's table, on the way neither: RFC 7541, section 6.2.3. It depends on no
// table, so the caller encodes it and the writer only copies it.
func literal[value string | []byte](s *stream, name string, v value) {
	s.block = append(s.block, 0x10)
	s.block = appendString(s.block, name)
	s.block = appendString(s.block, v)
	s.size += uint32(len(name)+len(v)) + 32
}

// appendString leaves Huffman's code away: it saves a quarter of the bytes, and costs more time than these take.
func appendString[value string | []byte](b []byte, s value) []byte {
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
		var digits [20]byte
		literal(s, "content-length", strconv.AppendInt(digits[:0], length, 10))
	}
	s.body = len(s.block)
	switch {
	case length == 0:
		return nil
	case length > 0 && length <= int64(m.settings.MaxBody):
		return s.read(r.Body, int(length))
	}
	s.upload = newUpload(r.Body, length)
	return nil
}

// read appends a body of n bytes to the block.
func (s *stream) read(body io.Reader, n int) error {
	need := len(s.block) + n + 1 // one more tells whether the body ends where it should
	if cap(s.block) < need {
		s.block = append(make([]byte, 0, need), s.block...)
	}
	got, err := io.ReadFull(body, s.block[len(s.block):need])
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
	s.block = s.block[:need-1]
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
