package h2_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func window(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}

func TestABodyKeepsToItsWindowAsItChanges(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(10))
		p.stays = true
		content := strings.Repeat("0123456789", 10)
		k := post(t, c, "/", content)
		p.settle()
		for i, step := range []struct {
			setting   int    // the initial window from now on; -1 = as before
			increment uint32 // of the stream's window; 0 = none
			sent      int    // afterwards
		}{
			{setting: -1, sent: 10},
			{setting: -1, increment: 1, sent: 11},
			{setting: 4, sent: 11},                // 6 below nothing
			{setting: -1, increment: 6, sent: 11}, // nothing
			{setting: -1, increment: 2, sent: 13},
			{setting: 0, sent: 13},  // 4 below nothing
			{setting: 9, sent: 18},  // 5 above it
			{setting: 40, sent: 49}, // 31 more
			{setting: -1, increment: 100, sent: 100},
		} {
			if step.setting >= 0 {
				p.set(http2.SettingInitialWindowSize, uint32(step.setting))
			}
			if step.increment > 0 {
				p.must(p.WriteWindowUpdate(1, step.increment))
			}
			p.settle()
			got := p.expect("/")
			if len(got.body) != step.sent || got.ended != (step.sent == len(content)) {
				t.Errorf("step %d %+v: %d bytes came, ended %v", i, step, len(got.body), got.ended)
			}
		}
		if got := string(p.expect("/").body); got != content {
			t.Errorf("got %q", got)
		}
		p.respond(1, "")
		k.ok(t, "")
	})
}

func TestBodiesKeepToTheConnectionsWindow(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(1<<20))
		p.stays = true
		content := strings.Repeat("x", 50_000)
		first, second := post(t, c, "/first", content), post(t, c, "/second", content)
		sum := func() int {
			p.settle()
			return len(p.expect("/first").body) + len(p.expect("/second").body)
		}
		if got := sum(); got != 65535 {
			t.Errorf("%d bytes came", got)
		}
		p.must(p.WriteWindowUpdate(0, 1))
		if got := sum(); got != 65536 {
			t.Errorf("%d bytes came", got)
		}
		p.must(p.WriteWindowUpdate(0, 1<<20))
		if got := sum(); got != 100_000 {
			t.Errorf("%d bytes came", got)
		}
		p.respond(1, "")
		p.respond(3, "")
		first.ok(t, "")
		second.ok(t, "")
	})
}

func TestABodyThatWaitsHoldsNoOtherUp(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(0))
		p.stays = true
		stuck := post(t, c, "/stuck", "stuck")
		p.settle()
		bodiless := get(t, c, "/bodiless")
		p.settle()
		p.respond(p.expect("/bodiless").id, "yes")
		bodiless.ok(t, "yes")
		other := post(t, c, "/other", "other")
		p.settle()
		p.must(p.WriteWindowUpdate(p.expect("/other").id, 5))
		p.settle()
		if got := p.expect("/other"); string(got.body) != "other" || !got.ended {
			t.Errorf("got %q, ended %v", got.body, got.ended)
		}
		if got := p.expect("/stuck"); len(got.body) > 0 || got.ended {
			t.Errorf("got %q, ended %v", got.body, got.ended)
		}
		p.respond(p.expect("/other").id, "")
		other.ok(t, "")
		p.must(p.WriteWindowUpdate(p.expect("/stuck").id, 5))
		p.settle()
		p.respond(p.expect("/stuck").id, "")
		stuck.ok(t, "")
	})
}

func TestAnEmptyBodyNeedsNoWindow(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(0))
		k := post(t, c, "/", "")
		p.settle()
		if !p.expect("/").ended {
			t.Error("the request is not whole")
		}
		p.respond(1, "")
		k.ok(t, "")
	})
}

