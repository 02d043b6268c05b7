package wire

import (
	"bufio"
	"crypto/tls"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// What a client may ask of a connection.
const (
	maxRequestBody  = 1 << 20  // a stream's window; it is not extended
	maxHeaderBytes  = 64 << 10 // of one request, decoded
	maxHeaderString = 32 << 10 // one name or value
	connWindow      = 1 << 30  // of all bodies together, extended as they come
	maxControls     = 10_000   // frames that wait to be written: a client that asks and does not read is cut
	untold          = 10_000   // streams at once, before the client has acknowledged a limit
)

// Conn is one connection that speaks HTTP/2. Its exported methods are safe for concurrent use, and do nothing where it
// has ended.
type Conn struct {
	server *Server
	conn   *tls.Conn
	raw    net.Conn
	peer   *Peer
	flow   *pushtest.Flow
	out    *writer

	// The reader's alone.
	framer    *http2.Framer
	decoder   *hpack.Decoder
	buffered  *bufio.Reader
	receiving map[uint32]*exchange // whose body is still coming
	headers   *exchange            // whose header block is still coming
	fields    fieldsState
	last      uint32 // the highest stream that came
	debt      uint32 // received bytes that the connection's window lacks
	ready     []*exchange

	// gone is the last stream that a GOAWAY lets live; none was sent as long as it is everyStream.
	gone atomic.Uint32

	// Under out.mu: what the client may do.
	limits  []uint32 // of streams: the one in force first, then those that the client has not acknowledged
	open    int      // streams
	highest uint32   // stream that came
}

// everyStream is above every stream.
const everyStream = math.MaxUint32

// exchange is a request and its reply.
type exchange struct {
	stream  uint32
	request Request
	reply   Reply
	due     time.Time
	at      int  // its place among the waiting; −1 = not there
	ended   bool // the client sends no more of it
	over    bool // nothing is to be written any more
}

// fieldsState is how far a header block has come.
type fieldsState struct {
	bytes   int
	regular bool // a field that is not a pseudo header field has come
	wrong   bool
}

func newConn(s *Server, conn *tls.Conn, raw net.Conn, peer *Peer) *Conn {
	c := &Conn{
		server: s, conn: conn, raw: raw, peer: peer, flow: s.cfg.Traffic.Connect(),
		buffered: bufio.NewReaderSize(conn, 64<<10), receiving: make(map[uint32]*exchange),
		limits: []uint32{untold},
	}
	c.framer = http2.NewFramer(nil, c.buffered)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(16 << 10)
	c.gone.Store(everyStream)
	c.decoder = hpack.NewDecoder(4096, c.field)
	c.decoder.SetMaxStringLength(maxHeaderString)
	c.out = newWriter(c)
	return c
}

// Number counts connections from 1 in the order of acceptance.
func (c *Conn) Number() uint64 { return c.peer.Number }

// Opened is when it was accepted, by the server's clock.
func (c *Conn) Opened() time.Time { return c.peer.Opened }

// Streams is what it takes at once, as the client was told last.
func (c *Conn) Streams() uint32 {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.limits[len(c.limits)-1]
}

// SetStreams changes what it takes at once. The client is held to it once it has acknowledged.
func (c *Conn) SetStreams(n uint32) { c.out.post(func(w *writer) { w.setStreams(n) }) }

// GoAway tells the client to take another connection. [LastBefore] is the same as [LastReceived] here.
func (c *Conn) GoAway(g GoAway) { c.out.post(func(w *writer) { w.goAway(&g, 0) }) }

// Cut resets the TCP connection.
func (c *Conn) Cut() { c.out.post(func(w *writer) { w.cut = true }) }

// Silence makes it send nothing any more, and leaves it open.
func (c *Conn) Silence() { c.out.post((*writer).hush) }

// serve reads until the connection ends, and returns when all its goroutines have ended.
func (c *Conn) serve() {
	var writing sync.WaitGroup
	writing.Go(c.out.run)
	c.read()
	c.conn.NetConn().Close() // without TLS's farewell, which would wait for a writer that is stuck
	c.out.close()
	writing.Wait()
	c.flow.Disconnect()
}

func (c *Conn) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.buffered, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	_ = c.raw.SetDeadline(time.Time{}) // fails only on a closed connection
	streams := c.server.cfg.Streams(c.peer)
	c.out.post(func(w *writer) { w.greet(streams) })
	for {
		if !c.frameIsBuffered() {
			c.flush()
		}
		frame, err := c.framer.ReadFrame()
		if err != nil || !c.take(frame) {
			c.flush()
			return
		}
	}
}

// frameIsBuffered says whether the next frame can be read without waiting.
func (c *Conn) frameIsBuffered() bool {
	const header = 9
	if c.buffered.Buffered() < header {
		return false
	}
	b, err := c.buffered.Peek(header)
	return err == nil && c.buffered.Buffered() >= header+(int(b[0])<<16|int(b[1])<<8|int(b[2]))
}

