package fcm

import (
	"crypto/tls"
	"runtime"
	"sync"
	"time"
)

// maxQueued bounds what waits to be written on a connection: more, and who writes waits.
const maxQueued = 64 << 10

// connection is one that its transport knows until it ends. What is written to it leaves from a goroutine of its own, in
// one piece with all that was written meanwhile: HTTP/2's client writes each request in two parts, and every part
// would cost a TLS record and a system call.
type connection struct {
	*tls.Conn
	transport *transport

	mu      sync.Mutex
	changed sync.Cond // of all below
	queued  []byte
	failure error // why nothing can be written any more
}

// newConnection starts to write what it is given, until it is closed.
func newConnection(conn *tls.Conn, t *transport) *connection {
	c := &connection{Conn: conn, transport: t}
	c.changed.L = &c.mu
	t.writers.Go(c.write)
	return c
}

// Write takes p over. A failure to send it shows as the connection's end.
func (c *connection) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queued) >= maxQueued && c.failure == nil {
		c.changed.Wait()
	}
	if c.failure != nil {
		return 0, c.failure
	}
	c.queued = append(c.queued, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// write sends what is queued, until the connection ends.
func (c *connection) write() {
	var sending []byte
	for {
		c.mu.Lock()
		for len(c.queued) == 0 && c.failure == nil {
			c.changed.Wait()
		}
		c.mu.Unlock()
		runtime.Gosched() // who is about to write goes first, and leaves in the same piece
		c.mu.Lock()
		if c.failure != nil {
			c.mu.Unlock()
			return
		}
		sending, c.queued = c.queued, sending[:0]
		c.changed.Broadcast()
		c.mu.Unlock()

		err := c.SetWriteDeadline(time.Now().Add(writeLimit))
		if err == nil {
			_, err = c.Conn.Write(sending)
		}
		if err != nil {
			c.fail(err)
			_ = c.Close() // half a record is on its way: nobody can read on
			return
		}
	}
}

// fail ends the writing.
func (c *connection) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = err
		c.changed.Broadcast()
	}
}

// Close ends the connection.
func (c *connection) Close() error {
	c.fail(errClosed)
	c.transport.mu.Lock()
	delete(c.transport.open, c)
	c.transport.mu.Unlock()
	return c.Conn.Close()
}
