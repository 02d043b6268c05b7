package wire

import (
	"bytes"
	"container/heap"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// writer is the writing half of a connection: it holds back the replies that are not due, and writes all that are due
// at once.
type writer struct {
	c    *Conn
	wake chan struct{}

	// The writing goroutine's alone.
	buffer  bytes.Buffer
	framer  *http2.Framer
	block   []byte
	date    dateCache
	ended   int         // streams that ended since the last write
	silent  bool        // nothing is written any more
	cut     bool        // the connection is reset after what is written
	hangup  bool        // the connection ends after what is written
	blocked []*exchange // due, and longer than the client's window

	mu      sync.Mutex
	closed  bool
	tasks   []task
	waiting waiting
	held    map[uint32]*exchange // waiting, or hanging for ever
	window  int64                // of the connection
	initial int64                // window of each stream
}

// task is something to write: a reply, or frames of the connection.
type task struct {
	ex      *exchange // nil = control
	control func(*writer)
}

func newWriter(c *Conn) *writer {
	w := &writer{
		c: c, wake: make(chan struct{}, 1), held: make(map[uint32]*exchange),
		window: 65535, initial: 65535, // as RFC 9113 has them until the client says more
	}
	w.framer = http2.NewFramer(&w.buffer, nil)
	return w
}

// post makes the writing goroutine run f, which writes frames. false = too much waits.
func (w *writer) post(f func(*writer)) bool {
	w.mu.Lock()
	if !w.closed {
		w.tasks = append(w.tasks, task{control: f})
	}
	full := len(w.tasks) > maxControls
	w.mu.Unlock()
	w.rouse()
	return !full
}

func (w *writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// add takes requests that are served.
func (w *writer) add(served []*exchange) {
	w.mu.Lock()
	for _, ex := range served {
		r := &ex.reply
		if r.GoAway != nil {
			w.tasks = append(w.tasks, task{control: func(w *writer) { w.goAway(r.GoAway, ex.stream) }})
		}
		if r.Streams > 0 {
			w.tasks = append(w.tasks, task{control: func(w *writer) { w.setStreams(r.Streams) }})
		}
		switch {
		case r.Do == Hang:
			w.held[ex.stream] = ex
		case r.Do == Silence:
			w.held[ex.stream] = ex
			w.tasks = append(w.tasks, task{control: (*writer).hush})
		case !ex.due.IsZero():
			w.held[ex.stream] = ex
			heap.Push(&w.waiting, ex)
		default:
			w.tasks = append(w.tasks, task{ex: ex})
		}
	}
	w.mu.Unlock()
	w.rouse()
}

// open counts a stream as open. false = it is refused, or comes after the end.
func (w *writer) open(stream uint32) bool {
	if w.c.gone.Load() < stream {
		return false // RFC 9113 lets a server ignore what comes after its farewell
	}
	w.mu.Lock()
	w.c.highest = stream
	full := w.c.open >= int(w.c.limit())
	if !full {
		w.c.open++
	}
	w.mu.Unlock()
	if full {
		w.c.server.cfg.Traffic.Refused()
		w.post(func(w *writer) { _ = w.framer.WriteRSTStream(stream, http2.ErrCodeRefusedStream) })
		return false
	}
	w.c.flow.Add(1)
	return true
}

// limit is how many streams the client may open: the most of what it may still believe. Under out.mu.
func (c *Conn) limit() uint32 {
	most := c.limits[0]
	for _, n := range c.limits[1:] {
		most = max(most, n)
	}
	return most
}

// acknowledged makes the oldest limit that was told the one in force.
func (w *writer) acknowledged() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.c.limits) > 1 {
		w.c.limits = w.c.limits[1:]
	}
}

// credit extends the connection's window.
func (w *writer) credit(n int64) {
	w.mu.Lock()
	w.window += n
	w.mu.Unlock()
	w.rouse()
}

// streamWindow is the client's window of each stream.
func (w *writer) streamWindow(n int64) {
	w.mu.Lock()
	w.initial = n
	w.mu.Unlock()
	w.rouse()
}

