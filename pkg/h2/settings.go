package h2

import "time"

// Settings are what a connection keeps to. The zero value of a field stands for its default.
type Settings struct {
	// FirstStreams is how many requests a connection carries at a time until its first answer; 0 = as many as the server's
	// settings allow, and 100 until they came. APNs takes 1 until it has seen a valid token.
	FirstStreams int
	// MaxStreams bounds the requests at a time, beside the server's own limit; default 1000.
	MaxStreams int
	// MaxQueued bounds the requests that wait for a stream; default 100,000. Above it they end with [ErrBusy].
	MaxQueued int
	// MaxBody is up to which length, in bytes, a request's body of known length is read by the caller of RoundTrip, before
	// it waits for a stream; default 64 KiB. Such a body must be at hand: one that blocks holds the caller up. Any other
	// body is read by a goroutine of its own, as the flow control takes it.
	MaxBody int
	// MaxResponse bounds a response's body, in bytes; default 1 MiB. Reading beyond it gives [ErrTooLarge].
	MaxResponse int
	// MaxHeader bounds a response's header list, in bytes as HTTP/2 counts them; default 64 KiB.
	MaxHeader int

	// Bare are the statuses whose header fields nobody reads: their responses come without any, and with a nil Header. Most
	// of what a response costs in memory is its fields.
	Bare []int

	// PingAfter is how long the server may be silent before it is pinged; default 15 s.
	PingAfter time.Duration
	// PingTimeout is how long a ping may go unanswered before the connection counts as lost; default 15 s.
	PingTimeout time.Duration
	// WriteTimeout is how long the network may take no byte before the connection counts as lost; default 15 s.
	WriteTimeout time.Duration

	// Indexed are the names, in lower case, of request fields whose values come again and again: HPACK's dynamic table
	// makes a byte or two of each from its second time on. No other field enters the table, and each is marked as one that
	// no proxy may index either: an entry that is used once costs more than it saves. Whether a secret may be named here is
	// the caller's to know. The authority is always indexed, and path and content-length never are.
	Indexed []string
}

func (s Settings) withDefaults() Settings {
	set := func(value *int, fallback int) {
		if *value <= 0 {
			*value = fallback
		}
	}
	wait := func(value *time.Duration, fallback time.Duration) {
		if *value <= 0 {
			*value = fallback
		}
	}
	set(&s.MaxStreams, 1000)
	set(&s.MaxQueued, 100_000)
	set(&s.MaxBody, 64<<10)
	set(&s.MaxResponse, 1<<20)
	set(&s.MaxHeader, 64<<10)
	s.MaxResponse = min(s.MaxResponse, maxWindow/2) // one window takes all of it
	s.MaxHeader = min(s.MaxHeader, maxWindow)
	wait(&s.PingAfter, 15*time.Second)
	wait(&s.PingTimeout, 15*time.Second)
	wait(&s.WriteTimeout, 15*time.Second)
	return s
}
