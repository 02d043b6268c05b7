// Package wiretest is a plain HTTP/2 client for tests of what a server does with frames. Requests flow in one by one;
// the frames that the server sends flow out as they are, in their order. It retries nothing, counts nothing and knows no
// limit: what it is told to send it sends.
package wiretest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// patience is how long a frame is waited for.
const patience = 10 * time.Second

// Client is one connection. Its methods are for one goroutine.
type Client struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	write  sync.Mutex // the reading goroutine acknowledges settings
	events chan Event
	ended  sync.WaitGroup
	next   uint32
}

// Options change what a client does.
type Options struct {
	TLS     *tls.Config // with the roots
	HoldAck bool        // settings are not acknowledged, until [Client.Ack]
	Window  uint32      // of a stream's answer; 0 = 65535
}

// Event is a frame of the server.
type Event struct {
	Type   http2.FrameType
	Stream uint32
	Ended  bool // the server's side of the stream

	Header map[string]string // of HEADERS, with :status
	Data   string            // of DATA, and of GOAWAY
	Code   http2.ErrCode     // of RST_STREAM and GOAWAY
	Last   uint32            // of GOAWAY
	// Streams is the limit that SETTINGS tell; 0 = none.
	Streams uint32
	// Lost is how the connection ended; no other event follows.
	Lost error
}

// Dial connects to host:port and says what a client says first.
func Dial(t testing.TB, addr string, o Options) *Client {
	t.Helper()
	config := o.TLS.Clone()
	config.NextProtos = []string{"h2"}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{t: t, conn: conn, framer: http2.NewFramer(conn, conn), events: make(chan Event, 10_000), next: 1}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	var settings []http2.Setting
	if o.Window > 0 {
		settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: o.Window})
	}
	c.must(c.framer.WriteSettings(settings...))
	c.ended.Go(func() { c.read(o.HoldAck) })
	t.Cleanup(c.Close)
	return c
}

func (c *Client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Close ends the connection.
func (c *Client) Close() {
	c.conn.Close()
	c.ended.Wait()
}

// Send opens a stream with a request and returns its number. Pairs are header fields.
func (c *Client) Send(path, body string, pairs ...string) uint32 {
	c.t.Helper()
	return c.SendFields(append([]string{":method", "POST", ":scheme", "https", ":path", path, ":authority", "localhost"}, pairs...), body)
}

// SendFields is Send with the whole header block.
func (c *Client) SendFields(pairs []string, body string) uint32 {
	c.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0) // blocks depend on no state
	for i := 0; i < len(pairs); i += 2 {
		c.must(encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}))
	}
	stream := c.next
	c.next += 2
	c.write.Lock()
	defer c.write.Unlock()
	first := block.Next(16 << 10)
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: block.Len() == 0, EndStream: body == ""}))
	for block.Len() > 0 {
		part := block.Next(16 << 10)
		c.must(c.framer.WriteContinuation(stream, block.Len() == 0, part))
	}
	for body != "" {
		n := min(len(body), 16<<10)
		c.must(c.framer.WriteData(stream, n == len(body), []byte(body[:n])))
		body = body[n:]
	}
	return stream
}

// Ping asks for an answer.
func (c *Client) Ping() {
	c.frame(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
}

// Ack acknowledges settings.
func (c *Client) Ack() { c.frame(func(f *http2.Framer) error { return f.WriteSettingsAck() }) }

// Credit extends the window of the connection.
func (c *Client) Credit(n uint32) {
	c.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, n) })
}

// Reset gives a stream up.
func (c *Client) Reset(stream uint32) {
	c.frame(func(f *http2.Framer) error { return f.WriteRSTStream(stream, http2.ErrCodeCancel) })
}

func (c *Client) frame(write func(*http2.Framer) error) {
	c.t.Helper()
	c.write.Lock()
	defer c.write.Unlock()
	c.must(write(c.framer))
}

// Next is the server's next frame.
func (c *Client) Next() Event {
	c.t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-time.After(patience):
		c.t.Fatal("the server sends nothing")
		return Event{}
	}
}

// Within is the server's next frame, where it comes in time.
func (c *Client) Within(d time.Duration) (Event, bool) {
	select {
	case e := <-c.events:
		return e, true
	case <-time.After(d):
		return Event{}, false
	}
}

// Until skips what the server sends until a frame of a type, or the end of the connection.
func (c *Client) Until(wanted http2.FrameType) Event {
	c.t.Helper()
	for {
		if e := c.Next(); e.Type == wanted || e.Lost != nil {
			return e
		}
	}
}

// Settled is the stream limit of the server's next settings.
func (c *Client) Settled() uint32 {
	c.t.Helper()
	for {
		e := c.Until(http2.FrameSettings)
		if e.Lost != nil {
			c.t.Fatal(e.Lost)
		}
		if e.Streams > 0 {
			return e.Streams
		}
	}
}

// Status is the status of the next answer, and its stream.
func (c *Client) Status() (string, uint32) {
	c.t.Helper()
	e := c.Until(http2.FrameHeaders)
	if e.Lost != nil {
		return fmt.Sprint("lost: ", e.Lost), 0
	}
	return e.Header[":status"], e.Stream
}

// Quiet says whether the server sends nothing for a while.
func (c *Client) Quiet(d time.Duration) bool {
	_, spoke := c.Within(d)
	return !spoke
}

func (c *Client) read(holdAck bool) {
	var header map[string]string
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) { header[f.Name] = f.Value })
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return // the test closed it
			}
			c.events <- Event{Lost: err}
			return
		}
		e := Event{Type: frame.Header().Type, Stream: frame.Header().StreamID}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			header = make(map[string]string)
			if _, err := decoder.Write(f.HeaderBlockFragment()); err != nil {
				e.Lost = err
			}
			e.Header, e.Ended = header, f.StreamEnded()
		case *http2.DataFrame:
			e.Data, e.Ended = string(f.Data()), f.StreamEnded()
		case *http2.RSTStreamFrame:
			e.Code = f.ErrCode
		case *http2.GoAwayFrame:
			e.Code, e.Last, e.Data = f.ErrCode, f.LastStreamID, string(f.DebugData())
		case *http2.SettingsFrame:
			e.Streams, _ = f.Value(http2.SettingMaxConcurrentStreams)
			if !f.IsAck() && !holdAck {
				c.write.Lock()
				_ = c.framer.WriteSettingsAck() // a server that has gone needs none
				c.write.Unlock()
			}
		case *http2.WindowUpdateFrame:
			continue
		}
		c.events <- e
	}
}
