package h2_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// attack is what a peer does that means no good. In each case every caller gets an end within patience, nothing is left
// behind (the bubble sees to that), and either the connection goes on or it takes no more requests.
type attack struct {
	// play is called while a request waits for its answer on stream 1, a body for its window on stream 3, and a third
	// request, on stream 5, is given up already.
	play func(p *peer)
	want outcome
	lax  string // what net/http does instead; "" = the same
}

// outcome is how an attack ends.
type outcome int

const (
	cut   outcome = iota // the connection ends
	reset                // stream 1 ends, the connection goes on
	borne                // nothing ends
)

// impatient gives a silent peer up after half a minute.
var impatient = options{ping: 15 * time.Second, pong: 15 * time.Second, write: 15 * time.Second}

// raw writes a frame as it is.
func (p *peer) raw(kind http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	_ = p.WriteRawFrame(kind, flags, id, payload)
}

func setting(id http2.SettingID, value uint32) func(*peer) {
	return func(p *peer) { _ = p.WriteSettings(http2.Setting{ID: id, Val: value}) }
}

// answers writes a header list to stream 1 as its whole answer.
func answers(fields ...string) func(*peer) {
	return func(p *peer) { p.head(1, true, fields...) }
}

// answersWith writes a header list, and a body in frames.
func answersWith(fields []string, frames ...string) func(*peer) {
	return func(p *peer) {
		p.head(1, false, fields...)
		for i, frame := range frames {
			_ = p.WriteData(1, i == len(frames)-1, []byte(frame))
		}
	}
}

// bytesOnly writes bytes that are no frames.
func bytesOnly(b string) func(*peer) {
	return func(p *peer) { _, _ = p.conn.Write([]byte(b)) }
}

// many is how often a frame is sent that is to become too much.
const many = 20_000

