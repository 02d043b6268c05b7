package apns

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// maxUnwritten bounds what a wire holds that the connection below has not taken yet, in bytes. A writer waits above it.
const maxUnwritten = 256 << 10

// wire is a connection that joins writes: what comes while one is under way goes out as one after it. net/http writes
// a push in two pieces, each of which would be encrypted and handed to the kernel by itself. An error of writing comes
// with a later call, and ends the connection. Safe for concurrent use, as any [net.Conn].
type wire struct {
	net.Conn
	timeout time.Duration // of one write
	ended   func(error)   // told how reading ended; net/http does not always pass that on

	mu        sync.Mutex
	changed   sync.Cond // on mu: unwritten shrank, or err was set
	unwritten []byte
	err       error         // of writing; set once
	more      chan struct{} // something is unwritten, or the wire is closed
	done      chan struct{} // the writing goroutine has ended
}

func newWire(below net.Conn, timeout time.Duration, ended func(error)) *wire {
	w := &wire{Conn: below, timeout: timeout, ended: ended, more: make(chan struct{}, 1), done: make(chan struct{})}
	w.changed.L = &w.mu
	go w.write()
	return w
}

// Read passes on what comes.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.ended(err)
	}
	return n, err
}

// Write keeps a copy of b.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	for w.err == nil && len(w.unwritten) > 0 && len(w.unwritten)+len(b) > maxUnwritten {
		w.changed.Wait()
	}
	if w.err != nil {
		w.mu.Unlock()
		return 0, w.err
	}
	first := len(w.unwritten) == 0
	w.unwritten = append(w.unwritten, b...)
	w.mu.Unlock()
	if first {
		w.wake()
	}
	return len(b), nil
}

func (w *wire) wake() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// write runs until the wire is closed or broken.
func (w *wire) write() {
	defer close(w.done)
	var spare []byte
	for range w.more {
		runtime.Gosched() // who is ready to write does so first, and goes along
		w.mu.Lock()
		batch, err := w.unwritten, w.err
		w.unwritten = spare[:0]
		w.mu.Unlock()
		spare = batch // the two change places, also where there was nothing to write
		if err != nil {
			return
		}
		if len(batch) == 0 {
			continue
		}
		if err = w.SetWriteDeadline(time.Now().Add(w.timeout)); err == nil {
			_, err = w.Conn.Write(batch)
		}
		if err != nil {
			w.fail(err)
			_ = w.Conn.Close() // so that reading ends too; the first error says more
			return
		}
		w.changed.Broadcast()
	}
}

// fail keeps the first error, for the writers.
func (w *wire) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.changed.Broadcast()
}

// Close ends writing; what is unwritten is lost.
func (w *wire) Close() error {
	w.fail(net.ErrClosed)
	w.wake()
	err := w.Conn.Close()
	<-w.done
	return err
}