func TestAGivenUpBodyGivesTheConnectionsWindowToOthers(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(1<<20))
		p.stays = true
		ctx, cancel := context.WithCancel(t.Context())
		first := start(c, request(t, http.MethodPost, "/given-up", body(strings.Repeat("x", 100_000))).WithContext(ctx))
		p.settle() // the connection's window is used up
		second := post(t, c, "/second", "second")
		p.settle()
		cancel()
		first.wait(t)
		p.settle()
		p.must(p.WriteWindowUpdate(0, 6))
		p.settle()
		if got := p.expect("/second"); string(got.body) != "second" {
			t.Errorf("got %q", got.body)
		}
		p.respond(p.expect("/second").id, "")
		second.ok(t, "")
	})
}

func TestFramesAreAsLargeAsThePeerTakesThem(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, window(1<<20))
		p.must(p.WriteWindowUpdate(0, 1<<20))
		content := strings.Repeat("x", 300_000)
		k := post(t, c, "/small", content) // the peer fails the test where a frame is larger
		p.settle()
		p.respond(p.expect("/small").id, "")
		k.ok(t, "")
		p.largest = 1 << 20
		p.set(http2.SettingMaxFrameSize, p.largest)
		k = post(t, c, "/large", content)
		p.settle()
		p.respond(p.expect("/large").id, "")
		k.ok(t, "")
		p.set(http2.SettingMaxFrameSize, 16384)
		p.largest = 16384
		k = post(t, c, "/small-again", content)
		p.settle()
		p.respond(p.expect("/small-again").id, "")
		k.ok(t, "")
	})
}

// send writes a body as far as the client's windows let it, again and again as they grow.
func (p *peer) send(id uint32, size int) {
	p.t.Helper()
	s := p.streams[id]
	for size > 0 {
		n := min(int64(size), 16384, p.window, s.window)
		if n <= 0 {
			p.settle()
			if n = min(p.window, s.window); n <= 0 {
				p.t.Fatalf("the windows stay %d and %d while %d bytes are left and the client reads", p.window, s.window, size)
			}
			continue
		}
		p.must(p.WriteData(id, int(n) == size, make([]byte, n)))
		p.window, s.window, size = p.window-n, s.window-n, size-int(n)
	}
}

func TestWindowsAreGivenBackAsAnswersAreRead(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		const each, requests = 100_000, 50
		for range requests {
			k := get(t, c, "/")
			p.settle()
			p.head(p.last.id, false, ":status", "200")
			p.send(p.last.id, each)
			k.ok(t, strings.Repeat("\x00", each))
		}
	})
}

func TestPaddingIsGivenBackToo(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := get(t, c, "/")
		p.settle()
		p.head(1, false, ":status", "200")
		answer, padding := p.streams[1], make([]byte, 255)
		for sent := 0; sent < 6<<20; sent += len(padding) + 1 { // more padding than any window has
			if min(p.window, answer.window) < 257 {
				p.settle()
			}
			if min(p.window, answer.window) < 257 {
				t.Fatalf("the windows stay %d and %d after %d bytes of padding", p.window, answer.window, sent)
			}
			p.must(p.WriteDataPadded(1, false, nil, padding))
			p.window, answer.window = p.window-256, answer.window-256
		}
		p.must(p.WriteData(1, true, []byte("x")))
		k.ok(t, "x")
	})
}

func TestAPeerThatReadsNothingGetsNoMoreRoom(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		s.knownShort(t, std, underLock)
		c, p := connectRoom(t, s, options{ping: time.Hour, pong: time.Hour, write: time.Hour}, 1000)
		p.greet(window(1 << 20))
		k := get(t, c, "/")
		p.settle()
		p.silent = true
		stuck := post(t, c, "/stuck", strings.Repeat("x", 10_000)) // fills the connection
		p.settle()
		p.head(1, false, ":status", "200")
		p.conn.out.change(func() { p.conn.out.room = 1 << 30 })
		for range 1024 { // 16 MiB, all over the window
			if p.WriteData(1, false, make([]byte, 16384)) != nil {
				break
			}
			p.settle()
		}
		if c.Err() == nil {
			t.Error("it may send without end")
		}
		c.Close()
		k.wait(t)
		stuck.wait(t)
	})
}