var attacks = map[string]attack{
	"settings: a window above the largest":         {play: setting(http2.SettingInitialWindowSize, 1<<31)},
	"settings: a frame size below the smallest":    {play: setting(http2.SettingMaxFrameSize, 16383)},
	"settings: a frame size above the largest":     {play: setting(http2.SettingMaxFrameSize, 1<<24)},
	"settings: push as 2":                          {play: setting(http2.SettingEnablePush, 2)},
	"settings: push by a server":                   {play: setting(http2.SettingEnablePush, 1), lax: "ignores it"},
	"settings: on a stream":                        {play: func(p *peer) { p.raw(http2.FrameSettings, 0, 1) }},
	"settings: of a length that is not divided by": {play: func(p *peer) { p.raw(http2.FrameSettings, 0, 0, 1, 2, 3) }},
	"settings: an acknowledgement with content":    {play: func(p *peer) { p.raw(http2.FrameSettings, http2.FlagSettingsAck, 0, 0, 1, 0, 0, 0, 1) }},
	"settings: acknowledged twice":                 {play: func(p *peer) { _ = p.WriteSettingsAck() }},
	"settings: a window that overflows the ones that are open": {play: func(p *peer) {
		_ = p.WriteWindowUpdate(3, 1<<31-1)
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	}, lax: "does not notice"},

	"ping: of 7 bytes":       {play: func(p *peer) { p.raw(http2.FramePing, 0, 0, make([]byte, 7)...) }},
	"ping: on a stream":      {play: func(p *peer) { p.raw(http2.FramePing, 0, 1, make([]byte, 8)...) }},
	"ping: answered unasked": {play: func(p *peer) { _ = p.WritePing(true, [8]byte{1, 2, 3}) }, want: borne},

	"window: widened by nothing, the connection's": {play: func(p *peer) { _ = p.WriteWindowUpdate(0, 0) }},
	"window: widened by nothing, a stream's":       {play: func(p *peer) { _ = p.WriteWindowUpdate(1, 0) }, want: reset},
	"window: beyond the largest, the connection's": {play: func(p *peer) { _ = p.WriteWindowUpdate(0, 1<<31-1) }},
	"window: beyond the largest, a stream's": {play: func(p *peer) {
		_ = p.WriteWindowUpdate(1, 1<<31-1)
		_ = p.WriteWindowUpdate(1, 1<<31-1)
	}, want: reset, lax: "locks itself out"},
	"window: of a stream that never was": {play: func(p *peer) { _ = p.WriteWindowUpdate(99, 1) }, lax: "ignores it"},
	"window: of a stream that is over":   {play: func(p *peer) { _ = p.WriteWindowUpdate(5, 1) }, want: borne},
	"window: of 3 bytes":                 {play: func(p *peer) { p.raw(http2.FrameWindowUpdate, 0, 0, 1, 2, 3) }},

	"data: on stream 0":                 {play: func(p *peer) { p.raw(http2.FrameData, 0, 0, 1) }},
	"data: on a stream that never was":  {play: func(p *peer) { _ = p.WriteData(99, false, []byte("x")) }},
	"data: on a stream of the server":   {play: func(p *peer) { _ = p.WriteData(2, false, []byte("x")) }, lax: "ignores it"},
	"data: before the header":           {play: func(p *peer) { _ = p.WriteData(1, true, []byte("x")) }, want: reset},
	"data: more padding than frame":     {play: func(p *peer) { p.raw(http2.FrameData, http2.FlagDataPadded, 1, 9, 1) }},
	"data: padded and without a length": {play: func(p *peer) { p.raw(http2.FrameData, http2.FlagDataPadded, 1) }},
	"data: above the stream's window": {play: func(p *peer) {
		p.head(1, false, ":status", "200")
		for sent := int64(0); sent <= p.streams[1].window; sent += 16384 {
			if p.WriteData(1, false, make([]byte, 16384)) != nil {
				return
			}
		}
	}, want: reset, lax: "takes the connection's end for the answer to it"},
	"data: in endless empty frames": {play: func(p *peer) {
		p.head(1, false, ":status", "200")
		for range many {
			_ = p.WriteData(1, false, nil)
		}
		_ = p.WriteData(1, true, nil)
	}, want: borne},

	"header: on stream 0":                    {play: func(p *peer) { p.head(0, true, ":status", "200") }},
	"header: on a stream that never was":     {play: func(p *peer) { p.head(99, true, ":status", "200") }, lax: "ignores it"},
	"header: on a stream of the server":      {play: func(p *peer) { p.head(2, true, ":status", "200") }, lax: "ignores it"},
	"header: on a stream that is over":       {play: func(p *peer) { p.head(5, true, ":status", "200") }, want: borne},
	"header: no status":                      {play: answers("x-a", "b"), want: reset},
	"header: nothing at all":                 {play: answers(), want: reset},
	"header: two statuses":                   {play: answers(":status", "200", ":status", "200"), want: reset},
	"header: a status that is no number":     {play: answers(":status", "abc"), want: reset},
	"header: a status of two digits":         {play: answers(":status", "20"), want: reset, lax: "takes it"},
	"header: a status below all":             {play: answers(":status", "099"), want: reset, lax: "takes it"},
	"header: a negative status":              {play: answers(":status", "-20"), want: reset, lax: "takes it"},
	"header: an empty status":                {play: answers(":status", ""), want: reset},
	"header: a request's pseudo field":       {play: answers(":status", "200", ":path", "/"), want: reset},
	"header: an unknown pseudo field":        {play: answers(":status", "200", ":color", "red"), want: reset},
	"header: the status not first":           {play: answers("x-a", "b", ":status", "200"), want: reset},
	"header: an upper-case name":             {play: answers(":status", "200", "X-Upper", "b"), want: reset},
	"header: an empty name":                  {play: answers(":status", "200", "", "b"), want: reset},
	"header: a space in a name":              {play: answers(":status", "200", "x y", "b"), want: reset},
	"header: a line break in a value":        {play: answers(":status", "200", "x-a", "b\r\nx-c: d"), want: reset},
	"header: a zero byte in a value":         {play: answers(":status", "200", "x-a", "b\x00"), want: reset},
	"header: an interim one that is the end": {play: answers(":status", "100"), want: reset},
	"header: a change of protocols":          {play: answersWith([]string{":status", "101"}, "x"), want: reset, lax: "takes it for an interim one"},
	"header: a second one":                   {play: func(p *peer) { p.head(1, false, ":status", "200"); p.head(1, false, ":status", "200") }, want: reset, lax: "cuts the connection"},
	"header: trailers that are not the end":  {play: func(p *peer) { p.head(1, false, ":status", "200"); p.head(1, false, "x-a", "b") }, want: reset, lax: "cuts the connection"},
	"header: trailers with a status":         {play: func(p *peer) { p.head(1, false, ":status", "200"); p.head(1, true, ":status", "200") }, want: reset, lax: "cuts the connection"},
	"header: more padding than frame":        {play: func(p *peer) { p.raw(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, 9, 1) }, lax: "goes on without the list"},
	"header: an index of no entry":           {play: func(p *peer) { p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0xff, 0x01) }},
	"header: index 0":                        {play: func(p *peer) { p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x80) }},
	"header: an integer without end": {play: func(p *peer) {
		p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, bytes.Repeat([]byte{0xff}, 100)...)
	}},
	"header: a string that is cut short": {play: func(p *peer) { p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x88, 0x00, 0x05, 'x') }},
	"header: a wrong Huffman code": {play: func(p *peer) {
		p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x88, 0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00)
	}},
	"header: a table above what is allowed": {play: func(p *peer) {
		p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x3f, 0xff, 0xff, 0xff, 0x0f, 0x88)
	}},
	"header: longer than the client takes": {play: func(p *peer) {
		block := append([]byte{0x88}, p.list("x-bomb", strings.Repeat("b", 3900))...)
		for range 1000 {
			block = append(block, 0xbe) // the newest entry of the table
		}
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
	}, want: reset, lax: "takes 10 MB"},
	"header: endless interim ones": {play: func(p *peer) {
		for range many {
			if p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "103", "x-a", "b"), EndHeaders: true}) != nil {
				return
			}
		}
	}, want: reset, lax: "counts their bytes alone"},

	"length: less than it says":    {play: answersWith([]string{":status", "200", "content-length", "5"}, "four"), want: reset},
	"length: more than it says":    {play: answersWith([]string{":status", "200", "content-length", "3"}, "four"), want: reset},
	"length: some, and no body":    {play: answers(":status", "200", "content-length", "3"), want: reset, lax: "takes it"},
	"length: no number":            {play: answersWith([]string{":status", "200", "content-length", "x"}, "four"), want: reset, lax: "ignores it"},
	"length: negative":             {play: answersWith([]string{":status", "200", "content-length", "-4"}, "four"), want: reset, lax: "ignores it"},
	"length: two that differ":      {play: answersWith([]string{":status", "200", "content-length", "4", "content-length", "5"}, "four"), want: reset, lax: "ignores it"},
	"length: beyond any":           {play: answersWith([]string{":status", "200", "content-length", "99999999999999999999"}, "four"), want: reset, lax: "ignores it"},
	"length: the largest there is": {play: answersWith([]string{":status", "200", "content-length", "9223372036854775807"}, "four"), want: reset},

	"continuation: without a header": {play: func(p *peer) { _ = p.WriteContinuation(1, true, p.list(":status", "200")) }},
	"continuation: of another stream": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		_ = p.WriteContinuation(3, true, p.list("x-a", "b"))
	}},
	"continuation: data in between": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		_ = p.WriteData(1, true, []byte("x"))
	}},
	"continuation: a frame of another kind in between": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		_ = p.WritePing(false, [8]byte{})
	}},
	"continuation: without end": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		for i := range many {
			if p.WriteContinuation(1, false, p.list("x-a", strings.Repeat("b", i%1000))) != nil {
				return
			}
		}
	}},
	"continuation: without end or content": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		for range many {
			if p.WriteContinuation(1, false, nil) != nil {
				return
			}
		}
	}, lax: "reads on"},
	"continuation: none, and silence": {play: func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200")})
		p.silent = true
	}},

	"push: a promise": {play: func(p *peer) {
		_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true,
			BlockFragment: p.list(":method", "GET", ":path", "/", ":scheme", "http", ":authority", "peer.test")})
	}},

	"reset: of stream 0":                {play: func(p *peer) { p.raw(http2.FrameRSTStream, 0, 0, 0, 0, 0, 8) }},
	"reset: of a stream that never was": {play: func(p *peer) { _ = p.WriteRSTStream(99, http2.ErrCodeCancel) }, lax: "ignores it"},
	"reset: of 3 bytes":                 {play: func(p *peer) { p.raw(http2.FrameRSTStream, 0, 1, 1, 2, 3) }},
	"reset: of a stream that is over, again and again": {play: func(p *peer) {
		for range many {
			_ = p.WriteRSTStream(5, http2.ErrCodeCancel)
		}
	}, want: borne},

	"goaway: on a stream":  {play: func(p *peer) { p.raw(http2.FrameGoAway, 0, 1, make([]byte, 8)...) }},
	"goaway: of 7 bytes":   {play: func(p *peer) { p.raw(http2.FrameGoAway, 0, 0, make([]byte, 7)...) }},
	"goaway: then silence": {play: func(p *peer) { _ = p.WriteGoAway(99, http2.ErrCodeNo, nil); p.silent = true }},
	"goaway: a last stream that rises": {play: func(p *peer) {
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		_ = p.WriteGoAway(99, http2.ErrCodeNo, nil)
	}},

	"frame: larger than agreed":                  {play: func(p *peer) { p.raw(http2.FrameData, 0, 1, make([]byte, 2<<20)...) }},
	"frame: of a kind that is unknown, and huge": {play: func(p *peer) { p.raw(0xbe, 0, 1, make([]byte, 2<<20)...) }},
	"frame: a priority of 4 bytes":               {play: func(p *peer) { p.raw(http2.FramePriority, 0, 1, 1, 2, 3, 4) }},
	"frame: a stream that depends on itself":     {play: func(p *peer) { p.raw(http2.FramePriority, 0, 1, 0, 0, 0, 1, 16) }, want: borne},

	"bytes: HTTP/1": {play: bytesOnly("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")},
	"bytes: noise":  {play: func(p *peer) { _, _ = p.conn.Write(bytes.Repeat([]byte{0xfe, 0x01, 0x80}, 1000)) }},
	"bytes: half a frame's head, and silence": {play: func(p *peer) { bytesOnly("\x00\x00")(p); p.silent = true }},
	"bytes: half a frame, and silence":        {play: func(p *peer) { bytesOnly("\x00\x00\x10\x00\x00\x00\x00\x00\x01half")(p); p.silent = true }},
	"bytes: half a frame, and the end":        {play: func(p *peer) { bytesOnly("\x00\x00\x10\x00\x00\x00\x00\x00\x01half")(p); p.conn.Close() }},
	"bytes: none":                             {play: func(p *peer) { p.silent = true }},
}

