package h2

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// smallContent is what is set aside for a response's body whose length is declared; a longer one grows as it comes.
const smallContent = 16 << 10

// mayHaveBody says whether the method and the status allow one.
func (s *stream) mayHaveBody() bool {
	return !s.head && s.status != http.StatusNoContent && s.status != http.StatusNotModified
}

func (s *stream) append(data []byte) {
	if s.content == nil && s.declared > 0 {
		s.content = make([]byte, 0, min(s.declared, smallContent))
	}
	s.content = append(s.content, data...)
}

// answer is a response with its body, in one piece of memory.
type answer struct {
	http.Response
	body content
}

// content is a response's body. It is read by one goroutine at a time.
type content struct {
	rest   []byte
	err    error // after rest
	closed bool
}

var errBodyClosed = errors.New("h2: read of a response's body that was closed")

// Read copies what is there.
func (b *content) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errBodyClosed
	case len(b.rest) == 0:
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close gives the rest up.
func (b *content) Close() error {
	b.rest, b.closed = nil, true
	return nil
}

// answer is what the caller gets of a stream that has ended; the stream is not to be used after it.
func (s *stream) answer(r *http.Request) (*http.Response, error) {
	if s.status == 0 {
		return nil, s.err
	}
	a := &answer{Response: http.Response{
		Status: statusText(s.status), StatusCode: s.status,
		Proto: "HTTP/2.0", ProtoMajor: 2,
		Header:        header(*s.header),
		Trailer:       header(s.trailer),
		Body:          http.NoBody,
		ContentLength: s.length(),
		Request:       r,
		TLS:           s.conn.tls,
	}}
	if a.Header == nil && !slices.Contains(s.conn.make.settings.Bare, s.status) {
		a.Header = make(http.Header)
	}
	if len(s.content) > 0 || s.err != nil {
		a.body = content{rest: s.content, err: io.EOF}
		if s.err != nil {
			a.body.err = s.err
		}
		a.Body = &a.body
	}
	s.conn.make.copied(s.header)
	if s.err == nil {
		s.conn.make.answered(s)
	}
	return &a.Response, nil
}

// length is the response's ContentLength.
func (s *stream) length() int64 {
	switch {
	case s.declared >= 0 && (s.head || s.err != nil):
		return s.declared
	case s.head || s.err != nil:
		return -1
	}
	return int64(len(s.content))
}

func statusText(status int) string {
	if status == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

// header is a list of fields as net/http has it; nil where there is none.
func header(fields fields) http.Header {
	if len(fields) == 0 {
		return nil
	}
	h, values := make(http.Header, len(fields)), make([]string, 0, len(fields))
	for _, f := range fields {
		if before, again := h[f.Name]; again {
			h[f.Name] = append(before, f.Value)
			continue
		}
		values = append(values, f.Value)
		h[f.Name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h
}
