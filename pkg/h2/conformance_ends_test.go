package h2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

// calls starts a request to each path, in this order.
func calls(t *testing.T, c client, p *peer, paths ...string) map[string]*call {
	t.Helper()
	started := make(map[string]*call)
	for _, path := range paths {
		started[path] = post(t, c, path, "x")
		p.settle()
	}
	return started
}

func TestPingsAreAnsweredInTheirOrder(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		_, p := greeted(t, s, options{})
		var sent [][8]byte
		for i := range 100 {
			sent = append(sent, [8]byte{byte(i), 7: 0xff})
			p.must(p.WritePing(false, sent[i]))
		}
		p.settle()
		if fmt.Sprint(p.pongs) != fmt.Sprint(sent) {
			t.Errorf("got %v", p.pongs)
		}
	})
}

func TestAPeerThatEndsGracefullyAnswersWhatIsBelowItsLastStream(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(4))
		k := calls(t, c, p, "/1", "/3", "/5", "/7", "/waits for a stream")
		p.must(p.WriteGoAway(3, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`)))
		p.settle()
		for _, path := range []string{"/5", "/7", "/waits for a stream"} {
			if !k[path].over() || !s.unprocessed(k[path].err) {
				t.Errorf("%s: over %v, error %v", path, k[path].over(), k[path].err)
			}
		}
		s.takesNone(t, c)
		late := get(t, c, "/late")
		if late.wait(t); !s.unprocessed(late.err) {
			t.Errorf("a late request got %v", late.err)
		}
		p.respond(1, "one")
		p.respond(3, "three")
		k["/1"].ok(t, "one")
		k["/3"].ok(t, "three")
		time.Sleep(time.Second) // on the bubble's clock
		p.settle()
		if p.begun() != 4 || !p.closed {
			t.Errorf("%d requests came, the connection is closed: %v", p.begun(), p.closed)
		}
	})
}

func TestAShutdownThatIsAnnouncedFirstEndsNothingThatRuns(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := calls(t, c, p, "/1", "/3", "/5")
		p.must(p.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil))
		p.settle()
		s.takesNone(t, c)
		p.respond(1, "one")
		k["/1"].ok(t, "one")
		p.must(p.WriteGoAway(3, http2.ErrCodeNo, nil))
		p.settle()
		if k["/5"].wait(t); !s.unprocessed(k["/5"].err) {
			t.Errorf("got %v", k["/5"].err)
		}
		p.respond(3, "three")
		k["/3"].ok(t, "three")
	})
}

func TestAPeerThatEndsWithAnErrorLeavesWhatIsBelowItsLastStreamOpen(t *testing.T) {
	for _, code := range []http2.ErrCode{http2.ErrCodeInternal, http2.ErrCodeProtocol, http2.ErrCodeEnhanceYourCalm} {
		t.Run(code.String(), func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				c, p := greeted(t, s, options{})
				k := calls(t, c, p, "/1", "/3", "/5")
				p.must(p.WriteGoAway(3, code, []byte(`{"reason":"trouble"}`)))
				p.conn.Close()
				for path, k := range k {
					k.wait(t)
					if above := path == "/5"; k.err == nil || s.unprocessed(k.err) != above {
						t.Errorf("%s: got %v", path, k.err)
					}
				}
				var said h2.GoAwayError
				if err := k["/1"].err; s.tells && (!errors.As(err, &said) || said.ErrCode != code || said.LastStreamID != 3 || said.DebugData != `{"reason":"trouble"}`) {
					t.Errorf("the caller learns %v", err)
				}
				s.takesNone(t, c)
			})
		})
	}
}

func TestAPeerThatProcessedNothingSaysSo(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := calls(t, c, p, "/1", "/3")
		p.must(p.WriteGoAway(0, http2.ErrCodeNo, nil))
		p.conn.Close()
		for path, k := range k {
			if k.wait(t); !s.unprocessed(k.err) {
				t.Errorf("%s: got %v", path, k.err)
			}
		}
	})
}

func TestABrokenConnectionLeavesOpenWhatWasSent(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(2))
		k := calls(t, c, p, "/1", "/3", "/waits for a stream")
		p.conn.Close()
		for path, k := range k {
			k.wait(t)
			if k.err == nil || s.unprocessed(k.err) && path != "/waits for a stream" {
				t.Errorf("%s: got %v", path, k.err)
			}
		}
		s.takesNone(t, c)
	})
}

func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := get(t, c, "/")
		p.settle()
		p.head(1, false, ":status", "200")
		p.must(p.WriteData(1, false, []byte("half")))
		p.settle()
		p.conn.Close()
		if k.wait(t); k.err == nil || s.unprocessed(k.err) {
			t.Errorf("got %v", k.err)
		}
	})
}

func TestClosingEndsEveryCaller(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, limit(2), window(0))
		k := calls(t, c, p, "/1", "/3", "/waits for a stream")
		c.Close()
		for path, k := range k {
			if k.wait(t); k.err == nil {
				t.Errorf("%s: got an answer", path)
			}
		}
		late := get(t, c, "/late")
		if late.wait(t); late.err == nil {
			t.Error("a late request got an answer")
		}
		p.settle()
		if !p.closed {
			t.Error("the connection is open")
		}
	})
}

// The clock of these is the bubble's: they take no time.

func TestASilentPeerIsPingedAndGivenUp(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{ping: 20 * time.Second, pong: 7 * time.Second})
		p.rude = true
		begun := time.Now()
		k := get(t, c, "/")
		p.settle()
		time.Sleep(19 * time.Second)
		p.settle()
		if p.pings != 0 {
			t.Errorf("%d pings after 19 s of 20", p.pings)
		}
		if k.wait(t); k.err == nil || s.unprocessed(k.err) {
			t.Errorf("got %v", k.err)
		}
		if waited := time.Since(begun); waited < 27*time.Second || waited > 30*time.Second {
			t.Errorf("ended after %v, want 20 s and 7 s", waited)
		}
		p.settle()
		if p.pings != 1 || !p.closed {
			t.Errorf("%d pings, connection closed %v", p.pings, p.closed)
		}
		s.takesNone(t, c)
	})
}

func TestAPeerThatFallsSilentWhileItEndsIsStillQuoted(t *testing.T) {
	for name, fall := range map[string]func(p *peer){
		"answers no ping":     func(p *peer) { p.rude = true },
		"breaks the protocol": func(p *peer) { p.must(p.WriteWindowUpdate(0, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				s.knownShort(t, std, "tells the newest reason alone")
				c, p := greeted(t, s, options{ping: 20 * time.Second, pong: 7 * time.Second})
				k := get(t, c, "/")
				p.settle()
				p.must(p.WriteGoAway(1, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`)))
				p.settle()
				fall(p)
				var said h2.GoAwayError
				if k.wait(t); s.unprocessed(k.err) || !errors.As(k.err, &said) || said.DebugData != `{"reason":"Shutdown"}` {
					t.Errorf("got %v", k.err)
				}
			})
		})
	}
}

