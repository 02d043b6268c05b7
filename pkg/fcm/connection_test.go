package fcm

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// wire is a network that can stand still and break, and counts what is written to it.
type wire struct {
	net.Conn
	gate   chan struct{} // holds what the network's one writer needs
	writes int
	broken error
}

func (w *wire) stop()  { <-w.gate }
func (w *wire) start() { w.gate <- struct{}{} }

func (w *wire) Write(p []byte) (int, error) {
	<-w.gate
	defer w.start()
	w.writes++
	if w.broken != nil {
		return 0, w.broken
	}
	return w.Conn.Write(p)
}

var errBroken = errors.New("broken")

// wired is a connection, the network under it and the server's end.
func wired(t *testing.T) (*connection, *wire, net.Conn) {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	under := &wire{Conn: near, gate: make(chan struct{}, 1)}
	under.start()
	client := tls.Client(under, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true})
	var both sync.WaitGroup
	both.Go(func() {
		if err := server.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	tr := &transport{open: make(map[*connection]struct{})}
	c := newConnection(client, tr)
	t.Cleanup(func() {
		_ = far.Close()
		_ = c.Close()
		tr.writers.Wait()
	})
	return c, under, server
}

func TestConnectionWritesWhatIsQueuedInOnePiece(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, under, server := wired(t)
		under.stop() // the network stands still
		var want bytes.Buffer
		for i := range 200 {
			piece := bytes.Repeat([]byte{byte(i)}, 50)
			want.Write(piece)
			if n, err := c.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
			if i == 0 {
				synctest.Wait() // the first is on its way alone
			}
		}
		before := under.writes
		under.start()
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(server, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Error("the pieces arrive in another order")
		}
		synctest.Wait()
		if writes := under.writes - before; writes != 2 {
			t.Errorf("%d writes for 200 pieces, want 2", writes)
		}
	})
}

func TestConnectionHoldsWritersBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, under, server := wired(t)
		under.stop()
		const pieces = 20
		piece := make([]byte, 16<<10)
		var taken atomic.Int64
		go func() {
			for range pieces {
				if _, err := c.Write(piece); err != nil {
					t.Error(err)
				}
				taken.Add(1)
			}
		}()
		synctest.Wait()
		// Four at most are on their way, four fill the queue.
		if got := taken.Load(); got > 8 {
			t.Errorf("%d pieces of %d bytes taken by a network that stands still", got, len(piece))
		}
		under.start()
		if _, err := io.CopyN(io.Discard, server, pieces*int64(len(piece))); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := taken.Load(); got != pieces {
			t.Errorf("%d pieces taken, want %d", got, pieces)
		}
	})
}

func TestConnectionEndsWithTheNetwork(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*wire){
		"it breaks":        func(w *wire) { w.broken = errBroken },
		"it takes nothing": func(*wire) {}, // nobody reads on the other side
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, under, _ := wired(t)
				end(under)
				if _, err := c.Write([]byte("lost")); err != nil {
					t.Errorf("the first: %v", err)
				}
				time.Sleep(writeLimit + time.Second)
				if _, err := c.Write([]byte("more")); err == nil {
					t.Error("took more after the end")
				}
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("reads on: the requests would wait for answers that cannot come")
				}
			})
		})
	}
}
