package h2_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// A flood is either taken in, with the connection at work afterwards, or the connection is cut. The peer that floods
// does not read: what the client would say to it has to be bounded.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]struct {
		one func(p *peer, i int) error
		cut bool   // has to be: each calls for an answer, and the peer does not read
		lax string // see attack
	}{
		"pings":    {one: func(p *peer, i int) error { return p.WritePing(false, [8]byte{byte(i)}) }, cut: true, lax: "keeps every answer"},
		"settings": {one: func(p *peer, i int) error { return p.WriteSettings(limit(uint32(100 + i%2))) }, cut: true, lax: underLock},
		"table sizes": {one: func(p *peer, i int) error {
			return p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i % 2 * 4096)})
		}, cut: true, lax: underLock},
		"window sizes":   {one: func(p *peer, i int) error { return p.WriteSettings(window(uint32(i % 2))) }, cut: true, lax: underLock},
		"windows":        {one: func(p *peer, _ int) error { return p.WriteWindowUpdate(0, 1) }},
		"resets":         {one: func(p *peer, _ int) error { return p.WriteRSTStream(1, http2.ErrCodeCancel) }},
		"priorities":     {one: func(p *peer, _ int) error { return p.WritePriority(1, http2.PriorityParam{StreamDep: 7}) }, lax: "logs each"},
		"unknown frames": {one: func(p *peer, _ int) error { return p.WriteRawFrame(0xbe, 0, 0, make([]byte, 100)) }, lax: "logs each"},
		"late answers":   {one: func(p *peer, _ int) error { return p.WriteRawFrame(http2.FrameHeaders, 0x5, 1, []byte{0x88}) }},
		"goaways":        {one: func(p *peer, _ int) error { return p.WriteGoAway(1<<31-1, http2.ErrCodeNo, make([]byte, 100)) }},
	} {
		t.Run(name, func(t *testing.T) { // one after the other, so that the memory is this one's
			inTurn(t, func(t *testing.T, s subject) {
				if flood.lax != "" {
					s.knownShort(t, std, flood.lax)
				}
				c, p := greeted(t, s, impatient)
				over := get(t, c, "/over")
				p.settle()
				p.respond(1, "")
				over.ok(t, "")
				k := get(t, c, "/")
				p.settle()
				before := heap()
				for i := range 5 * many {
					if flood.one(p, i) != nil {
						break
					}
				}
				synctest.Wait()
				if grown := heap() - before; grown > 16<<20 {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				if flood.cut && !k.over() {
					t.Error("the connection is not cut")
				}
				p.settle()
				if p.closed {
					if k.wait(t); k.err == nil {
						t.Errorf("got %v", k.response.Status)
					}
					s.takesNone(t, c)
					return
				}
				p.respond(3, "yes")
				k.ok(t, "yes")
			})
		})
	}
}

// heap is what is in use of it, in bytes.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Attacks on memory: each would take a hundred times as much of it as it sends, or holds what is never asked for.
func TestMemoryStaysBounded(t *testing.T) {
	for name, attack := range map[string]func(p *peer) error{
		"a header list of many small references": func(p *peer) error {
			entry := p.list("x-bomb", strings.Repeat("b", 4000)) // one entry that fills the table
			if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append([]byte{0x88}, entry...), EndHeaders: false}); err != nil {
				return err
			}
			for range 100 {
				if err := p.WriteContinuation(1, false, bytes.Repeat([]byte{0xbe}, 16384)); err != nil {
					return err
				}
			}
			return p.WriteContinuation(1, true, nil)
		},
		"a header list of one huge string": func(p *peer) error {
			if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: binary.AppendUvarint([]byte{0x88, 0x00, 0x01, 'x', 0x7f}, 1<<28)}); err != nil {
				return err
			}
			for range 4000 {
				if err := p.WriteContinuation(1, false, make([]byte, 16384)); err != nil {
					return err
				}
			}
			return nil
		},
		"header lists that never end, on every stream": func(p *peer) error {
			return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "200", "x-a", strings.Repeat("b", 10_000))})
		},
		"bodies that never end": func(p *peer) error {
			for id := range p.streams {
				if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.list(":status", "200"), EndHeaders: true}); err != nil {
					return err
				}
			}
			for range 60 { // each stays below what one response may have
				for id := range p.streams {
					if err := p.WriteData(id, false, make([]byte, 16384)); err != nil {
						return err
					}
				}
				p.settle()
			}
			return nil
		},
		"trailers after trailers": func(p *peer) error {
			for range 1000 {
				if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.list(":status", "103", "x-a", strings.Repeat("b", 10_000)), EndHeaders: true}); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // net/http's limits are larger, and a body's reader is its own
				s := own
				c, p := greeted(t, s, impatient)
				var calls []*call
				for range 100 {
					calls = append(calls, get(t, c, "/"))
				}
				p.settle()
				before := heap()
				_ = attack(p)
				synctest.Wait()
				if grown := heap() - before; grown > 48<<20 {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				p.silent = true
				for _, k := range calls {
					if p.wait(k); k.err == nil {
						t.Errorf("got %v", k.response.Status)
					}
				}
			})
		})
	}
}
