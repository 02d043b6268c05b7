package h2

import (
	"errors"

	"golang.org/x/net/http2"
)

const (
	// initialWindow is that of connections and streams until something else is agreed; RFC 9113, section 6.9.2.
	initialWindow = 65535
	// maxWindow is the largest there is; RFC 9113, section 6.9.1.
	maxWindow = 1<<31 - 1
	// connRoom is what the server may send on a connection before it is given more, and claim is when it is, in bytes of
	// DATA.
	connRoom = 4 << 20
	claim    = 16 << 10
	// paddingRoom is added to a stream's room, since padding counts too. Half of it is given back at a time.
	paddingRoom = 64 << 10
	// maxBuffered bounds the bytes of all responses of a connection that are not whole yet.
	maxBuffered = 32 << 20
)

// streamRoom is what the server may send on one stream: a byte more than a response may have, so that one that is too
// long shows. More is never needed.
func (s *Settings) streamRoom() int64 { return int64(s.MaxResponse) + 1 + paddingRoom }

// enlistLocked lets the writer know that a stream's body can go on.
func (c *Conn) enlistLocked(s *stream) {
	if s.listed || s.id == 0 || s.ended || !s.sendable() {
		return
	}
	s.listed = true
	if s.bare = len(s.unsent) == 0; s.bare {
		c.bare++
	}
	c.uploads = append(c.uploads, s)
	c.wakeLocked()
}

// takeLocked takes from a stream's body what the windows allow, at most budget bytes.
func (c *Conn) takeLocked(s *stream, budget int) (data []byte, end bool) {
	n := max(min(int64(len(s.unsent)), int64(budget), c.window, s.window), 0)
	data, s.unsent = s.unsent[:n], s.unsent[n:]
	c.window -= n
	s.window -= n
	s.begun = s.begun || n > 0
	if len(s.unsent) == 0 {
		s.endTaken = s.complete
		if !s.complete && n > 0 {
			s.upload.taken <- struct{}{}
		}
	}
	return data, s.endTaken
}

// widenLocked is told of a WINDOW_UPDATE; stream 0 = the connection's.
func (c *Conn) widenLocked(id, by uint32) error {
	if id == 0 {
		if c.window += int64(by); c.window > maxWindow {
			return violation(http2.ErrCodeFlowControl, "the connection's window is too large")
		}
		c.wakeLocked()
		return nil
	}
	s, err := c.findLocked(id)
	if s == nil {
		return err
	}
	if s.window += int64(by); s.window > maxWindow {
		c.resetLocked(s, http2.ErrCodeFlowControl, errors.New("the stream's window is too large"))
		return nil
	}
	c.enlistLocked(s)
	return nil
}

// resizeLocked is told with how large a window a stream begins; the windows of those that are open change by as much.
func (c *Conn) resizeLocked(size int64) error {
	by := size - c.windowMax
	c.windowMax = size
	for _, s := range c.streams {
		if s.window += by; s.window > maxWindow {
			return violation(http2.ErrCodeFlowControl, "a stream's window is too large")
		}
		c.enlistLocked(s)
	}
	return nil
}

// receivedLocked counts n bytes of DATA, padding included, against the connection's room.
func (c *Conn) receivedLocked(n int64) error {
	if c.room -= n; c.room < 0 {
		return violation(http2.ErrCodeFlowControl, "more data than the connection's window takes")
	}
	c.unclaimed += n
	return nil
}

// giveBackLocked lets the server send as much again as it has sent, where that is worth a frame. It is the writer's: a
// server that does not read gets no more room than it knows of.
func (c *Conn) giveBackLocked(t *turn) {
	if !c.owesLocked() {
		return
	}
	t.control = append(t.control, control{kind: giveRoom, room: uint32(c.unclaimed)})
	c.room += c.unclaimed
	c.unclaimed = 0
}

func (c *Conn) owesLocked() bool { return c.unclaimed >= claim }

// paddedLocked counts padding, which takes room on a stream and none in the response.
func (c *Conn) paddedLocked(s *stream, n int64) error {
	if s.padding += n; s.padding < paddingRoom/2 {
		return nil
	}
	s.room += s.padding
	given := uint32(s.padding)
	s.padding = 0
	return c.provokedLocked(control{kind: giveRoom, stream: s.id, room: given})
}
