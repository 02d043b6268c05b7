package h2

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"
)

// read runs until the connection ends.
func (c *Conn) read() {
	framer := http2.NewFramer(nil, bufio.NewReaderSize((*input)(c), maxRecord))
	framer.SetReuseFrames()
	framer.SetMaxReadFrameSize(maxFrame)
	block := newBlock(&c.make.settings)
	for {
		frame, err := readFrame(framer)
		if err == nil {
			err = c.take(frame, block)
		}
		if err != nil && !c.recover(err, framer.ErrorDetail()) {
			return
		}
	}
}

// readFrame takes care that no header list is passed over: without it HPACK's table is not the server's any more.
func readFrame(framer *http2.Framer) (http2.Frame, error) {
	head, err := framer.ReadFrameHeader()
	if err != nil {
		return nil, err
	}
	frame, err := framer.ReadFrameForHeader(head)
	if err != nil && head.Type == http2.FrameHeaders && errors.As(err, new(http2.StreamError)) {
		return nil, violation(http2.ErrCodeProtocol, "a header list's frame is malformed")
	}
	return frame, err
}

// input is a connection as what its reader reads from.
type input Conn

// Read does first what may wait until everything that came was dealt with.
func (in *input) Read(b []byte) (int, error) {
	c := (*Conn)(in)
	c.mu.Lock()
	if c.owesLocked() {
		c.wakeLocked()
	}
	c.unlock()
	n, err := c.nc.Read(b)
	c.heard.Store(int64(time.Since(c.began)))
	return n, err
}

// recover says whether the connection can go on after an error.
func (c *Conn) recover(err, detail error) bool {
	if detail != nil {
		err = fmt.Errorf("%w: %w", detail, err)
	}
	var ofStream http2.StreamError
	var ofConn http2.ConnectionError
	switch {
	case errors.As(err, &ofStream):
		c.mu.Lock()
		s, wrong := c.findLocked(ofStream.StreamID)
		if s != nil {
			wrong = c.rejectLocked(s, ofStream.Code, err)
		}
		c.unlock()
		return wrong == nil || c.recover(wrong, nil)
	case errors.As(err, &ofConn):
		c.mu.Lock()
		c.failLocked(c.withGoAwayLocked(err), http2.ErrCode(ofConn))
		c.unlock()
	case errors.Is(err, http2.ErrFrameTooLarge):
		return c.recover(violation(http2.ErrCodeFrameSize, "a frame is too large"), nil)
	default:
		c.lost(err)
	}
	return false
}

// take deals with a frame. Its error ends the connection, or a stream where it is an [http2.StreamError].
func (c *Conn) take(frame http2.Frame, block *block) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil // the connection is being closed
	}
	settings, isSettings := frame.(*http2.SettingsFrame)
	if !c.settled && (!isSettings || settings.IsAck()) {
		return violation(http2.ErrCodeProtocol, "it does not begin with its settings")
	}
	switch frame := frame.(type) {
	case *http2.HeadersFrame:
		block.begin(frame.StreamID, frame.StreamEnded())
		return c.takeBlockLocked(block, frame.HeaderBlockFragment(), frame.HeadersEnded())
	case *http2.ContinuationFrame:
		return c.takeBlockLocked(block, frame.HeaderBlockFragment(), frame.HeadersEnded())
	case *http2.DataFrame:
		return c.takeDataLocked(frame)
	case *http2.RSTStreamFrame:
		return c.takeResetLocked(frame.StreamID, frame.ErrCode)
	case *http2.SettingsFrame:
		return c.takeSettingsLocked(frame)
	case *http2.PingFrame:
		if frame.IsAck() {
			c.pongLocked(frame.Data)
			return nil
		}
		return c.provokedLocked(control{kind: pong, data: frame.Data})
	case *http2.GoAwayFrame:
		c.takeGoAwayLocked(frame)
	case *http2.WindowUpdateFrame:
		return c.widenLocked(frame.StreamID, frame.Increment)
	case *http2.PushPromiseFrame:
		return violation(http2.ErrCodeProtocol, "it pushes")
	}
	return nil // priorities and what is unknown say nothing to a client
}

// findLocked is an open stream; nil where it has been closed. It is an error where it never was open.
func (c *Conn) findLocked(id uint32) (*stream, error) {
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	if id%2 == 0 || id >= c.nextID {
		return nil, violation(http2.ErrCodeProtocol, "a frame of a stream that is not open")
	}
	return nil, nil
}

// rejectLocked ends a stream on which the server breaks the protocol.
func (c *Conn) rejectLocked(s *stream, code http2.ErrCode, cause error) error {
	c.resetLocked(s, code, cause)
	if c.provoked++; c.provoked > maxProvoked {
		return violation(http2.ErrCodeEnhanceYourCalm, "it breaks too many streams")
	}
	return nil
}