func TestAHostilePeerHarmsNobodyElse(t *testing.T) {
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				if a.lax != "" {
					s.knownShort(t, std, a.lax)
				}
				c, p := greeted(t, s, impatient, window(2))
				p.stays = true
				waits := get(t, c, "/waits")
				p.settle()
				sends := post(t, c, "/sends", "more than the window")
				p.settle()
				ctx, cancel := context.WithCancel(t.Context())
				over := start(c, request(t, http.MethodGet, "/over", nil).WithContext(ctx))
				p.settle()
				cancel()
				over.wait(t)
				p.settle()

				a.play(p)
				p.settle()
				if a.want == cut {
					if !p.silent && !waits.over() {
						t.Error("it is not noticed at once")
					}
					for _, k := range []*call{waits, sends} {
						if p.wait(k); k.err == nil {
							t.Errorf("a caller got %v", k.response.Status)
						}
					}
					s.takesNone(t, c)
					return
				}
				if a.want == reset {
					if p.wait(waits); waits.err == nil {
						t.Errorf("the caller got %v", waits.response.Status)
					}
				} else if !waits.over() {
					p.respond(1, "yes")
					waits.ok(t, "yes")
				}
				if sends.over() {
					t.Errorf("the other caller ended: %v", sends.err)
				}
				next := get(t, c, "/next")
				p.settle()
				p.respond(p.expect("/next").id, "yes")
				next.ok(t, "yes")
			})
		})
	}
}

