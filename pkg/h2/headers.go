package h2

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxInformational bounds the 1xx answers to one request.
	maxInformational = 16
	// maxEmpty bounds the frames of a header list that bring nothing.
	maxEmpty = 16
)

var errHeaderTooLarge = errors.New("the response's header is too large")

// block is a header list that comes in, in a HEADERS frame and as many CONTINUATION frames as it takes.
type block struct {
	decoder *hpack.Decoder
	names   names
	max     int      // bytes of it
	bare    []string // statuses of which nothing else is wanted

	stream uint32
	end    bool // the stream ends with it
	bytes  int  // encoded
	empty  int  // frames without any
	size   int  // decoded, as HTTP/2 counts it
	status string
	fields fields
	fault  error // of the list; the decoder goes on, because later lists build on its table
}

func newBlock(settings *Settings) *block {
	b := &block{names: make(names), max: settings.MaxHeader}
	for _, status := range settings.Bare {
		b.bare = append(b.bare, strconv.Itoa(status))
	}
	b.decoder = hpack.NewDecoder(ownTable, b.add)
	b.decoder.SetMaxStringLength(settings.MaxHeader)
	return b
}

func (b *block) begin(stream uint32, end bool) {
	clear(b.fields)
	b.stream, b.end, b.bytes, b.empty, b.size, b.status, b.fields, b.fault = stream, end, 0, 0, 0, "", b.fields[:0], nil
	b.decoder.SetEmitEnabled(true)
}

// add is called by the decoder for each field.
func (b *block) add(f hpack.HeaderField) {
	b.size += int(f.Size())
	switch {
	case b.fault != nil:
	case b.size > b.max:
		b.fault = errHeaderTooLarge
		b.decoder.SetEmitEnabled(false)
	case f.IsPseudo():
		if f.Name != ":status" || b.status != "" || len(b.fields) > 0 || len(f.Value) != 3 {
			b.fault = errors.New("the response's pseudo fields are wrong")
		}
		if b.status = f.Value; slices.Contains(b.bare, b.status) {
			b.decoder.SetEmitEnabled(false) // it goes on without making strings
		}
	case !validName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value):
		b.fault = errors.New("a field of the response's header is not valid")
	default:
		f.Name = b.names.canonical(f.Name)
		b.fields = append(b.fields, f)
	}
}

func validName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && strings.IndexFunc(name, isUpper) < 0
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// takeBlockLocked deals with a frame of a header list; last = the list ends with it.
func (c *Conn) takeBlockLocked(b *block, fragment []byte, last bool) error {
	b.bytes += len(fragment)
	if len(fragment) == 0 {
		b.empty++
	}
	if b.bytes > b.max+maxFrame || b.empty > maxEmpty {
		return violation(http2.ErrCodeEnhanceYourCalm, "a header list does not end")
	}
	if _, err := b.decoder.Write(fragment); err != nil {
		return violation(http2.ErrCodeCompression, "a header list can't be decoded")
	}
	if !last {
		return nil
	}
	if err := b.decoder.Close(); err != nil {
		return violation(http2.ErrCodeCompression, "a header list is cut short")
	}
	s, err := c.findLocked(b.stream)
	if s == nil {
		return err
	}
	return c.takeHeaderLocked(s, b)
}

// takeHeaderLocked deals with a whole header list: an informational one, the response's, or its trailers.
func (c *Conn) takeHeaderLocked(s *stream, b *block) error {
	switch {
	case b.fault != nil:
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol, Cause: b.fault}
	case s.status != 0:
		if !b.end || b.status != "" {
			return malformed(s, "the response has a second header")
		}
		s.trailer = append(s.trailer, b.fields...)
		return c.completeLocked(s)
	}
	status, err := strconv.ParseUint(b.status, 10, 16)
	if err != nil || status < 100 {
		return malformed(s, "the response has no valid status")
	}
	if status < 200 {
		if s.informational++; b.end || status == 101 || s.informational > maxInformational {
			return malformed(s, "an informational response that HTTP/2 does not have")
		}
		return nil
	}
	for _, f := range b.fields {
		if f.Name == "Content-Length" && !s.declare(f.Value) {
			return malformed(s, "the response's content-length is not valid")
		}
	}
	s.status = int(status)
	s.header = c.make.list(b.fields)
	if !c.answered {
		c.answered, c.freed = true, true
		c.wakeLocked()
	}
	if b.end {
		return c.completeLocked(s)
	}
	return nil
}

// declare keeps the length that a content-length field tells; two of them must agree.
func (s *stream) declare(value string) bool {
	n, err := strconv.ParseUint(value, 10, 62)
	if err != nil || s.declared >= 0 && s.declared != int64(n) {
		return false
	}
	s.declared = int64(n)
	return true
}
