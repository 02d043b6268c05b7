package h2_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is the server's end of a connection. The test's own goroutine plays it frame by frame: it writes what it likes,
// lets the client come to rest, and looks at what came. It runs in a synctest bubble.
type peer struct {
	*http2.Framer // its write methods may break any rule of the protocol
	t             *testing.T
	conn          *end
	in            *bufio.Reader

	largest uint32 // frame that the peer takes
	rude    bool   // acknowledges no settings and no pings
	stays   bool   // gives no window back
	silent  bool   // reads no more

	settings map[http2.SettingID]uint32 // the client's
	window   int64                      // what the client takes on the connection, of DATA
	streams  map[uint32]*stream
	last     *stream // whose HEADERS came last
	pongs    [][8]byte
	pings    int
	asked    [8]byte        // by the last one
	goAway   *http2.ErrCode // that the client sent
	acks     int            // of settings
	closed   bool           // the client's end

	decoder *hpack.Decoder
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// stream is a request, as far as the peer has seen it.
type stream struct {
	id       uint32
	block    []byte // of its first header list, encoded
	frames   int    // that the list came in
	fields   []hpack.HeaderField
	body     []byte
	trailers []hpack.HeaderField
	ended    bool // by END_STREAM
	reset    *http2.ErrCode
	window   int64 // what the client takes on it, of DATA
}

// field is the value of the first field of a name; "" = none.
func (s *stream) field(name string) string {
	for _, f := range s.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// connect makes a client of the subject and a peer, which says nothing yet.
func connect(t *testing.T, s subject, o options) (client, *peer) {
	t.Helper()
	return connectRoom(t, s, o, pipeRoom)
}

func connectRoom(t *testing.T, s subject, o options, room int) (client, *peer) {
	t.Helper()
	ours, theirs := pipe(room)
	p := &peer{
		t: t, conn: theirs, in: bufio.NewReader(theirs),
		settings: map[http2.SettingID]uint32{http2.SettingInitialWindowSize: 65535, http2.SettingMaxFrameSize: 16384},
		largest:  16384,
		window:   65535,
		streams:  make(map[uint32]*stream),
		decoder:  hpack.NewDecoder(4096, nil),
	}
	p.encoder = hpack.NewEncoder(&p.block)
	p.Framer = http2.NewFramer(theirs, p.in)
	p.AllowIllegalWrites, p.AllowIllegalReads = true, true
	c := s.conn(t, ours, o)
	t.Cleanup(func() {
		c.Close()
		theirs.Close()
		synctest.Wait()
	})
	return c, p
}

// greeted is connect, and the peer's settings.
func greeted(t *testing.T, s subject, o options, settings ...http2.Setting) (client, *peer) {
	t.Helper()
	c, p := connect(t, s, o)
	p.greet(settings...)
	return c, p
}

// greet reads the client's preface and says what the peer's settings are.
func (p *peer) greet(settings ...http2.Setting) {
	p.t.Helper()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.in, preface); err != nil || string(preface) != http2.ClientPreface {
		p.t.Fatalf("preface %q: %v", preface, err)
	}
	p.must(p.WriteSettings(settings...))
	p.settle()
	if p.acks != 1 {
		p.t.Fatalf("the client acknowledged settings %d times, want once", p.acks)
	}
}

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("the peer can't write: %v", err)
	}
}

// set changes the peer's settings.
func (p *peer) set(id http2.SettingID, value uint32) {
	p.t.Helper()
	p.must(p.WriteSettings(http2.Setting{ID: id, Val: value}))
	p.settle()
}

// settle lets the client do all that it does without time passing, and takes it in.
func (p *peer) settle() {
	p.t.Helper()
	for {
		synctest.Wait()
		if p.closed || p.silent || p.in.Buffered() == 0 && !p.conn.ready() {
			return
		}
		p.take()
	}
}

// take reads one frame.
func (p *peer) take() {
	p.t.Helper()
	frame, err := p.ReadFrame()
	if err != nil {
		p.closed = true
		return
	}
	if n := frame.Header().Length; n > p.largest {
		p.t.Errorf("%v is larger than the %d bytes that the peer takes", frame, p.largest)
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if frame.IsAck() {
			p.acks++
			return
		}
		_ = frame.ForeachSetting(func(s http2.Setting) error { p.settings[s.ID] = s.Val; return nil })
		if !p.rude {
			_ = p.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if frame.IsAck() {
			p.pongs = append(p.pongs, frame.Data)
			return
		}
		p.pings++
		p.asked = frame.Data
		if !p.rude {
			_ = p.WritePing(true, frame.Data)
		}
	case *http2.HeadersFrame:
		p.headers(frame)
	case *http2.DataFrame:
		s := p.streams[frame.StreamID]
		if s == nil {
			p.t.Errorf("DATA on stream %d, which has not begun", frame.StreamID)
			return
		}
		s.body = append(s.body, frame.Data()...)
		s.ended = frame.StreamEnded()
		if n := frame.Length; n > 0 && !p.stays {
			_ = p.WriteWindowUpdate(0, n)
			_ = p.WriteWindowUpdate(s.id, n)
		}
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			p.window += int64(frame.Increment)
		} else if s := p.streams[frame.StreamID]; s != nil {
			s.window += int64(frame.Increment)
		}
	case *http2.RSTStreamFrame:
		if s := p.streams[frame.StreamID]; s != nil {
			s.reset = &frame.ErrCode
		}
	case *http2.GoAwayFrame:
		p.goAway = &frame.ErrCode
	case *http2.ContinuationFrame:
		p.t.Error("CONTINUATION without HEADERS")
	}
}