func TestAPingThatIsNotWrittenYetIsNotMissed(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, underLock)
		c, p := connectRoom(t, s, options{ping: 20 * time.Second, pong: 7 * time.Second, write: 9 * time.Second}, 20_000)
		p.greet(window(1 << 20))
		p.must(p.WriteWindowUpdate(0, 1<<20))
		p.settle()
		k := post(t, c, "/slow", strings.Repeat("x", 400_000))
		var seen bytes.Buffer
		for range 10 { // the ping is due after 20 s, and there is no room for it
			time.Sleep(8 * time.Second)
			if _, err := io.CopyN(&seen, p.in, 4_000); err != nil {
				break
			}
		}
		if k.over() || p.closed {
			t.Fatalf("the caller ended: %v", k.err)
		}
		p.Framer = http2.NewFramer(p.conn, io.MultiReader(&seen, p.in))
		for seen.Len() > 0 {
			p.take()
		}
		p.settle()
		if p.pings == 0 {
			t.Error("no ping came")
		}
		time.Sleep(10 * time.Second)
		p.respond(1, "")
		k.ok(t, "")
	})
}

func TestASlowPeerThatAnswersPingsIsKept(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{ping: 20 * time.Second, pong: 7 * time.Second})
		k := get(t, c, "/")
		for range 100 {
			time.Sleep(time.Second)
			p.settle()
		}
		if p.pings < 3 || p.pings > 5 || k.over() {
			t.Errorf("%d pings in 100 s, over %v: %v", p.pings, k.over(), k.err)
		}
		p.respond(1, "late")
		k.ok(t, "late")
	})
}

