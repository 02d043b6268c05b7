package apns

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wired gives a wire, and what it is connected to.
func wired(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	below, peer := net.Pipe()
	w := newWire(below, time.Minute, func(error) {})
	t.Cleanup(func() {
		w.Close()
		peer.Close()
	})
	return w, peer
}

func TestAWireJoinsWhatComesWhileItWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, peer := wired(t)
		for _, piece := range []string{"one ", "two ", "three"} {
			if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait() // the first one is under way now, and nobody reads
		}
		buffer := make([]byte, 100)
		for _, want := range []string{"one ", "two three"} {
			n, err := peer.Read(buffer)
			if got := string(buffer[:n]); got != want || err != nil {
				t.Errorf("got %q, %v, want %q in one", got, err, want)
			}
		}
	})
}

func TestAWireKeepsTheOrderOfEachWriter(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 2000
	w, peer := wired(t)
	var writing sync.WaitGroup
	for writer := range writers {
		writing.Go(func() {
			for round := range rounds {
				piece := bytes.Repeat([]byte{byte(writer)}, 3)
				piece[1], piece[2] = byte(round), byte(round>>8)
				if _, err := w.Write(piece); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var next [writers]int
	piece := make([]byte, 3)
	for range writers * rounds {
		if _, err := io.ReadFull(peer, piece); err != nil {
			t.Fatal(err)
		}
		if int(piece[0]) >= writers || int(piece[1])|int(piece[2])<<8 != next[piece[0]] {
			t.Fatalf("got %v where writer %d is at %d", piece, piece[0], next[piece[0]%writers])
		}
		next[piece[0]]++
	}
	writing.Wait()
}

func TestAWireHoldsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(t)
		written := 0
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				n, err := w.Write(make([]byte, 16<<10))
				if err != nil {
					return
				}
				written += n
			}
		})
		synctest.Wait()
		if written > maxUnwritten+16<<10 { // one is under way
			t.Errorf("took %d bytes that nobody reads, want at most %d", written, maxUnwritten)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		writing.Wait() // who waited for room is told
		if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after close: got %v", err)
		}
	})
}

func TestAWireThatNobodyReadsBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(t)
		began := time.Now()
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Read(make([]byte, 1)); err == nil {
			t.Error("reading goes on")
		}
		if took := time.Since(began); took != w.timeout {
			t.Errorf("broke after %s, want %s", took, w.timeout)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a later write: got %v", err)
		}
	})
}
