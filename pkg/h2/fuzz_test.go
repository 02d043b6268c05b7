package h2_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// FuzzFrames lets a peer say anything, after settings that are in order or at once, and then end or fall silent. Every
// caller gets an end, a response is one that HTTP has, and nothing is left behind, which the bubble sees to. The corpus in
// testdata holds what the attacks of this suite write, and what fuzzing found.
func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, settings, ends bool, said []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, p := connectRoom(t, own, impatient, len(said)+pipeRoom)
			if settings {
				p.greet(window(2), limit(3))
			}
			ctx, cancel := context.WithCancel(t.Context())
			calls := []*call{get(t, c, "/waits")}
			synctest.Wait()
			calls = append(calls, post(t, c, "/sends", "more than the window"))
			synctest.Wait()
			calls = append(calls, start(c, request(t, http.MethodGet, "/over", nil).WithContext(ctx)))
			synctest.Wait()
			cancel()
			calls = append(calls, get(t, c, "/has no stream"))
			synctest.Wait()

			_, _ = p.conn.Write(said)
			synctest.Wait()
			if ends {
				p.conn.Close()
			}
			p.silent = true
			for i, k := range calls {
				if p.wait(k); k.err == nil && (k.response.StatusCode < 200 || k.response.StatusCode > 999) {
					t.Errorf("call %d got status %d", i, k.response.StatusCode)
				}
			}
			if c.InFlight() != 0 {
				t.Errorf("%d are in flight though every caller has an end", c.InFlight())
			}
			own.takesNone(t, c)
		})
	})
}

// FuzzHeaders lets a peer answer by a header list of any bytes, in frames of any size.
func FuzzHeaders(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame uint8, trailers bool, block []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, p := greeted(t, own, impatient)
			k := get(t, c, "/")
			p.settle()
			if trailers {
				p.head(1, false, ":status", "200")
			}
			n := min(int(frame)+1, len(block))
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:n], EndStream: true, EndHeaders: n == len(block)})
			for block = block[n:]; len(block) > 0; block = block[n:] {
				n = min(int(frame)+1, len(block))
				_ = p.WriteContinuation(1, n == len(block), block[:n])
			}
			p.settle()
			if !k.over() {
				t.Fatal("the caller waits still")
			}
			if k.err == nil && (k.response.StatusCode < 200 || k.response.StatusCode > 999) {
				t.Errorf("got status %d", k.response.StatusCode)
			}
		})
	})
}