func TestABusyConnectionIsNotPinged(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{ping: 20 * time.Second, pong: 7 * time.Second})
		for range 20 {
			k := get(t, c, "/")
			p.settle()
			time.Sleep(10 * time.Second)
			p.respond(p.last.id, "")
			k.ok(t, "")
		}
		if p.pings != 0 {
			t.Errorf("%d pings", p.pings)
		}
	})
}

func TestAPeerThatStopsReadingIsGivenUp(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, underLock)
		c, p := connectRoom(t, s, options{ping: time.Hour, pong: time.Hour, write: 9 * time.Second}, 1000)
		p.greet(window(1 << 20))
		p.must(p.WriteWindowUpdate(0, 1<<20))
		p.settle()
		begun := time.Now()
		stuck := post(t, c, "/stuck", strings.Repeat("x", 100_000))
		behind := get(t, c, "/behind")
		for _, k := range []*call{stuck, behind} {
			if k.wait(t); k.err == nil {
				t.Error("got an answer")
			}
		}
		if waited := time.Since(begun); waited < 9*time.Second || waited > 20*time.Second {
			t.Errorf("ended after %v, want 9 s, or twice as much where the first 9 began before the last byte was taken", waited)
		}
		s.takesNone(t, c)
	})
}

func TestAPeerThatReadsSlowlyIsKept(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := connectRoom(t, s, options{ping: time.Hour, pong: time.Hour, write: 9 * time.Second}, 20_000)
		p.greet(window(1 << 20))
		p.must(p.WriteWindowUpdate(0, 1<<20))
		p.settle()
		k := post(t, c, "/slow", strings.Repeat("x", 400_000))
		for range 20 { // longer than a write may stand still, and never that long without a byte
			time.Sleep(8 * time.Second)
			if _, err := io.CopyN(io.Discard, p.in, 4_000); err != nil {
				break
			}
		}
		if k.over() {
			t.Errorf("the caller ended: %v", k.err)
		}
	})
}

func TestCallersObeyTheirDeadlinesWhateverThePeerDoes(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, underLock)
		c, p := connectRoom(t, s, options{ping: time.Hour, pong: time.Hour, write: time.Hour}, 1000)
		p.greet(limit(3), window(1<<20))
		p.settle()
		var started []*call
		begun := time.Now()
		for range 10 { // three have a stream, one of which fills the connection; the others wait for one
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			started = append(started, start(c, request(t, http.MethodPost, "/", body(strings.Repeat("x", 10_000))).WithContext(ctx)))
		}
		for _, k := range started {
			if k.wait(t); !errors.Is(k.err, context.DeadlineExceeded) {
				t.Errorf("got %v", k.err)
			}
		}
		if waited := time.Since(begun); waited > 6*time.Second {
			t.Errorf("ended after %v, want 5 s", waited)
		}
	})
}

func TestWhatAPeerSaysAsItsConnectionBreaksIsHeard(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, "hears no more once a write has failed")
		c, p := greeted(t, s, options{})
		k := calls(t, c, p, "/1", "/3")
		p.conn.in.change(func() { p.conn.in.readerGone = true }) // what the client writes now fails
		late := post(t, c, "/late", "x")
		p.silent = true
		p.settle()
		p.must(p.WriteGoAway(1, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`)))
		p.conn.Close()
		var said h2.GoAwayError
		for path, k := range k {
			if k.wait(t); s.unprocessed(k.err) != (path == "/3") || !errors.As(k.err, &said) {
				t.Errorf("%s: got %v", path, k.err)
			}
		}
		if late.wait(t); !s.unprocessed(late.err) {
			t.Errorf("what was not sent got %v", late.err)
		}
	})
}
