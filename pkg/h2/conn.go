package h2

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	// unknownLimit is how many streams a connection opens before the server's settings came; RFC 9113, section 6.5.2,
	// advises a server to allow no fewer.
	unknownLimit = 100
	// lastStream is the highest id of a stream; RFC 9113, section 5.1.1.
	lastStream = 1<<31 - 1
	// lastWords is how long a connection that ends tries to tell the server why.
	lastWords = time.Second
)

// Conn is one HTTP/2 connection to a server. Safe for concurrent use.
type Conn struct {
	nc    net.Conn
	tls   *tls.ConnectionState // nil = not encrypted
	make  *maker
	hooks hooks
	began time.Time
	heard atomic.Int64 // when something was read last, in nanoseconds since began
	load  atomic.Int64 // requests that wait or run, and streams that are held
	ended sync.WaitGroup

	heardAll chan struct{} // nothing is read any more

	mu       sync.Mutex
	err      error // why the connection takes no requests any more, and is cut
	refusal  error // why it takes none, but finishes what it carries
	mute     error // why it can't be written to any more, though what the server said is still read
	silent   bool  // it is cut without a last word
	code     http2.ErrCode
	freed    bool // something changed that the hook is to know
	answered bool // the first answer came
	goAway   *GoAwayError

	work     sync.Cond // on mu: the writer has something to do
	idle     bool      // the writer waits for work
	pending  queue     // of requests that wait for a stream
	streams  map[uint32]*stream
	nextID   uint32
	uploads  []*stream // whose body can go on, in the order of asking
	bare     int       // of uploads, those that are only to be ended
	window   int64     // bytes of DATA that the server takes
	held     held
	control  []control
	provoked int // of control, what the server caused

	settled   bool  // the server's settings came
	known     bool  // the server has acknowledged ours
	streamMax int64 // of the server
	windowMax int64 // with which a stream begins, of the server
	headerMax int64 // bytes of a header list, of the server; 0 = any

	room      int64 // bytes of DATA that the server may still send
	unclaimed int64 // received, for which no room was given back
	buffered  int   // bytes of the responses that are not whole

	alarm   *time.Timer // of the watch
	pinging bool        // a ping is queued, or out
	asked   time.Time   // when it was written; zero = it is not yet
	pingID  uint64      // of the newest ping
}

// hooks are how a pool follows its connections. They are called without the connection's lock.
type hooks struct {
	changed func(*Conn) // streams became free, or the connection takes no more of them
	closed  func(*Conn) // once: the connection's goroutines have ended
}

// NewConn starts HTTP/2 on a connection that was set up for it, and owns it from then on. The connection must be closed
// at the end.
func NewConn(nc net.Conn, settings Settings) *Conn {
	return newConn(nc, newMaker(settings), hooks{changed: func(*Conn) {}, closed: func(*Conn) {}})
}

func newConn(nc net.Conn, m *maker, hooks hooks) *Conn {
	c := &Conn{
		nc: nc, make: m, hooks: hooks,
		began:     time.Now(),
		streams:   make(map[uint32]*stream),
		nextID:    1,
		window:    initialWindow,
		windowMax: initialWindow,
		streamMax: unknownLimit,
		room:      connRoom,
		heardAll:  make(chan struct{}),
	}
	c.work.L = &c.mu
	if secure, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := secure.ConnectionState()
		c.tls = &state
	}
	c.mu.Lock() // the watch may run at once
	c.alarm = time.AfterFunc(m.settings.PingAfter, c.watch)
	c.mu.Unlock()
	c.ended.Add(1)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	go func() {
		defer c.ended.Done()
		c.read()
		close(c.heardAll)
		<-written
		hooks.closed(c)
	}()
	return c
}

// RoundTrip sends a request, once, and returns its response when it is whole, or an [*Error]. It waits for a stream where
// none is free. A response that breaks off after its header is returned too, and the error comes with its body.
func (c *Conn) RoundTrip(r *http.Request) (*http.Response, error) {
	s, err := c.make.stream(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.submitLocked(s)
	c.unlock()
	s.await(r.Context(), c.cancel)
	s.close()
	return s.answer(r)
}

// Available is how many requests the connection could start at once; 0 where it takes no more of them.
func (c *Conn) Available() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.availableLocked()
}

// InFlight is how many requests it carries, those that wait for a stream included.
func (c *Conn) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams) + c.pending.length
}

// Err is nil as long as the connection takes requests; then it is why not.
func (c *Conn) Err() error {
	_, err := c.state()
	return err
}

// Retire lets the connection take no more requests, and closes it when those that it carries have ended.
func (c *Conn) Retire() {
	c.mu.Lock()
	if c.refusal == nil {
		c.refusal = fmt.Errorf("retired: %w", ErrClosed)
	}
	c.closeUnusedLocked()
	c.unlock()
}

// Close cuts the connection; requests on it end with an error. It returns when its goroutines have ended.
func (c *Conn) Close() error {
	c.cut()
	c.ended.Wait()
	return nil
}

func (c *Conn) cut() {
	c.mu.Lock()
	c.failLocked(ErrClosed, http2.ErrCodeNo)
	c.unlock()
}

