package h2

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2"
)

const (
	// maxTurnBytes and maxTurnStreams bound what the writer encodes before it writes: bytes of bodies, and new streams.
	maxTurnBytes   = 64 << 10
	maxTurnStreams = 256
	// maxRecord is what a TLS record takes, in bytes.
	maxRecord = 16 << 10
)

var errRequestTooLarge = errors.New("the request's header is larger than the server takes")

// turn is what the writer takes at a time: it encodes and writes it without the lock.
type turn struct {
	control []control
	pieces  []piece
	ping    uint64 // the id of one that goes along; 0 = none
	last    bool   // the connection ends
}

// piece is a part of one request.
type piece struct {
	s    *stream
	open bool   // begins with the header
	data []byte // of the body
	end  bool   // the request ends with it
}

// write runs until the connection ends, and cuts it then.
func (c *Conn) write() {
	e := newEncoder(c.make)
	e.preface()
	err := c.flush(e) // before there is anything to do: servers wait for it
	for t := new(turn); err == nil && !t.last; {
		c.next(t)
		e.encode(t)
		clear(t.pieces) // the streams are their callers'
		if err = c.flush(e); err == nil && t.ping != 0 {
			c.pinged(t.ping)
		}
	}
	if err != nil {
		c.hear(err)
		c.lost(err)
	}
	c.end(err == nil && c.sayLast(e))
}

// hear is for a connection that can't be written to any more. It takes no more requests, but what the server said before
// it went may still be there to read: which requests it has not processed, or a TLS alert.
func (c *Conn) hear(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.mute = err
	_ = c.nc.SetReadDeadline(time.Now().Add(lastWords))
	if c.refusal == nil {
		c.refusal, c.freed = err, true
	}
	for c.pending.length > 0 {
		s := c.pending.first
		c.finishLocked(s, s.fails(err))
	}
	c.unlock()
	<-c.heardAll
}

// next waits for something to write.
func (c *Conn) next(t *turn) {
	c.mu.Lock()
	if !c.readyLocked() {
		for !c.readyLocked() {
			c.idle = true
			c.work.Wait()
		}
		c.idle = false
		c.mu.Unlock()
		c.make.yield() // who is about to send does so first, and goes along
		c.mu.Lock()
	}
	t.last = c.err != nil
	t.control, c.control = c.control, t.control[:0]
	t.ping = c.takePingLocked()
	c.giveBackLocked(t)
	c.provoked = 0
	t.pieces = t.pieces[:0]
	if !t.last {
		rest := c.takeUploadsLocked(t, maxTurnBytes)
		c.takePendingLocked(t, rest)
	}
	c.unlock()
}

func (c *Conn) readyLocked() bool {
	return c.err != nil || len(c.control) > 0 || c.owesLocked() ||
		len(c.uploads) > 0 && (c.window > 0 || c.bare > 0) ||
		c.mayOpenLocked()
}

// mayOpenLocked says whether a stream waits and another one may be opened.
func (c *Conn) mayOpenLocked() bool { return c.pending.length > 0 && c.openLocked() < c.limitLocked() }

// takeUploadsLocked goes on with bodies that were begun, and returns what is left of the budget.
func (c *Conn) takeUploadsLocked(t *turn, budget int) int {
	waiting := c.uploads[:0]
	for _, s := range c.uploads {
		if !s.ended && !s.bare && (budget == 0 || c.window <= 0) {
			waiting = append(waiting, s)
			continue
		}
		s.listed = false
		if s.bare {
			c.bare--
		}
		if s.ended || !s.sendable() { // its window may have shrunk
			continue
		}
		data, end := c.takeLocked(s, budget)
		budget -= len(data)
		t.pieces = append(t.pieces, piece{s: s, data: data, end: end})
		if s.sendable() {
			s.listed, s.bare = true, false
			waiting = append(waiting, s)
		}
	}
	clear(c.uploads[len(waiting):])
	c.uploads = waiting
	return budget
}

// takePendingLocked opens the streams that the limit allows.
func (c *Conn) takePendingLocked(t *turn, budget int) {
	for n := 0; n < maxTurnStreams && c.mayOpenLocked(); n++ {
		s := c.pending.pop()
		if c.headerMax > 0 && int64(s.out.size) > c.headerMax {
			c.finishLocked(s, s.fails(errRequestTooLarge))
			continue
		}
		s.id, s.window, s.room = c.nextID, c.windowMax, c.make.settings.streamRoom()
		c.streams[s.id] = s
		if c.nextID += 2; c.nextID > lastStream {
			c.refuseLocked(errors.New("the connection has no more streams"))
		}
		data, end := c.takeLocked(s, budget)
		budget -= len(data)
		t.pieces = append(t.pieces, piece{s: s, open: true, data: data, end: end})
		c.enlistLocked(s)
		if s.upload != nil {
			go c.feed(s)
		}
	}
}

