package h2

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

var (
	// ErrNotProcessed is what [errors.Is] finds in an error where the server has not processed the request, so that it can
	// be sent again without doubling anything: it never left as a whole, the server refused its stream, or the server ended
	// the connection below it. Where it is not found, the server may have processed the request.
	ErrNotProcessed = errors.New("h2: the server has not processed the request")
	// ErrClosed says that the connection, the pool or the transport was closed on this side.
	ErrClosed = errors.New("h2: closed")
	// ErrBusy says that more requests wait than [Settings.MaxQueued].
	ErrBusy = errors.New("h2: too many requests wait for a stream")
	// ErrTooLarge is the error of reading a response's body beyond [Settings.MaxResponse].
	ErrTooLarge = errors.New("h2: the response is too large")
)

// Error is why a request got no response. Its chain holds, where it applies: the context's error, [ErrClosed],
// [ErrBusy], an [http2.StreamError] (what ended this stream alone), a [GoAwayError] (what the server said as it
// ended the connection), an [http2.ConnectionError] (how it broke the protocol), a [*DialError], or the network's error.
type Error struct {
	Cause error
	// NotProcessed is set where the server has not processed the request; see [ErrNotProcessed].
	NotProcessed bool
}

// Error tells the cause.
func (e *Error) Error() string { return "h2: " + e.Cause.Error() }

// Unwrap leads to the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is finds [ErrNotProcessed].
func (e *Error) Is(target error) bool { return target == ErrNotProcessed && e.NotProcessed }

// Timeout says whether the caller's deadline passed.
func (e *Error) Timeout() bool { return errors.Is(e.Cause, context.DeadlineExceeded) }

// GoAwayError is what the server said as it ended the connection.
type GoAwayError struct {
	LastStreamID uint32 // up to which it processes requests
	ErrCode      http2.ErrCode
	DebugData    string // the server's own words, up to 256 bytes
}

// Error tells what it said.
func (e GoAwayError) Error() string {
	return fmt.Sprintf("the server ends the connection after stream %d: %v %q", e.LastStreamID, e.ErrCode, e.DebugData)
}

// DialError is why no connection could be set up. It has no chain: a deadline of the set-up is not one of the caller's.
type DialError struct {
	Address string // host:port; "" = the pool's
	Cause   error
}

// Error tells address and cause.
func (e *DialError) Error() string {
	if e.Address == "" {
		return fmt.Sprintf("connect: %v", e.Cause)
	}
	return fmt.Sprintf("connect to %s: %v", e.Address, e.Cause)
}
