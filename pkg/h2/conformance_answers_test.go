package h2_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/net/http2"
)

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		method string                   // "" = GET
		play   func(p *peer, id uint32) // the answer
		status int
		body   string
		length int64 // as Response.ContentLength has it; -1 = not known
		header http.Header
	}{
		"by its header alone": {
			play:   func(p *peer, id uint32) { p.head(id, true, ":status", "200") },
			status: 200,
		},
		"with an empty frame at its end": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200")
				p.must(p.WriteData(id, false, []byte("body")))
				p.must(p.WriteData(id, true, nil))
			},
			status: 200, body: "body", length: -1,
		},
		"with nothing but an empty frame": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200")
				p.must(p.WriteData(id, true, nil))
			},
			status: 200, length: -1,
		},
		"with the length that it names": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200", "content-length", "4")
				p.must(p.WriteData(id, true, []byte("body")))
			},
			status: 200, body: "body", length: 4, header: http.Header{"Content-Length": {"4"}},
		},
		"byte by byte, padded": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200")
				for _, b := range []byte("body") {
					p.must(p.WriteDataPadded(id, false, []byte{b}, make([]byte, 200)))
					p.must(p.WriteData(id, false, nil))
				}
				p.must(p.WriteDataPadded(id, true, nil, make([]byte, 10)))
			},
			status: 200, body: "body", length: -1,
		},
		"to HEAD, with the length of what GET would get": {
			method: http.MethodHead,
			play: func(p *peer, id uint32) {
				p.head(id, true, ":status", "200", "content-length", "1000")
			},
			status: 200, length: 1000, header: http.Header{"Content-Length": {"1000"}},
		},
		"204": {
			play:   func(p *peer, id uint32) { p.head(id, true, ":status", "204") },
			status: 204,
		},
		"304 with the length of what is not sent": {
			play:   func(p *peer, id uint32) { p.head(id, true, ":status", "304", "content-length", "0") },
			status: 304, header: http.Header{"Content-Length": {"0"}},
		},
		"an error with a reason": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "410", "apns-id", "x", "retry-after", "7")
				p.must(p.WriteData(id, true, []byte(`{"reason":"Unregistered"}`)))
			},
			status: 410, body: `{"reason":"Unregistered"}`, length: -1,
			header: http.Header{"Apns-Id": {"x"}, "Retry-After": {"7"}},
		},
		"a status that nobody has defined": {
			play:   func(p *peer, id uint32) { p.head(id, true, ":status", "799") },
			status: 799,
		},
		"a field with several values": {
			play: func(p *peer, id uint32) {
				p.head(id, true, ":status", "200", "x-many", "a", "x-other", "", "x-many", "b")
			},
			status: 200, header: http.Header{"X-Many": {"a", "b"}, "X-Other": {""}},
		},
		"after interim ones": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "100")
				p.head(id, false, ":status", "103", "link", "</style.css>")
				p.head(id, false, ":status", "102")
				p.head(id, false, ":status", "200")
				p.must(p.WriteData(id, true, []byte("body")))
			},
			status: 200, body: "body", length: -1,
		},
		"with trailers": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200")
				p.must(p.WriteData(id, false, []byte("body")))
				p.head(id, true, "x-trailer", "yes")
			},
			status: 200, body: "body", length: -1,
		},
		"with trailers and no body": {
			play: func(p *peer, id uint32) {
				p.head(id, false, ":status", "200")
				p.head(id, true, "x-trailer", "yes")
			},
			status: 200, length: -1,
		},
		"among frames that are nobody's": {
			play: func(p *peer, id uint32) {
				p.must(p.WriteRawFrame(0xbe, 0xff, 0, []byte("an extension")))
				p.must(p.WriteRawFrame(0x0a, 0, 0, []byte("ALTSVC")))
				p.must(p.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1")))
				p.must(p.WritePriority(id, http2.PriorityParam{StreamDep: 99, Weight: 1}))
				p.must(p.WriteSettings(http2.Setting{ID: 0xbeef, Val: 1}))
				p.head(id, false, ":status", "200")
				p.must(p.WriteRawFrame(0xbe, 0xff, id, []byte("an extension")))
				p.must(p.WriteData(id, true, []byte("body")))
			},
			status: 200, body: "body", length: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				c, p := greeted(t, s, options{})
				for range 2 { // the second shows that the first left the connection in order
					k := start(c, request(t, or(test.method, http.MethodGet), "/", nil))
					p.settle()
					test.play(p, p.last.id)
					k.wait(t)
					if k.err != nil {
						t.Fatal(k.err)
					}
					r := k.response
					if r.StatusCode != test.status || k.body != test.body || r.ProtoMajor != 2 || r.Request == nil {
						t.Errorf("got %d %q by HTTP/%d to %v", r.StatusCode, k.body, r.ProtoMajor, r.Request)
					}
					if r.ContentLength != test.length && !(test.length < 0 && r.ContentLength == int64(len(k.body))) {
						t.Errorf("the length is %d, want %d", r.ContentLength, test.length)
					}
					for name, want := range test.header {
						if got := r.Header[name]; fmt.Sprint(got) != fmt.Sprint(want) {
							t.Errorf("%s is %q, want %q", name, got, want)
						}
					}
					p.settle()
				}
				if c.InFlight() != 0 || p.goAway != nil {
					t.Errorf("%d in flight, GOAWAY %v", c.InFlight(), p.goAway)
				}
			})
		})
	}
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func TestTrailersReachTheCaller(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := get(t, c, "/")
		p.settle()
		p.head(1, false, ":status", "200", "trailer", "x-trailer")
		p.must(p.WriteData(1, false, []byte("body")))
		p.head(1, true, "x-trailer", "yes")
		k.ok(t, "body")
		if got := k.response.Trailer.Get("X-Trailer"); got != "yes" {
			t.Errorf("got %q", got)
		}
	})
}