// abandon ends a stream that the client has reset. Its push stands in the ledger all the same: what a provider has
// accepted it delivers, whether the sender waits for the answer or not.
func (w *writer) abandon(stream uint32, unread bool) {
	w.mu.Lock()
	ex := w.held[stream]
	delete(w.held, stream)
	if ex != nil {
		ex.over = true
		if ex.at >= 0 {
			heap.Remove(&w.waiting, ex.at)
		}
	}
	if ex != nil || unread {
		w.c.open--
	}
	w.mu.Unlock()
	if ex != nil {
		w.c.server.record(&ex.request, &ex.reply.Line)
	}
	if ex != nil || unread {
		w.c.flow.Add(-1)
	}
	w.rouse() // a connection that is leaving may be done
}

// close ends the writing goroutine.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.rouse()
}

// run writes until close, and then records what was never answered.
func (w *writer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		tasks, closed := w.collect(time.Now())
		if closed {
			w.abandonAll(tasks)
			return
		}
		w.retry()
		for _, t := range tasks {
			if t.control != nil {
				t.control(w)
			} else {
				w.reply(t.ex)
			}
		}
		if !w.flush() {
			w.c.raw.Close() // ends the reader, which closes the writer
		}
		if wait := w.untilDue(); wait > 0 {
			timer.Reset(wait)
			select {
			case <-w.wake:
			case <-timer.C:
			}
		}
	}
}

// collect takes what is to be written now.
func (w *writer) collect(now time.Time) (tasks []task, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tasks = w.tasks
	w.tasks = nil
	for len(w.waiting) > 0 && !w.waiting[0].due.After(now) {
		ex := heap.Pop(&w.waiting).(*exchange) // nothing else is pushed
		delete(w.held, ex.stream)
		tasks = append(tasks, task{ex: ex})
	}
	return tasks, w.closed
}

// untilDue is how long there is nothing to do, unless the writer is woken; 0 = there is something.
func (w *writer) untilDue() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.tasks) > 0 || w.closed:
		return 0
	case len(w.waiting) > 0:
		return time.Until(w.waiting[0].due)
	}
	return time.Hour
}

// abandonAll records what was never answered.
func (w *writer) abandonAll(tasks []task) {
	w.mu.Lock()
	left := w.blocked
	for _, ex := range w.held {
		left = append(left, ex)
	}
	w.mu.Unlock()
	for _, t := range tasks {
		if t.ex != nil {
			left = append(left, t.ex)
		}
	}
	for _, ex := range left {
		if !ex.over && ex.stream <= w.c.gone.Load() {
			w.c.server.record(&ex.request, &ex.reply.Line)
		}
	}
}

// retry writes the replies for which there was no room.
func (w *writer) retry() {
	blocked := w.blocked
	w.blocked = nil
	for _, ex := range blocked {
		w.reply(ex)
	}
}

// reply writes a reply, where there is room.
func (w *writer) reply(ex *exchange) {
	switch {
	case ex.over:
		return
	case w.c.gone.Load() < ex.stream: // it was not looked at
	case w.silent || w.cut:
		w.c.server.record(&ex.request, &ex.reply.Line)
	case ex.reply.Do == Answer && !w.afford(len(ex.reply.Body)):
		w.blocked = append(w.blocked, ex)
		return
	default:
		w.c.server.record(&ex.request, &ex.reply.Line)
		w.write(ex)
	}
	ex.over = true
	w.ended++
}

