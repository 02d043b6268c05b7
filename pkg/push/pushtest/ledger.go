package pushtest

import (
	"encoding/json"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

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
	// Replaces is the ID of the accepted push that this one takes the place of on the device: it went to the same token
	// under the same collapse id, key or tag.
	Replaces string `json:"replaces,omitempty"`
}

// Record is an entry as a simulator has it at hand. The ledger keeps nothing of what it points to.
type Record struct {
	Time     time.Time
	Platform push.Platform
	ID       string
	Token    string
	Header   []hpack.HeaderField // names in lower case, in any order; authorization is left out of the ledger
	Body     []byte
	Status   int
	Reason   string
	Collapse string // what pushes to one token replace each other by; "" = nothing
}

// Limits bound the memory of a [Ledger]. The oldest entries leave first.
type Limits struct {
	Entries int
	Bytes   int // of encoded lines; the index costs about 100 bytes an entry on top
	// CountOnly keeps no lines: nothing but counts, and a hash of as many accepted ids as Entries says, so that
	// duplicates are still counted. For loads that a line each would slow.
	CountOnly bool
}

// DefaultLimits keeps a million entries, or 512 MiB of them: a load test of two minutes at full rate.
func DefaultLimits() Limits { return Limits{Entries: 1_000_000, Bytes: 512 << 20} }

// Ledger keeps requests as encoded lines, which cost a garbage collector less than maps. Safe for concurrent use.
type Ledger struct {
	limits Limits
	seed   maphash.Seed

	mu       sync.Mutex
	lines    []line // a queue: the live ones start at head
	head     int
	bytes    int
	accepted map[string]int // by id, of the lines that are kept
	hashes   *idHashes      // in accepted's place where only counts are kept
	counts   Counts
	answers  map[verdict]int
	shown    map[string]string // by token and what it is replaced by: the id of the last accepted push
}

// maxShown bounds the pushes that may be replaced; beyond it all are forgotten.
const maxShown = 100_000

type line struct {
	token, id string
	accepted  bool
	json      []byte
}

// verdict is what answers are counted by.
type verdict struct {
	status int
	reason string
}

// maxVerdicts bounds the different answers that are counted one by one: reasons may come from a script.
const maxVerdicts = 1000

// Counts sums up a ledger since its last reset.
type Counts struct {
	Requests   int            `json:"requests"`
	Accepted   int            `json:"accepted"`        // answered 200
	Duplicates map[string]int `json:"duplicates"`      // acceptances of an id beyond its first, among the entries that are kept
	Again      int            `json:"duplicate_count"` // the sum of Duplicates, which alone is known where only counts are kept
	Dropped    int            `json:"dropped"`         // entries that left because of the limits
	Answers    map[string]int `json:"answers"`         // by status and reason, as "503 ServiceUnavailable"; 0 = no answer
}

// NewLedger returns an empty ledger.
func NewLedger(limits Limits) *Ledger {
	l := &Ledger{limits: limits, seed: maphash.MakeSeed()}
	l.clear()
	return l
}

// Limit changes the limits, and forgets everything.
func (l *Ledger) Limit(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
	l.clear()
}

// Add appends an entry; the caller may reuse what it points to.
func (l *Ledger) Add(e Entry) {
	r := Record{Time: e.Time, Platform: e.Platform, ID: e.ID, Token: e.Token, Body: e.Body, Status: e.Status, Reason: e.Reason}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		r.Header = append(r.Header, hpack.HeaderField{Name: name, Value: e.Headers[name]})
	}
	l.Record(r)
}

// Record appends a record as an entry.
func (l *Ledger) Record(r Record) {
	var entry line
	l.mu.Lock()
	countOnly := l.limits.CountOnly
	replaces := ""
	if !countOnly {
		replaces = l.replace(r)
	}
	l.mu.Unlock()
	if !countOnly {
		entry = line{token: r.Token, id: r.ID, accepted: r.Status == http.StatusOK, json: appendRecord(nil, r, replaces)} // the slow part, outside the lock
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(r)
	if l.limits.CountOnly || entry.json == nil {
		return
	}
	l.lines = append(l.lines, entry)
	l.bytes += len(entry.json)
	if entry.accepted {
		l.accepted[entry.id]++
	}
	for live := len(l.lines) - l.head; live > l.limits.Entries || l.bytes > l.limits.Bytes; live-- {
		l.dropOldest()
	}
}

// replace remembers what a device shows, and returns the id that r takes the place of.
func (l *Ledger) replace(r Record) (id string) {
	if r.Collapse == "" || r.Status != http.StatusOK {
		return ""
	}
	key := r.Token + "\x00" + r.Collapse
	id = l.shown[key]
	if len(l.shown) >= maxShown {
		clear(l.shown)
	}
	l.shown[key] = r.ID
	return id
}

func (l *Ledger) count(r Record) {
	l.counts.Requests++
	if r.Status == http.StatusOK {
		l.counts.Accepted++
		if l.limits.CountOnly && l.hashes.again(maphash.String(l.seed, r.ID)) {
			l.counts.Again++
		}
	}
	v := verdict{r.Status, r.Reason}
	if _, known := l.answers[v]; !known && len(l.answers) >= maxVerdicts {
		v.reason = "other"
	}
	l.answers[v]++
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
			counts.Again += times - 1
		}
	}
	counts.Answers = make(map[string]int, len(l.answers))
	for v, n := range l.answers {
		word := strconv.Itoa(v.status)
		if v.reason != "" {
			word += " " + v.reason
		}
		counts.Answers[word] = n
	}
	return counts
}

// Reset forgets every entry and starts counting anew.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *Ledger) clear() {
	l.lines, l.head, l.bytes = nil, 0, 0
	l.accepted = make(map[string]int)
	l.hashes = newIDHashes(l.limits.Entries)
	l.answers = make(map[verdict]int)
	l.shown = make(map[string]string)
	l.counts = Counts{}
}