// unlock tells the hook what has changed, too.
func (c *Conn) unlock() {
	tell := c.freed
	c.freed = false
	c.mu.Unlock()
	if tell {
		c.hooks.changed(c)
	}
}

// offer takes a stream, from the queue that it waits in, where it can be opened at once.
func (c *Conn) offer(s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.availableLocked() <= 0 {
		return false
	}
	s.queue.remove(s)
	c.submitLocked(s)
	return true
}

func (c *Conn) hasAnswered() bool {
	answered, _ := c.state()
	return answered
}

// isProven says whether the connection is known to work, so that a second one beside it is no attempt in the dark: by its
// first answer where it takes few requests until then, else by the server's settings.
func (c *Conn) isProven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered || c.settled && c.make.settings.FirstStreams == 0
}

// state says whether an answer has come, and is an error where the connection takes no more requests.
func (c *Conn) state() (answered bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.answered, c.err
	}
	return c.answered, c.refusal
}

// submitLocked queues a stream, or ends it where it can't be.
func (c *Conn) submitLocked(s *stream) {
	s.conn = c
	c.load.Add(1)
	switch {
	case c.err != nil:
		c.finishLocked(s, s.fails(c.err))
	case c.refusal != nil:
		c.finishLocked(s, s.fails(c.refusal))
	case c.pending.length >= c.make.settings.MaxQueued:
		c.finishLocked(s, s.fails(ErrBusy))
	default:
		c.pending.push(s)
		c.wakeLocked()
	}
}

// limitLocked is how many streams may be open.
func (c *Conn) limitLocked() int {
	limit := min(c.streamMax, int64(c.make.settings.MaxStreams))
	if first := c.make.settings.FirstStreams; first > 0 && !c.answered {
		limit = min(limit, int64(first))
	}
	return int(limit)
}

func (c *Conn) availableLocked() int {
	if c.err != nil || c.refusal != nil {
		return 0
	}
	return max(c.limitLocked()-c.openLocked()-c.pending.length, 0)
}

// openLocked is how many streams are open in the server's eyes, as far as is known.
func (c *Conn) openLocked() int { return len(c.streams) + c.held.count() }

// wakeLocked lets the writer look again.
func (c *Conn) wakeLocked() {
	if c.idle {
		c.idle = false
		c.work.Signal()
	}
}

// refuseLocked lets no further stream be opened; those that wait for one end.
func (c *Conn) refuseLocked(cause error) {
	if c.refusal == nil {
		c.refusal = cause
	}
	c.freed = true
	for c.pending.length > 0 {
		s := c.pending.first
		c.finishLocked(s, s.fails(cause))
	}
}

// cancel ends a stream for a reason of this side.
func (c *Conn) cancel(s *stream, cause error) {
	c.mu.Lock()
	if !s.ended {
		c.resetLocked(s, http2.ErrCodeCancel, cause)
	}
	c.unlock()
}

// resetLocked ends a stream, and tells the server where it has been opened.
func (c *Conn) resetLocked(s *stream, code http2.ErrCode, cause error) {
	if s.id != 0 {
		c.queueLocked(control{kind: resetStream, stream: s.id, code: code})
		c.holdLocked()
	}
	c.finishLocked(s, s.fails(cause))
}

// finishLocked hands a stream back to its caller; err nil = the response is whole.
func (c *Conn) finishLocked(s *stream, err error) {
	s.ended, s.err = true, err
	if s.queue != nil {
		s.queue.remove(s)
	}
	if s.id != 0 {
		delete(c.streams, s.id)
		c.buffered -= len(s.content)
		if s.upload != nil {
			close(s.upload.ended)
		}
	}
	c.load.Add(-1)
	c.freed = true
	s.done <- struct{}{}
	if c.pending.length > 0 {
		c.wakeLocked()
	}
	c.closeUnusedLocked()
}

// closeUnusedLocked ends a connection that takes no requests any more and has none left.
func (c *Conn) closeUnusedLocked() {
	if c.refusal != nil && len(c.streams) == 0 && c.pending.length == 0 {
		c.failLocked(c.refusal, http2.ErrCodeNo)
	}
}

// failLocked ends the connection: the writer says a last word and cuts it, and whoever waits gets the reason.
func (c *Conn) failLocked(err error, code http2.ErrCode) {
	if c.err != nil {
		return
	}
	c.err, c.code, c.freed = err, code, true
	c.alarm.Stop()
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastWords)) // for what is being written, too
	if c.mute != nil {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // who waits for the server's words need not any more
	}
	for c.pending.length > 0 {
		s := c.pending.first
		c.finishLocked(s, s.fails(err))
	}
	for _, s := range c.streams {
		c.finishLocked(s, s.fails(err))
	}
	c.wakeLocked()
}

// lost ends a connection that can't be read or written any more.
func (c *Conn) lost(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.silent = true
		if c.mute != nil && !errors.Is(err, c.mute) {
			err = fmt.Errorf("%w (%w)", err, c.mute)
		}
		c.failLocked(c.withGoAwayLocked(err), http2.ErrCodeNo)
	}
	c.unlock()
}

// withGoAwayLocked adds to an error what the server said before it as it ended the connection.
func (c *Conn) withGoAwayLocked(err error) error {
	if c.goAway == nil {
		return err
	}
	return fmt.Errorf("%w: %w", *c.goAway, err)
}
