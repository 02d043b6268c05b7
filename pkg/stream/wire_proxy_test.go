package stream

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go/protocol"
)

// wire stands between clients and one node, and can do to a request what networks do.
type wire struct {
	ln     net.Listener
	target string

	mu     sync.Mutex
	faults []*fault
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

// fault is what happens to requests of one kind that name a topic.
type fault struct {
	api   protocol.ApiKey
	topic string
	times int             // how often
	lose  bool            // the broker gets the request, and the client no reply
	hold  <-chan struct{} // the client gets its reply when this is closed
	hits  int
}

// newWire listens, on nothing's behalf until connect.
func newWire(t *testing.T) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, conns: map[net.Conn]bool{}}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		w.mu.Lock()
		for c := range w.conns {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.wg.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.ln.Addr().String() }

// connect names the node behind it.
func (w *wire) connect(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}

func (w *wire) accept() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.conns[c] = true
		w.mu.Unlock()
		w.wg.Go(func() {
			w.serve(c)
			_ = c.Close()
			w.mu.Lock()
			delete(w.conns, c)
			w.mu.Unlock()
		})
	}
}

// serve passes one request after the other, each with its reply.
func (w *wire) serve(client net.Conn) {
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	node, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer node.Close()
	w.mu.Lock()
	w.conns[node] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.conns, node)
		w.mu.Unlock()
	}()
	for {
		req, err := frame(client)
		if err != nil {
			return
		}
		f := w.strike(req)
		if _, err := node.Write(req); err != nil {
			return
		}
		res, err := frame(node)
		if err != nil {
			return
		}
		if f != nil && f.hold != nil {
			<-f.hold
		}
		if f != nil && f.lose {
			return
		}
		if _, err := client.Write(res); err != nil {
			return
		}
	}
}

// strike finds the fault of a request.
func (w *wire) strike(req []byte) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		api := protocol.ApiKey(binary.BigEndian.Uint16(req[4:]))
		if api == f.api && f.hits < f.times && bytes.Contains(req, []byte(f.topic)) {
			f.hits++
			return f
		}
	}
	return nil
}

func (w *wire) inject(f *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, f)
}

// struck is how often a fault has happened.
func (w *wire) struck(f *fault) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return f.hits
}

// frame reads a request or a reply whole, its size in front.
func frame(r io.Reader) ([]byte, error) {
	b := make([]byte, 4)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	b = append(b, make([]byte, binary.BigEndian.Uint32(b))...)
	_, err := io.ReadFull(r, b[4:])
	return b, err
}
