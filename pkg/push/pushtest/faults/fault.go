package faults

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Where a fault comes over a simulator's client.
type Where string

// The places.
const (
	Push       Where = ""           // a request to push that passed the checks and has no answer by PUT /script
	OAuth      Where = "oauth"      // a request for an access token
	Connection Where = "connection" // an open connection, once
	Connect    Where = "connect"    // a new connection
)

// Do is what a fault does.
type Do string

// What faults do.
const (
	DoDelay       Do = "delay"         // the next fault, or the simulator itself, answers later
	DoAnswer      Do = "answer"        // an answer of its own
	DoHang        Do = "hang"          // no answer ever
	DoResetStream Do = "reset_stream"  // RST_STREAM with a code
	DoRefuse      Do = "refuse_stream" // RST_STREAM with REFUSED_STREAM: not looked at
	DoCut         Do = "cut"           // a reset of the TCP connection, in the middle of the answer where there is one
	DoSilence     Do = "silence"       // the connection stays open and says nothing any more
	DoGoAway      Do = "goaway"        // GOAWAY; the request is answered where Last lets it
	DoStall       Do = "stall"         // TLS never begins
	DoHangup      Do = "hangup"        // the connection is closed before TLS begins
)

// doable is what a fault may do, by place.
func doable(w Where) []Do {
	switch w {
	case Push, OAuth:
		return []Do{DoDelay, DoAnswer, DoHang, DoResetStream, DoRefuse, DoCut, DoSilence, DoGoAway}
	case Connection:
		return []Do{DoCut, DoSilence, DoGoAway}
	case Connect:
		return []Do{DoStall, DoHangup}
	}
	return nil
}

// Fault is one thing that goes wrong.
type Fault struct {
	Name     string        `json:"name,omitzero"`     // for GET /faults; "" = its place in the list
	Platform push.Platform `json:"platform,omitzero"` // "" = every platform
	Where    Where         `json:"where,omitzero"`

	// Which of them. All conditions have to hold; the counting ones (after, every, times) see only those for which the
	// others hold.

	From  Duration `json:"from,omitzero"`
	Until Duration `json:"until,omitzero"` // 0 = for ever
	Token string   `json:"token,omitzero"` // device token; "" = every
	Age   Delay    `json:"age,omitzero"`   // of the connection, by the simulator's clock
	Share *float64 `json:"share,omitzero"` // of requests or connections, 0 to 1; none = all
	// By is what a share is drawn for: "request" (""): a request that comes again may fare otherwise; "token": a device
	// token always fares the same.
	By    string `json:"by,omitzero"`
	After int    `json:"after,omitzero"` // spares the first so many
	Every int    `json:"every,omitzero"` // hits the first of so many; 0 = each
	Times int    `json:"times,omitzero"` // hits at most so many; 0 = any number
	// Per makes the counting ones count on each "connection" alone; "" = on all together.
	Per string `json:"per,omitzero"`

	// What happens.

	Do    Do    `json:"do"`
	Delay Delay `json:"delay,omitzero"` // before it
	// Answer: status and reason in the platform's shape, or a body of its own, which may be no JSON.
	Status      int      `json:"status,omitzero"`
	Reason      string   `json:"reason,omitzero"` // of a goaway too
	RetryAfter  Duration `json:"retry_after,omitzero"`
	RetryAs     string   `json:"retry_as,omitzero"` // "seconds" ("") or "date"
	Body        *string  `json:"body,omitzero"`
	ContentType string   `json:"content_type,omitzero"`
	Omit        []string `json:"omit,omitzero"`      // "apns-id", "timestamp", "date", "body"
	Timestamp   int64    `json:"timestamp,omitzero"` // ms, of a 410; 0 = now
	// ResetStream: the code, by name: "INTERNAL_ERROR" (""), "CANCEL", "ENHANCE_YOUR_CALM", …
	Code string `json:"code,omitzero"`
	// Accepted: what is not answered counts as accepted in the ledger, as what a provider has taken before the loss.
	Accepted bool `json:"accepted,omitzero"`
	// GoAway: which stream it names as the last that was looked at: "all" (""), "before" (the one before this
	// request) or "none". Close ends the connection at once, whatever waits for an answer.
	Last  string `json:"last,omitzero"`
	Close bool   `json:"close,omitzero"`
}

const maxBody = 16 << 10

func (f *Fault) check() error {
	possible := doable(f.Where)
	switch {
	case possible == nil:
		return fmt.Errorf("where: %q is no place", f.Where)
	case !slices.Contains(possible, f.Do):
		return fmt.Errorf("do: %q; want one of %q", f.Do, possible)
	case f.Share != nil && (*f.Share < 0 || *f.Share > 1):
		return errors.New("share: want 0 to 1")
	case f.From < 0 || f.Until < 0 || f.Until > 0 && f.Until <= f.From:
		return errors.New("until: want a time after from")
	case f.After < 0 || f.Every < 0 || f.Times < 0:
		return errors.New("after, every, times: want 0 or more")
	case f.RetryAfter < 0:
		return errors.New("retry_after: want 0 or more")
	case f.Body != nil && len(*f.Body) > maxBody:
		return fmt.Errorf("body: %d bytes, at most %d", len(*f.Body), maxBody)
	case f.Do == DoAnswer && (f.Status < 200 || f.Status > 599):
		return errors.New("status: want 200 to 599")
	case f.Do != DoAnswer && f.Status != 0:
		return errors.New("status: only an answer has one")
	case f.Do == DoDelay && f.Delay == (Delay{}):
		return errors.New("delay: missing")
	}
	if err := f.checkWords(); err != nil {
		return err
	}
	if err := f.Age.check(); err != nil {
		return fmt.Errorf("age: %w", err)
	}
	if err := f.Delay.check(); err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	return nil
}

// checkWords checks what takes one of several words.
func (f *Fault) checkWords() error {
	for _, w := range []struct {
		name, value string
		known       []string
	}{
		{"by", f.By, []string{"", "request", "token"}},
		{"per", f.Per, []string{"", "connection"}},
		{"retry_as", f.RetryAs, []string{"", "seconds", "date"}},
		{"last", f.Last, []string{"", "all", "before", "none"}},
	} {
		if !slices.Contains(w.known, w.value) {
			return fmt.Errorf("%s: %q; want one of %q", w.name, w.value, w.known[1:])
		}
	}
	for _, o := range f.Omit {
		if !slices.Contains([]string{"apns-id", "timestamp", "date", "body"}, o) {
			return fmt.Errorf("omit: %q is nothing that can be left out", o)
		}
	}
	if _, known := f.ErrCode(); !known {
		return fmt.Errorf("code: %q is none of HTTP/2", f.Code)
	}
	return nil
}

// ErrCode is the code of a reset_stream. false = there is none of that name.
func (f *Fault) ErrCode() (http2.ErrCode, bool) {
	if f.Code == "" {
		return http2.ErrCodeInternal, true
	}
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if code.String() == f.Code {
			return code, true
		}
	}
	return 0, false
}

// Omits says whether the answer leaves something out.
func (f *Fault) Omits(what string) bool { return slices.Contains(f.Omit, what) }