// headers reads a header list to its end.
func (p *peer) headers(first *http2.HeadersFrame) {
	p.t.Helper()
	id, frames, ended := first.StreamID, 1, first.StreamEnded()
	block := bytes.Clone(first.HeaderBlockFragment())
	for done := first.HeadersEnded(); !done; frames++ {
		next, err := p.ReadFrame()
		if err != nil {
			p.t.Errorf("in the header list of stream %d: %v", id, err)
			return
		}
		more, ok := next.(*http2.ContinuationFrame)
		if !ok || more.StreamID != id {
			p.t.Errorf("%v within the header list of stream %d", next, id)
			return
		}
		block = append(block, more.HeaderBlockFragment()...)
		done = more.HeadersEnded()
	}
	fields, err := p.decoder.DecodeFull(block)
	if err != nil {
		p.t.Errorf("header list of stream %d: %v", id, err)
	}
	s := p.streams[id]
	if s != nil {
		s.trailers, s.ended = fields, ended
		return
	}
	p.last = &stream{
		id: id, block: block, frames: frames, fields: fields, ended: ended,
		window: int64(p.settings[http2.SettingInitialWindowSize]),
	}
	p.streams[id] = p.last
}

// begun is how many requests the client has begun.
func (p *peer) begun() int { return len(p.streams) }

// path is the stream whose request has a path; nil = it has not come.
func (p *peer) path(path string) *stream {
	var found *stream
	for _, s := range p.streams {
		if s.field(":path") != path {
			continue
		}
		if found != nil {
			p.t.Errorf("%s came twice", path)
		}
		found = s
	}
	return found
}

// expect is path for a request that has to be there.
func (p *peer) expect(path string) *stream {
	p.t.Helper()
	s := p.path(path)
	if s == nil {
		p.t.Fatalf("%s has not come", path)
	}
	return s
}

// list encodes a header list, of names and values in turn.
func (p *peer) list(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		if err := p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			p.t.Fatal(err)
		}
	}
	return p.block.Bytes()
}

// respond answers a stream with status 200 and a body, and lets the client see it.
func (p *peer) respond(id uint32, body string) {
	p.t.Helper()
	p.head(id, body == "", ":status", "200")
	if body != "" {
		p.must(p.WriteData(id, true, []byte(body)))
	}
	p.settle()
}

// head writes a header list in one frame.
func (p *peer) head(id uint32, ends bool, fields ...string) {
	p.t.Helper()
	p.must(p.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.list(fields...), EndHeaders: true, EndStream: ends,
	}))
}

// patience is how long a caller may wait for an end, on a bubble's clock.
const patience = 10 * time.Minute

// call is a request under way.
type call struct {
	done     chan struct{}
	response *http.Response // nil = err
	body     string
	err      error // of the round trip or of the body
}

// get starts a GET.
func get(t *testing.T, c http.RoundTripper, path string) *call {
	t.Helper()
	return start(c, request(t, http.MethodGet, path, nil))
}

// post starts a POST of a body.
func post(t *testing.T, c http.RoundTripper, path, body string) *call {
	t.Helper()
	return start(c, request(t, http.MethodPost, path, strings.NewReader(body)))
}

func request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://peer.test"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start starts a request and reads its answer whole.
func start(c http.RoundTripper, r *http.Request) *call {
	k := &call{done: make(chan struct{})}
	go func() {
		defer close(k.done)
		if k.response, k.err = c.RoundTrip(r); k.err != nil {
			return
		}
		defer k.response.Body.Close()
		var body []byte
		if body, k.err = io.ReadAll(k.response.Body); k.err == nil {
			k.body = string(body)
		}
	}()
	return k
}

// over says whether the call has ended.
func (k *call) over() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// wait lets time pass until the call has ended.
func (k *call) wait(t *testing.T) {
	t.Helper()
	select {
	case <-k.done:
	case <-time.After(patience):
		t.Fatalf("no answer within %v", patience)
	}
}

// ok fails the test unless the call ended with status 200 and a body.
func (k *call) ok(t *testing.T, body string) {
	t.Helper()
	k.wait(t)
	if k.err != nil {
		t.Errorf("got error %v", k.err)
	} else if k.response.StatusCode != http.StatusOK || k.body != body {
		t.Errorf("got %d %q, want 200 %q", k.response.StatusCode, k.body, body)
	}
}

// body is a request's body.
func body(content string) io.Reader { return strings.NewReader(content) }
