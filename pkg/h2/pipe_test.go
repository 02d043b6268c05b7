package h2_test

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeRoom is about what a kernel keeps of a loopback connection that is not read.
const pipeRoom = 256 << 10

// end is one end of a connection in memory. Unlike net.Pipe it keeps what was written and is not read yet, and unlike
// a socket it may be waited for in a synctest bubble. Safe for concurrent use.
type end struct {
	in, out *half
}

// pipe returns the two ends of a connection, each of which may be ahead of the other's reading by room bytes.
func pipe(room int) (client, server *end) {
	up, down := newHalf(room), newHalf(room)
	return &end{in: down, out: up}, &end{in: up, out: down}
}

func (e *end) Read(b []byte) (int, error)         { return e.in.read(b) }
func (e *end) Write(b []byte) (int, error)        { return e.out.write(b) }
func (e *end) LocalAddr() net.Addr                { return pipeAddr{} }
func (e *end) RemoteAddr() net.Addr               { return pipeAddr{} }
func (e *end) SetReadDeadline(t time.Time) error  { e.in.reader.set(e.in, t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.out.writer.set(e.out, t); return nil }

func (e *end) SetDeadline(t time.Time) error {
	e.in.reader.set(e.in, t)
	e.out.writer.set(e.out, t)
	return nil
}

// Close lets the other end read what is on its way, then io.EOF.
func (e *end) Close() error {
	e.in.change(func() { e.in.readerGone = true })
	e.out.change(func() { e.out.writerGone = true })
	return nil
}

// ready says whether a read would return at once: with bytes, or with the connection's end.
func (e *end) ready() bool {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	return len(e.in.data) > 0 || e.in.writerGone || e.in.readerGone
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// half is one direction. The deadlines, as the rest, are under its lock.
type half struct {
	room int

	mu         sync.Mutex
	changed    sync.Cond // on mu
	data       []byte
	readerGone bool
	writerGone bool
	reader     deadline
	writer     deadline
}

func newHalf(room int) *half {
	h := &half{room: room}
	h.changed.L = &h.mu
	return h
}

func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.changed.Broadcast()
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerGone:
			return 0, net.ErrClosed
		case h.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.data) > 0:
			n := copy(b, h.data)
			h.data = h.data[n:]
			h.changed.Broadcast()
			return n, nil
		case h.writerGone:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.writerGone:
			return n, net.ErrClosed
		case h.readerGone:
			return n, io.ErrClosedPipe
		case h.writer.passed():
			return n, os.ErrDeadlineExceeded
		}
		k := min(len(b)-n, h.room-len(h.data))
		h.data = append(h.data, b[n:n+k]...)
		n += k
		if k > 0 {
			h.changed.Broadcast()
		}
		if n == len(b) {
			return n, nil
		}
		h.changed.Wait()
	}
}

// deadline of one side of a half.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(h *half, at time.Time) {
	h.change(func() {
		d.at = at
		if d.timer != nil {
			d.timer.Stop()
		}
		if !at.IsZero() {
			d.timer = time.AfterFunc(time.Until(at), func() { h.change(func() {}) })
		}
	})
}