// flush writes what is encoded, a TLS record's worth at a time: a network that is slow but takes some is not given up.
func (c *Conn) flush(e *encoder) error {
	defer e.reset()
	for rest := e.out; len(rest) > 0; {
		c.mu.Lock()
		if c.err == nil { // else it has a deadline already
			_ = c.nc.SetWriteDeadline(time.Now().Add(c.make.settings.WriteTimeout))
		}
		c.mu.Unlock()
		n, err := c.nc.Write(rest[:min(len(rest), maxRecord)])
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// sayLast tells the server that and why the connection ends, and says whether it could still be told.
func (c *Conn) sayLast(e *encoder) bool {
	c.mu.Lock()
	silent, code := c.silent, c.code
	c.mu.Unlock()
	if silent {
		return false
	}
	e.goAway(code)
	return c.flush(e) == nil
}

// end closes the connection. TLS would try for 5 s to say farewell to a server that can't be told anything.
func (c *Conn) end(told bool) {
	if secure, ok := c.nc.(interface{ NetConn() net.Conn }); ok && !told {
		_ = secure.NetConn().Close()
	}
	_ = c.nc.Close() // nobody needs it any more
}

// encoder turns what the writer takes into bytes.
type encoder struct {
	make   *maker
	out    []byte
	framer *http2.Framer
	table  *table
}

// maxIdleBuffer bounds what an encoder keeps between two turns, in bytes.
const maxIdleBuffer = 256 << 10

func newEncoder(m *maker) *encoder {
	e := &encoder{make: m, table: newTable()}
	e.framer = http2.NewFramer((*output)(e), nil)
	return e
}

// output is an encoder as what its framer writes to.
type output encoder

// Write appends a frame.
func (o *output) Write(b []byte) (int, error) {
	o.out = append(o.out, b...)
	return len(b), nil
}

func (e *encoder) reset() {
	if cap(e.out) > maxIdleBuffer {
		e.out = nil
	}
	e.out = e.out[:0]
}

// The framer's errors are those of the output, which has none, and of frames that HTTP/2 does not have, which are not
// made here.

func (e *encoder) preface() {
	s := &e.make.settings
	e.out = append(e.out, http2.ClientPreface...)
	_ = e.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(s.streamRoom())},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(s.MaxHeader)},
	)
	_ = e.framer.WriteWindowUpdate(0, connRoom-initialWindow)
}

func (e *encoder) goAway(code http2.ErrCode) { _ = e.framer.WriteGoAway(0, code, nil) }

func (e *encoder) encode(t *turn) {
	for i := range t.control {
		e.frame(&t.control[i])
	}
	for i := range t.pieces {
		e.piece(&t.pieces[i])
	}
}

func (e *encoder) frame(f *control) {
	switch f.kind {
	case ackSettings:
		e.table.resize(f.table)
		_ = e.framer.WriteSettingsAck()
	case ping, pong:
		_ = e.framer.WritePing(f.kind == pong, f.data)
	case resetStream:
		_ = e.framer.WriteRSTStream(f.stream, f.code)
	case giveRoom:
		_ = e.framer.WriteWindowUpdate(f.stream, f.room)
	}
}

// maxFrame is how much goes into a frame: what every server takes; RFC 9113, section 4.2.
const maxFrame = 16384

func (e *encoder) piece(p *piece) {
	if p.open {
		e.header(p.s, p.end && len(p.data) == 0)
	}
	data := p.data
	for first := !p.open; first || len(data) > 0; first = false {
		n := min(len(data), maxFrame)
		_ = e.framer.WriteData(p.s.id, p.end && n == len(data), data[:n])
		data = data[n:]
	}
	if p.end {
		e.make.sent(p.s.out)
		p.s.out = nil
		p.s.encoded.Store(true)
	}
}

func (e *encoder) header(s *stream, end bool) {
	block := e.table.block(s.out)
	n := min(len(block), maxFrame)
	_ = e.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block),
	})
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(len(block), maxFrame)
		_ = e.framer.WriteContinuation(s.id, n == len(block), block[:n])
	}
}
