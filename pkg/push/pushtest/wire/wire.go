// Package wire is the HTTP/2 server under the providers' simulators. Connections flow in; whole requests flow to a
// [Handler], and what it replies flows out, with the ledger line of each. It speaks frames itself, because what a
// provider does to its clients is said in frames: a stream limit that grows and shrinks, GOAWAY, refused and reset
// streams, connections that fall silent or are cut in the middle of an answer. It promises that a reply costs little (a
// reader and a writer for each connection, no goroutine and no timer for each request, one write for all that is due),
// that everything it holds is bounded by the streams of its connections, and that a request stands in the ledger
// exactly once, before its answer leaves. HTTP/1.1, where it is asked for, is served by net/http with the same handler.
package wire

import (
	"crypto/x509"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// MaxBody is what is kept of a request's body: enough to see that it is too large.
const MaxBody = 64 << 10

// Handler says what a request gets.
type Handler interface {
	// Serve is called once for each whole request, by the goroutine that reads its connection: for one connection in
	// the order of arrival, for several at the same time. It must not block. It may keep the reply's slices, but
	// nothing of the request.
	Serve(r *Request) Reply
}

// Request is a whole request.
type Request struct {
	Method, Path, Authority string
	Header                  []hpack.HeaderField // names in lower case, without the pseudo header fields
	Body                    []byte              // its first MaxBody bytes
	Peer                    *Peer
}

// Get is a header field's first value; "" = there is none.
func (r *Request) Get(name string) string {
	for i := range r.Header {
		if r.Header[i].Name == name {
			return r.Header[i].Value
		}
	}
	return ""
}

// Peer is the client's side of one connection.
type Peer struct {
	Number      uint64            // of its connection, from 1 in the order of acceptance; 0 = unknown, as under net/http
	Opened      time.Time         // when it was accepted, by the server's clock
	Certificate *x509.Certificate // the client's, verified; nil = none
	// State is the handler's own memory of the connection. Only Serve may touch it.
	State any
}

// Do is how a request ends.
type Do uint8

// The ways a request ends.
const (
	Answer  Do = iota
	Reset      // the stream is reset with the reply's code
	Refuse     // the stream is refused: not looked at, and so not in the ledger
	Hang       // no answer ever, until the client gives up
	Cut        // half of the answer, and a reset of the TCP connection
	Silence    // no answer, nor any other frame, on this connection from now on
)

// Reply is what a request gets.
type Reply struct {
	Do     Do
	Status int
	Header []hpack.HeaderField // names in lower case
	Body   []byte              // at most MaxReplyBody
	Delay  time.Duration       // before it
	Code   http2.ErrCode       // of Reset

	// Streams is what the connection takes at once from now on; 0 = as many as before.
	Streams uint32
	// GoAway ends the connection; nil = it goes on. It is sent when the request has come, before the delay.
	GoAway *GoAway
	// HTTPDate makes the answer carry a date header with the server's clock.
	HTTPDate bool

	Line Line
}

// MaxReplyBody is the most that a reply's body may hold: one frame.
const MaxReplyBody = 16 << 10

// Line is what the ledger says of a request, beyond what the request holds.
type Line struct {
	Skip      bool // no line
	ID, Token string
	Status    int // 0 = no answer
	Reason    string
	Body      []byte // nil = the request's
	Collapse  string // what pushes to the token replace each other by; "" = nothing
}

// Last says which stream a GOAWAY names as the last that was looked at.
type Last uint8

// What a GOAWAY names as last.
const (
	LastReceived Last = iota // all that came will be answered
	LastBefore               // the one before the request that is served: this one may be sent again
	LastNone                 // none: not even those that wait for an answer were looked at
)

// GoAway tells a client to take another connection.
type GoAway struct {
	Last   Last
	Code   http2.ErrCode
	Reason string // shown as {"reason":…}, as APNs does; "" = no debug data
	// Close ends the connection right after the frame, whatever waits for an answer; else it ends after the last answer.
	Close bool
}
