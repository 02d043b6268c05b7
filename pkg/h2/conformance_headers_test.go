package h2_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestTheHeaderTableFollowsThePeersLimit(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		ask := func() []byte {
			t.Helper()
			r := request(t, http.MethodGet, "/", nil)
			r.Header.Set("X-Often", "the same each time")
			k := start(c, r)
			p.settle()
			if got := p.last.field("x-often"); got != "the same each time" {
				t.Errorf("stream %d: the peer's decoder reads %q", p.last.id, got)
			}
			p.respond(p.last.id, "")
			k.ok(t, "")
			return p.last.block
		}
		ask()
		full := len(ask())
		for range 2 {
			p.decoder.SetAllowedMaxDynamicTableSize(0)
			p.set(http2.SettingHeaderTableSize, 0)
			if block := ask(); block[0] != 0x20 {
				t.Errorf("a table of nothing is announced by %#x", block[0])
			}
			for range 3 {
				if block := ask(); block[0]&0xe0 == 0x20 {
					t.Errorf("the table's size is announced again: %#x", block[0])
				}
			}
			p.decoder.SetAllowedMaxDynamicTableSize(4096)
			p.set(http2.SettingHeaderTableSize, 4096)
			ask()
			if again := len(ask()); again > full {
				t.Errorf("a list took %d bytes, and takes %d since the table was 0 for a while", full, again)
			}
		}
		// Between two lists the limit fell and rose: the lower one is announced too, or the decoder keeps what is gone.
		table := func(size uint32) http2.Setting { return http2.Setting{ID: http2.SettingHeaderTableSize, Val: size} }
		p.must(p.WriteSettings(table(0)))
		p.must(p.WriteSettings(table(4096)))
		p.settle()
		if block := ask(); block[0] != 0x20 {
			t.Errorf("the list begins with %#x", block[0])
		}
		ask()
		p.must(p.WriteSettings(table(0), table(4096)))
		p.settle()
		if block := ask(); block[0] != 0x20 {
			t.Errorf("the list begins with %#x", block[0])
		}
		ask()
	})
}

func TestThePeersHeaderTableMayChange(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		ask := func(size int) {
			t.Helper()
			k := get(t, c, "/")
			p.settle()
			if size >= 0 {
				p.encoder.SetMaxDynamicTableSize(uint32(size))
			}
			p.head(p.last.id, true, ":status", "200", "x-often", "the same each time", "x-id", fmt.Sprint(p.last.id))
			k.ok(t, "")
			if got := k.response.Header; got.Get("X-Often") != "the same each time" || got.Get("X-Id") != fmt.Sprint(p.last.id) {
				t.Errorf("stream %d: got %v", p.last.id, got)
			}
		}
		for _, size := range []int{-1, -1, 0, -1, 4096, -1, 100, -1, 4096, -1, -1} {
			ask(size)
		}
	})
}

func TestALongHeaderListGoesOutInContinuations(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		r := request(t, http.MethodPost, "/long", body("and a body"))
		for i := range 50 {
			r.Header.Set(fmt.Sprint("X-Field-", i), strings.Repeat("~", 1000)) // no Huffman code is shorter
		}
		k := start(c, r)
		p.settle()
		got := p.expect("/long")
		if got.frames < 4 || len(got.block) < 50_000 {
			t.Errorf("%d bytes in %d frames", len(got.block), got.frames)
		}
		if got.field("x-field-49") == "" || string(got.body) != "and a body" || !got.ended {
			t.Errorf("the request is not whole: body %q, ended %v", got.body, got.ended)
		}
		p.respond(1, "")
		k.ok(t, "")
	})
}

func TestAListAboveThePeersLimitIsRefusedHere(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000})
		r := request(t, http.MethodGet, "/long", nil)
		r.Header.Set("X-Long", strings.Repeat("x", 1000))
		k := start(c, r)
		if k.wait(t); k.err == nil {
			t.Error("no error")
		}
		p.settle()
		if p.path("/long") != nil {
			t.Error("it was sent")
		}
		next := get(t, c, "/next")
		p.settle()
		p.respond(p.expect("/next").id, "")
		next.ok(t, "")
	})
}

func TestAHeaderListComesInAnyFrames(t *testing.T) {
	for _, size := range []int{1, 100, 16384} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			play(t, func(t *testing.T, s subject) {
				c, p := greeted(t, s, options{})
				k := get(t, c, "/")
				p.settle()
				long := strings.Repeat("~", 3000)
				block := p.list(":status", "200", "x-long", long, "x-last", "yes")
				n := min(size, len(block))
				p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:n], EndStream: true, PadLength: 9,
					Priority: http2.PriorityParam{StreamDep: 3, Weight: 7}}))
				for block = block[n:]; len(block) > 0; block = block[n:] {
					n = min(size, len(block))
					p.must(p.WriteContinuation(1, false, block[:n]))
					p.settle()
				}
				p.must(p.WriteContinuation(1, true, nil))
				k.ok(t, "")
				if got := k.response.Header; got.Get("X-Long") != long || got.Get("X-Last") != "yes" {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

func TestASensitiveFieldOfAnAnswerIsRead(t *testing.T) {
	play(t, func(t *testing.T, s subject) {
		c, p := greeted(t, s, options{})
		k := get(t, c, "/")
		p.settle()
		p.block.Reset()
		for _, f := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "set-cookie", Value: "secret", Sensitive: true}} {
			if err := p.encoder.WriteField(f); err != nil {
				t.Fatal(err)
			}
		}
		p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: bytes.Clone(p.block.Bytes()), EndHeaders: true, EndStream: true}))
		k.ok(t, "")
		if got := k.response.Header.Get("Set-Cookie"); got != "secret" {
			t.Errorf("got %q", got)
		}
	})
}
