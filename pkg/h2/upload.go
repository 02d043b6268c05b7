package h2

import (
	"fmt"
	"io"
	"sync"
)

// chunk is how much an upload reads at a time, in bytes.
const chunk = 32 << 10

// upload is a body that is too long to be copied, or of unknown length. A goroutine hands on one chunk after the other.
type upload struct {
	length  int64 // -1 = unknown
	source  io.ReadCloser
	closing sync.Once
	taken   chan struct{} // the writer has taken all that was handed on
	ended   chan struct{} // closed when the stream has ended
}

func newUpload(source io.ReadCloser, length int64) *upload {
	return &upload{length: length, source: source, taken: make(chan struct{}, 1), ended: make(chan struct{})}
}

// close ends a read that is under way too, where the source can do that.
func (u *upload) close() { u.closing.Do(func() { _ = u.source.Close() }) }

// feed runs until the body or the stream has ended. A source whose Read blocks and does not end with Close holds it up.
func (c *Conn) feed(s *stream) {
	u := s.upload
	defer u.close()
	for sent := int64(0); ; {
		data := make([]byte, chunk) // the writer may still hold the one before
		n, err := u.source.Read(data)
		sent += int64(n)
		switch {
		case u.length >= 0 && sent > u.length:
			err = fmt.Errorf("the request's body is longer than the %d bytes of its length", u.length)
		case err == io.EOF && u.length > sent: //nolint:errorlint // readers return io.EOF itself
			err = fmt.Errorf("the request's body ends after %d of %d bytes", sent, u.length)
		case err != nil && err != io.EOF: //nolint:errorlint // readers return io.EOF itself
			err = fmt.Errorf("read the request's body: %w", err)
		}
		if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
			c.cancel(s, err)
			return
		}
		if !c.hand(s, data[:n], err != nil) {
			return
		}
		if n == 0 {
			continue
		}
		select {
		case <-u.taken:
		case <-u.ended:
			return
		}
	}
}

// hand gives the writer a chunk, and says whether it wants more.
func (c *Conn) hand(s *stream, data []byte, last bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.ended {
		return false
	}
	s.unsent, s.complete = data, last
	c.enlistLocked(s)
	return !last
}