// malformed is why a response is no HTTP/2.
func malformed(s *stream, what string) error {
	return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol, Cause: errors.New(what)}
}

// completeLocked ends a stream whose response is whole.
func (c *Conn) completeLocked(s *stream) error {
	if s.status == 0 {
		return malformed(s, "the response has no status")
	}
	if s.declared > int64(len(s.content)) && s.mayHaveBody() {
		return malformed(s, "the response's body is shorter than its content-length")
	}
	if !s.endTaken { // the server has heard enough
		c.queueLocked(control{kind: resetStream, stream: s.id, code: http2.ErrCodeNo})
		c.holdLocked()
	}
	c.finishLocked(s, nil)
	return nil
}

func (c *Conn) takeDataLocked(frame *http2.DataFrame) error {
	n, data := int64(frame.Length), frame.Data()
	if err := c.receivedLocked(n); err != nil {
		return err
	}
	s, err := c.findLocked(frame.StreamID)
	if s == nil {
		return err
	}
	if s.room -= n; s.room < 0 {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
	}
	switch total := len(s.content) + len(data); {
	case s.status == 0:
		return malformed(s, "data before the response's header")
	case len(data) > 0 && !s.mayHaveBody():
		return malformed(s, "data in a response that has no body")
	case s.declared >= 0 && int64(total) > s.declared:
		return malformed(s, "the response's body is longer than its content-length")
	case total > c.make.settings.MaxResponse, c.buffered+len(data) > maxBuffered:
		return c.rejectLocked(s, http2.ErrCodeCancel, ErrTooLarge)
	}
	s.append(data)
	c.buffered += len(data)
	if frame.StreamEnded() {
		return c.completeLocked(s)
	}
	return c.paddedLocked(s, n-int64(len(data)))
}

func (c *Conn) takeResetLocked(id uint32, code http2.ErrCode) error {
	s, err := c.findLocked(id)
	if s == nil {
		return err
	}
	cause := http2.StreamError{StreamID: id, Code: code, Cause: errFromServer}
	if code == http2.ErrCodeRefusedStream {
		c.finishLocked(s, &Error{Cause: cause, NotProcessed: true})
	} else {
		c.finishLocked(s, s.fails(cause))
	}
	return nil
}

var errFromServer = errors.New("reset by the server")

func (c *Conn) takeSettingsLocked(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		if c.known {
			return violation(http2.ErrCodeProtocol, "it acknowledges settings twice")
		}
		c.known = true
		return nil
	}
	if !c.settled {
		c.settled, c.freed = true, true
		c.streamMax = maxWindow // where nothing is said, there is no limit
	}
	size, table := c.windowMax, tableSize{}
	err := frame.ForeachSetting(func(setting http2.Setting) error {
		if err := setting.Valid(); err != nil {
			return err
		}
		switch setting.ID {
		case http2.SettingMaxConcurrentStreams:
			c.streamMax, c.freed = int64(setting.Val), true
		case http2.SettingInitialWindowSize:
			size = int64(setting.Val)
		case http2.SettingMaxHeaderListSize:
			c.headerMax = max(int64(setting.Val), 1)
		case http2.SettingHeaderTableSize:
			table.set(setting.Val)
		case http2.SettingEnablePush:
			if setting.Val != 0 {
				return violation(http2.ErrCodeProtocol, "it wants to be pushed to")
			}
		}
		return nil
	})
	if err == nil {
		err = c.resizeLocked(size)
	}
	if err != nil {
		return err
	}
	return c.provokedLocked(control{kind: ackSettings, table: table})
}

func (t *tableSize) set(size uint32) {
	if !t.given || size < t.low {
		t.low = size
	}
	t.given, t.last = true, size
}

// maxDebug bounds what is kept of the reason that comes with a GOAWAY, in bytes.
const maxDebug = 256

// takeGoAwayLocked ends what the server will not process: streams above the last one, and those that are not open yet.
// The others go on.
func (c *Conn) takeGoAwayLocked(frame *http2.GoAwayFrame) {
	debug := frame.DebugData()
	c.goAway = &GoAwayError{
		LastStreamID: frame.LastStreamID, ErrCode: frame.ErrCode, DebugData: string(debug[:min(len(debug), maxDebug)]),
	}
	c.refuseLocked(*c.goAway)
	for id, s := range c.streams {
		if id > frame.LastStreamID {
			c.finishLocked(s, &Error{Cause: *c.goAway, NotProcessed: true})
		}
	}
	c.closeUnusedLocked()
}