// wait lets time pass until a call has ended, and does what the peer does meanwhile.
func (p *peer) wait(k *call) {
	p.t.Helper()
	for begun := time.Now(); !k.over(); {
		if time.Since(begun) > patience {
			p.t.Fatalf("no answer within %v", patience)
		}
		p.settle()
		time.Sleep(time.Second)
	}
}

func TestAPeerThatDoesNotBeginWithItsSettings(t *testing.T) {
	for name, begin := range map[string]func(p *peer){
		"but with an answer":          func(p *peer) { _ = p.WriteRawFrame(http2.FrameHeaders, 0x5, 1, []byte{0x88}) },
		"but with a ping":             func(p *peer) { _ = p.WritePing(false, [8]byte{}) },
		"but with an acknowledgement": func(p *peer) { _ = p.WriteSettingsAck() },
		"but with HTTP/1":             bytesOnly("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"but with TLS":                bytesOnly("\x15\x03\x01\x00\x02\x02\x28"),
		"but with silence":            func(*peer) {},
		"but with its end":            func(p *peer) { p.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				c, p := connect(t, s, impatient)
				k := get(t, c, "/")
				begin(p)
				if k.wait(t); k.err == nil {
					t.Errorf("got %v", k.response.Status)
				}
				s.takesNone(t, c)
			})
		})
	}
}