// afford takes n bytes from the connection's window. A stream whose whole window is smaller waits until the client
// makes it larger for all.
func (w *writer) afford(n int) bool {
	if n == 0 {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if int64(n) > w.window || int64(n) > w.initial {
		return false
	}
	w.window -= int64(n)
	return true
}

// write appends a reply's frames to the buffer.
func (w *writer) write(ex *exchange) {
	r := &ex.reply
	switch r.Do {
	case Reset:
		_ = w.framer.WriteRSTStream(ex.stream, r.Code)
	case Refuse:
		_ = w.framer.WriteRSTStream(ex.stream, http2.ErrCodeRefusedStream)
	case Answer, Cut:
		w.block = appendStatus(w.block[:0], r.Status)
		for _, f := range r.Header {
			w.block = appendField(w.block, f.Name, f.Value)
		}
		if r.HTTPDate {
			w.block = appendField(w.block, "date", w.date.text(w.c.server.cfg.Now()))
		}
		end := len(r.Body) == 0 && r.Do == Answer
		_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: ex.stream, BlockFragment: w.block, EndHeaders: true, EndStream: end})
		if r.Do == Cut {
			w.cut = true
			return
		}
		if !end {
			_ = w.framer.WriteData(ex.stream, true, r.Body)
		}
	case Hang, Silence: // never due
	}
}

// farewell is how long a connection that has ended is read for the client's own end of it, so that what was written last
// is not lost by a reset.
const farewell = time.Second

// flush writes the buffer to the connection. false = the connection is to be closed.
func (w *writer) flush() bool {
	w.mu.Lock()
	w.c.open -= w.ended
	done := w.c.gone.Load() != everyStream && w.c.open == 0 // all that came before the GOAWAY is answered
	w.mu.Unlock()
	if w.ended > 0 {
		w.c.flow.Add(-w.ended)
		w.ended = 0
	}
	if !w.send() {
		return false
	}
	if w.cut {
		if tcp, ok := w.c.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // makes the close a reset
		}
		return false
	}
	if (w.hangup || done) && !w.silent {
		w.silent = true
		_ = w.c.raw.SetReadDeadline(time.Now().Add(farewell)) // fails only on a closed connection
		return w.c.conn.CloseWrite() == nil
	}
	return true
}

// send writes the buffer to the connection.
func (w *writer) send() bool {
	defer w.buffer.Reset()
	if w.buffer.Len() == 0 || w.silent {
		return true
	}
	_, err := w.c.conn.Write(w.buffer.Bytes())
	return err == nil
}

// hush writes what came before, and then nothing any more.
func (w *writer) hush() {
	w.send()
	w.silent = true
}

// The frames of a connection, which its controls write.

func (w *writer) greet(streams uint32) {
	w.setLimit(streams)
	_ = w.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: streams},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxRequestBody},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderBytes},
	)
	_ = w.framer.WriteWindowUpdate(0, connWindow-65535)
}

func (w *writer) setStreams(n uint32) {
	if w.c.Streams() == n {
		return
	}
	w.setLimit(n)
	_ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n})
}

// setLimit remembers a limit until the client acknowledges it.
func (w *writer) setLimit(n uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.c.limits) < maxControls {
		w.c.limits = append(w.c.limits, n)
	}
}

// goAway says farewell because of a stream, or of none (0).
func (w *writer) goAway(g *GoAway, stream uint32) {
	if w.c.gone.Load() != everyStream {
		return
	}
	var debug []byte
	if g.Reason != "" {
		debug = append(strconv.AppendQuote([]byte(`{"reason":`), g.Reason), '}')
	}
	last := w.leave(g.Last, stream)
	_ = w.framer.WriteGoAway(last, g.Code, debug)
	w.c.server.cfg.Traffic.WentAway()
	w.hangup = g.Close
}

// leave names the last stream, and forgets those above it: they were not looked at, and the client sends them again
// elsewhere.
func (w *writer) leave(which Last, stream uint32) (last uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case which == LastNone:
	case which == LastBefore && stream > 0:
		last = max(stream, 2) - 2
	default:
		last = w.c.highest
	}
	w.c.gone.Store(last)
	dropped := 0
	for id, ex := range w.held {
		if id > last {
			ex.over = true
			delete(w.held, id)
			dropped++
		}
	}
	w.ended += dropped
	return last
}

// dateCache is the text of the present second.
type dateCache struct {
	second int64
	date   string
}

func (d *dateCache) text(now time.Time) string {
	if second := now.Unix(); second != d.second || d.date == "" {
		d.second, d.date = second, now.UTC().Format(http.TimeFormat)
	}
	return d.date
}
