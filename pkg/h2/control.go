package h2

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"
)

// maxProvoked bounds the control frames that the server caused and has not read yet: acknowledgements of settings and
// pings, resets of streams that broke the protocol, and room given back. A server that causes more without reading is
// cut off.
const maxProvoked = 1000

// control is a frame without a request, that waits for the writer.
type control struct {
	kind   controlKind
	stream uint32        // of resetStream and giveRoom
	code   http2.ErrCode // of resetStream
	room   uint32        // of giveRoom
	data   [8]byte       // of ping and pong
	table  tableSize     // of ackSettings
}

type controlKind int

const (
	ackSettings controlKind = iota
	ping
	pong
	resetStream
	giveRoom
)

// tableSize is what the server's settings say about the size of HPACK's table, in bytes.
type tableSize struct {
	given     bool
	low, last uint32 // the smallest, and what holds now
}

func (c *Conn) queueLocked(frame control) {
	c.control = append(c.control, frame)
	c.wakeLocked()
}

// provokedLocked queues a frame that the server caused.
func (c *Conn) provokedLocked(frame control) error {
	if c.provoked++; c.provoked > maxProvoked {
		return violation(http2.ErrCodeEnhanceYourCalm, "it causes more frames than it reads")
	}
	c.queueLocked(frame)
	return nil
}

// violation is how the server broke the protocol.
func violation(code http2.ErrCode, what string) error {
	return fmt.Errorf("the server breaks the protocol: %s: %w", what, http2.ConnectionError(code))
}

// held are streams that were given up on this side: the server may count them until it has read so. They are held until a
// ping that was sent behind them is answered, so that a server that does not come round to reading is not flooded with
// requests that are given up one after the other.
type held struct {
	asked int // before the ping that is out
	more  int // since then
}

func (h *held) count() int { return h.asked + h.more }

func (c *Conn) holdLocked() {
	c.held.more++
	c.load.Add(1)
	if !c.pinging {
		c.pingLocked()
	}
}

// pingLocked queues a ping; one is out at a time. Its time begins when it is written: behind much else on a slow network
// that may be late, and until then the write time-out tells whether the server is there.
func (c *Conn) pingLocked() {
	c.pingID++
	c.pinging, c.asked = true, time.Time{}
	c.held.asked, c.held.more = c.held.more, 0
	c.queueLocked(control{kind: ping, data: pingData(c.pingID)})
	c.alarm.Stop()
}

// takePingLocked is the id of the ping that the writer takes with all that is queued; 0 = there is none.
func (c *Conn) takePingLocked() uint64 {
	if !c.pinging || !c.asked.IsZero() {
		return 0
	}
	return c.pingID
}

// pinged is told that a ping was written. Its answer may have come already.
func (c *Conn) pinged(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.pinging && c.pingID == id {
		c.asked = time.Now()
		c.alarm.Reset(c.make.settings.PingTimeout)
	}
}

func pingData(id uint64) (data [8]byte) {
	for i := range data {
		data[i] = byte(id >> (8 * i))
	}
	return data
}

// pongLocked is told of a ping's answer.
func (c *Conn) pongLocked(data [8]byte) {
	if !c.pinging || data != pingData(c.pingID) {
		return
	}
	c.pinging = false
	c.alarm.Reset(c.make.settings.PingAfter)
	if c.held.asked > 0 {
		c.load.Add(-int64(c.held.asked))
		c.held.asked = 0
		c.freed = true
		c.wakeLocked()
	}
	if c.held.more > 0 {
		c.pingLocked()
	}
}

var errNoPong = errors.New("the server does not answer a ping")

// watch runs when the server may have been silent for long enough, or a ping unanswered.
func (c *Conn) watch() {
	c.mu.Lock()
	defer c.unlock()
	if c.err != nil {
		return
	}
	settings, now := &c.make.settings, time.Now()
	if c.pinging {
		if c.asked.IsZero() {
			return // it is not written yet
		}
		if rest := settings.PingTimeout - now.Sub(c.asked); rest > 0 {
			c.alarm.Reset(rest)
			return
		}
		c.silent = true
		c.failLocked(c.withGoAwayLocked(errNoPong), http2.ErrCodeNo)
		return
	}
	if rest := settings.PingAfter - (now.Sub(c.began) - time.Duration(c.heard.Load())); rest > 0 {
		c.alarm.Reset(rest)
		return
	}
	c.pingLocked()
}