func TestBodies(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 50_000)
	breaks := func(r io.Reader) io.Reader {
		return io.MultiReader(r, iotest.ErrReader(errors.New("the reader failed")))
	}
	for name, test := range map[string]struct {
		content string
		length  int // that the request says; 0 = the content's, -1 = not known
		wrap    func(io.Reader) io.Reader
		fails   bool
		short   bool // net/http sends it as if it were whole
	}{
		"empty, of unknown length":      {length: -1},
		"small":                         {content: "small"},
		"small, of unknown length":      {content: "small", length: -1},
		"byte by byte":                  {content: "small", wrap: iotest.OneByteReader},
		"with its end in the last read": {content: "small", wrap: iotest.DataErrReader},
		"large":                         {content: large},
		"large, of unknown length":      {content: large, length: -1},
		"large, in halves":              {content: large, wrap: iotest.HalfReader},
		"shorter than it says":          {content: "short", length: 6, fails: true, short: true},
		"longer than it says":           {content: "longer", length: 5, fails: true},
		"large, shorter than it says":   {content: large, length: len(large) + 1, fails: true, short: true},
		"large, longer than it says":    {content: large, length: len(large) - 1, fails: true},
		"one that fails":                {length: 10, wrap: breaks, fails: true},
		"one that fails on its way":     {content: large, length: -1, wrap: breaks, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				if test.short {
					s.knownShort(t, std, "sends it as if it were whole")
				}
				c, p := greeted(t, s, options{}, limit(1))
				var content io.Reader = strings.NewReader(test.content)
				if test.wrap != nil {
					content = test.wrap(content)
				}
				r := request(t, http.MethodPost, "/body", nil)
				closed := false
				r.Body = closer{content, &closed}
				if r.ContentLength = int64(test.length); test.length == 0 {
					r.ContentLength = int64(len(test.content))
				}
				k := start(c, r)
				p.settle()
				if test.fails {
					if k.wait(t); k.err == nil {
						t.Errorf("got %v", k.response.Status)
					}
					p.settle()
					if got := p.path("/body"); got != nil && (got.ended || got.reset == nil) {
						t.Errorf("the request was sent as if it were whole: ended %v, reset %v", got.ended, got.reset)
					}
				} else {
					got := p.expect("/body")
					if string(got.body) != test.content || !got.ended {
						t.Errorf("%d bytes came, ended %v, want %d", len(got.body), got.ended, len(test.content))
					}
					p.respond(got.id, "yes")
					k.ok(t, "yes")
				}
				p.settle()
				if !closed {
					t.Error("the body was not closed")
				}
				next := get(t, c, "/next")
				p.settle()
				p.respond(p.expect("/next").id, "")
				next.ok(t, "")
			})
		})
	}
}

// closer notes that a body was closed.
type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error {
	*c.closed = true
	return nil
}
