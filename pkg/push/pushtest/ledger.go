package pushtest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Entry is one request and how it was answered.
type Entry struct {
	Time     time.Time         `json:"time"` // when it was answered
	Platform push.Platform     `json:"platform"`
	ID       string            `json:"id"` // what duplicates are counted by
	Token    string            `json:"token"`
	Headers  map[string]string `json:"headers"` // names in lower case, without authorization
	Body     json.RawMessage   `json:"body"`    // as received; a JSON string where it is not JSON
	Status   int               `json:"status"`  // 0 = no answer, the connection failed by script
	Reason   string            `json:"reason,omitempty"`
}

// Limits bound the memory of a [Ledger]. The oldest entries leave first.
type Limits struct {
	Entries int
	Bytes   int // of encoded lines; the index costs about 100 bytes an entry on top
}

// DefaultLimits keeps a million entries, or 512 MiB of them: a load test of two minutes at full rate.
func DefaultLimits() Limits { return Limits{Entries: 1_000_000, Bytes: 512 << 20} }

// Ledger keeps requests as encoded lines, which cost a garbage collector less than maps. Safe for concurrent use.
type Ledger struct {
	limits Limits

	mu       sync.Mutex
	lines    []line // a queue: the live ones start at head
	head     int
	bytes    int
	accepted map[string]int // by id, of the lines that are kept
	counts   Counts
}

type line struct {
	token, id string
	accepted  bool
	json      []byte
}

// Counts sums up a ledger since its last reset.
type Counts struct {
	Requests   int            `json:"requests"`
	Accepted   int            `json:"accepted"`   // answered 200
	Duplicates map[string]int `json:"duplicates"` // acceptances of an id beyond its first, among the entries that are kept
	Dropped    int            `json:"dropped"`    // entries that left because of the limits
}

// NewLedger returns an empty ledger.
func NewLedger(limits Limits) *Ledger {
	return &Ledger{limits: limits, accepted: make(map[string]int)}
}

// Add appends an entry; the caller may reuse what it points to.
func (l *Ledger) Add(e Entry) {
	entry := line{token: e.Token, id: e.ID, accepted: e.Status == http.StatusOK, json: appendEntry(nil, e)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, entry)
	l.bytes += len(entry.json)
	l.counts.Requests++
	if entry.accepted {
		l.counts.Accepted++
		l.accepted[entry.id]++
	}
	for live := len(l.lines) - l.head; live > l.limits.Entries || l.bytes > l.limits.Bytes; live-- {
		l.dropOldest()
	}
}

func (l *Ledger) dropOldest() {
	oldest := l.lines[l.head]
	l.lines[l.head] = line{}
	l.head++
	l.bytes -= len(oldest.json)
	l.counts.Dropped++
	if oldest.accepted {
		if l.accepted[oldest.id]--; l.accepted[oldest.id] == 0 {
			delete(l.accepted, oldest.id)
		}
	}
	if l.head > len(l.lines)/2 {
		l.lines = append([]line(nil), l.lines[l.head:]...)
		l.head = 0
	}
}

// Entries returns the entries of a token, oldest first; of every token where it is "".
func (l *Ledger) Entries(token string) []Entry {
	var entries []Entry
	for _, encoded := range l.encoded(token) {
		var e Entry
		if err := json.Unmarshal(encoded, &e); err != nil {
			panic("pushtest: the ledger holds a line that is not an entry: " + err.Error())
		}
		entries = append(entries, e)
	}
	return entries
}

// WriteTo writes the entries of a token, or of every token where it is "", as JSON lines, oldest first.
func (l *Ledger) WriteTo(w io.Writer, token string) error {
	for _, encoded := range l.encoded(token) {
		if _, err := w.Write(encoded); err != nil {
			return err
		}
	}
	return nil
}

// encoded returns the lines of a token. They never change, so they may be read without the lock.
func (l *Ledger) encoded(token string) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found [][]byte
	for _, entry := range l.lines[l.head:] {
		if token == "" || entry.token == token {
			found = append(found, entry.json)
		}
	}
	return found
}

// Counts sums up.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := l.counts
	counts.Duplicates = make(map[string]int)
	for id, times := range l.accepted {
		if times > 1 {
			counts.Duplicates[id] = times - 1
		}
	}
	return counts
}

// Reset forgets every entry and starts counting anew.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.head, l.bytes = nil, 0, 0
	l.accepted = make(map[string]int)
	l.counts = Counts{}
}

// appendEntry writes e as one JSON line, without reflection: the ledger must not slow the simulator.
func appendEntry(dst []byte, e Entry) []byte {
	dst = append(dst, `{"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","platform":`...)
	dst = appendString(dst, string(e.Platform))
	dst = append(dst, `,"id":`...)
	dst = appendString(dst, e.ID)
	dst = append(dst, `,"token":`...)
	dst = appendString(dst, e.Token)
	dst = append(dst, `,"headers":{`...)
	for i, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, e.Headers[name])
	}
	dst = append(dst, `},"body":`...)
	dst = appendBody(dst, e.Body)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	if e.Reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, e.Reason)
	}
	return append(dst, '}', '\n')
}

func appendBody(dst []byte, body []byte) []byte {
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return appendString(dst, string(body))
	}
	return append(dst, compact.Bytes()...)
}

// appendString quotes s; bytes that are not UTF-8 become U+FFFD, which is what the error of AppendQuote is about.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