// flush hands the requests that are served to the writer.
func (c *Conn) flush() {
	if len(c.ready) > 0 {
		c.out.add(c.ready)
		clear(c.ready)
		c.ready = c.ready[:0]
	}
}

// take handles a frame. false = the connection is to end.
func (c *Conn) take(frame http2.Frame) bool {
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return c.begin(f)
	case *http2.ContinuationFrame:
		return c.block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.data(f)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			data := f.Data
			return c.out.post(func(w *writer) { _ = w.framer.WritePing(true, data) })
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.out.credit(int64(f.Increment))
		}
	case *http2.RSTStreamFrame:
		c.abandon(f.StreamID)
	case *http2.GoAwayFrame:
		return true // the client opens no more streams, and closes when it has its answers
	}
	return true
}

func (c *Conn) settings(f *http2.SettingsFrame) bool {
	if f.IsAck() {
		c.out.acknowledged()
		return true
	}
	if window, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.out.streamWindow(int64(window))
	}
	return c.out.post(func(w *writer) { _ = w.framer.WriteSettingsAck() })
}

// begin opens a stream.
func (c *Conn) begin(f *http2.HeadersFrame) bool {
	ex := c.receiving[f.StreamID]
	switch {
	case f.StreamID%2 == 0:
		return false // one of ours: the client is confused
	case ex != nil: // trailers
	case f.StreamID <= c.last:
		ex = &exchange{over: true} // trailers of a stream that was reset; they change the decoder's table all the same
	default:
		c.last = f.StreamID
		ex = &exchange{stream: f.StreamID, at: -1, request: Request{Peer: c.peer, Header: make([]hpack.HeaderField, 0, 12)}}
		ex.over = !c.out.open(f.StreamID)
		if !ex.over {
			c.receiving[f.StreamID] = ex
		}
	}
	c.headers = ex
	c.fields = fieldsState{}
	ex.ended = f.StreamEnded()
	return c.block(f.HeaderBlockFragment(), f.HeadersEnded())
}

func (c *Conn) block(fragment []byte, ended bool) bool {
	if _, err := c.decoder.Write(fragment); err != nil || c.fields.bytes > maxHeaderBytes {
		return false
	}
	if !ended {
		return true
	}
	if c.decoder.Close() != nil {
		return false
	}
	ex := c.headers
	c.headers = nil
	switch {
	case ex.over:
	case c.fields.wrong || ex.request.Method == "" || ex.request.Path == "":
		c.reject(ex, http2.ErrCodeProtocol)
	case ex.ended:
		c.answer(ex)
	}
	return true
}

// field takes one field of a header block.
func (c *Conn) field(f hpack.HeaderField) {
	c.fields.bytes += len(f.Name) + len(f.Value) + 32
	if c.headers.over || c.fields.bytes > maxHeaderBytes {
		return
	}
	r := &c.headers.request
	if !f.IsPseudo() {
		c.fields.regular = true
		if strings.ToLower(f.Name) != f.Name {
			c.fields.wrong = true
		}
		r.Header = append(r.Header, f)
		return
	}
	c.fields.wrong = c.fields.wrong || c.fields.regular
	switch f.Name {
	case ":method":
		r.Method = f.Value
	case ":path":
		r.Path = f.Value
	case ":authority":
		r.Authority = f.Value
	case ":scheme":
	default:
		c.fields.wrong = true
	}
}

func (c *Conn) data(f *http2.DataFrame) bool {
	c.debt += f.Length
	if c.debt >= connWindow/4 {
		debt := c.debt
		c.debt = 0
		c.out.post(func(w *writer) { _ = w.framer.WriteWindowUpdate(0, debt) })
	}
	ex := c.receiving[f.StreamID]
	if ex == nil {
		return f.StreamID <= c.last // of a stream that was reset
	}
	ex.request.Body = append(ex.request.Body, f.Data()[:min(len(f.Data()), MaxBody-len(ex.request.Body))]...)
	if f.StreamEnded() {
		c.answer(ex)
	}
	return true
}

// answer serves a whole request.
func (c *Conn) answer(ex *exchange) {
	delete(c.receiving, ex.stream)
	if c.gone.Load() < ex.stream { // it is not looked at; the writer forgets it
		c.ready = append(c.ready, ex)
		return
	}
	ex.reply = c.server.cfg.Handler.Serve(&ex.request)
	if ex.reply.Delay > 0 {
		ex.due = time.Now().Add(ex.reply.Delay)
	}
	c.ready = append(c.ready, ex)
}

// reject resets a stream whose request makes no sense.
func (c *Conn) reject(ex *exchange, code http2.ErrCode) {
	delete(c.receiving, ex.stream)
	ex.reply = Reply{Do: Reset, Code: code, Line: Line{Skip: true}}
	c.ready = append(c.ready, ex)
}

// abandon forgets a stream that the client has reset.
func (c *Conn) abandon(stream uint32) {
	c.flush() // it may be among those that are served
	_, unread := c.receiving[stream]
	delete(c.receiving, stream)
	c.out.abandon(stream, unread)
}
