package callback

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

// receiver is an IM service: it says by answer what becomes of a request, and counts what it has accepted.
type receiver struct {
	mu     sync.Mutex
	answer func(events []string) (status int, headers http.Header, err error)
	told   map[string]int // how often, by EventID
	sizes  []int          // events of each accepted callback
	posts  int
}

// RoundTrip implements [http.RoundTripper]: no socket, so that tests run on a clock of their own.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var body struct {
		App    string
		Events []struct{ EventID string }
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range body.Events {
		ids = append(ids, e.EventID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	status, headers, err := http.StatusOK, http.Header(nil), error(nil)
	if r.answer != nil {
		status, headers, err = r.answer(ids)
	}
	if err != nil {
		return nil, err
	}
	if status == http.StatusOK {
		for _, id := range ids {
			r.told[id]++
		}
		r.sizes = append(r.sizes, len(ids))
	}
	return &http.Response{StatusCode: status, Header: headers, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

// accepted says how many requests there were, and how often each event was accepted.
func (r *receiver) accepted() (posts int, told map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts, maps.Clone(r.told)
}

// letters takes dead letters.
type letters struct {
	mu  sync.Mutex
	all []stream.Message
	err error
}

func (l *letters) Publish(_ context.Context, m stream.Message, done func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.all = append(l.all, m)
	}
	go done(l.err)
}

func (l *letters) taken() []stream.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// rig is a callback of the app demo with its surroundings.
type rig struct {
	*Callback
	t        *testing.T
	receiver *receiver
	letters  *letters
	results  map[Result]int // events of attempts
	mu       sync.Mutex
	stop     func()
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets, err := OpenSecrets(file, "", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, receiver: &receiver{told: map[string]int{}}, letters: &letters{}, results: map[Result]int{}}
	cfg := Config{App: "demo", URL: "https://im.example.com/push", Secrets: secrets, Batch: MaxBatch, Linger: time.Second, Timeout: 5 * time.Second,
		Concurrency: 4, MaxAge: 24 * time.Hour, Now: time.Now, Observe: func(_ string, result Result, events int, _ time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.results[result] += events
		}}
	if change != nil {
		change(&cfg)
	}
	r.Callback = New(cfg, r.letters, zap.NewNop())
	r.client = &http.Client{Transport: r.receiver, CheckRedirect: r.client.CheckRedirect}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
	return r
}

// dead is how many events became dead letters, as they were counted.
func (r *rig) dead() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results[Dead]
}

// fate is what became of records.
type fate struct {
	mu             sync.Mutex
	acked, dropped map[int64]bool // by offset
}

func newFate() *fate { return &fate{acked: map[int64]bool{}, dropped: map[int64]bool{}} }

func (f *fate) follow(rec *stream.Record) *stream.Record {
	rec.OnAck(func(acked bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if acked {
			f.acked[rec.Offset] = true
		} else {
			f.dropped[rec.Offset] = true
		}
	})
	return rec
}

func (f *fate) counts() (acked, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.acked), len(f.dropped)
}

func (f *fate) isAcked(offset int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked[offset]
}

func (f *fate) isDropped(offset int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped[offset]
}

// packs are records of push.events, each with so many events, of which every other is another app's.
func packs(t *testing.T, records, each int) []*stream.Record {
	t.Helper()
	var all []*stream.Record
	for i := range records {
		pack := new(schemasv1.Events)
		for j := range each {
			e := event(i*each + j)
			pack.Events = append(pack.Events, e, &schemasv1.Event{App: "other", MsgKey: e.GetMsgKey(), Disposition: "delivered"})
		}
		value, err := pack.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &stream.Record{Topic: "push.events", Offset: int64(i), Time: time.Now(), Value: value})
	}
	return all
}

func event(i int) *schemasv1.Event {
	return &schemasv1.Event{App: "demo", MsgKey: oneToOne, User: "bob", Device: "d", Platform: "apns", Id: "x" + string(rune('a'+i%26)) + time.Duration(i).String(),
		Disposition: "delivered", TimeMs: 1790000000150, Attempt: 1}
}

// failing refuses a share of the requests in several ways.
func failing(share float64, random *rand.Rand) func([]string) (int, http.Header, error) {
	return func([]string) (int, http.Header, error) {
		if random.Float64() >= share {
			return http.StatusOK, nil, nil
		}
		switch random.IntN(3) {
		case 0:
			return http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}, nil
		case 1:
			return http.StatusInternalServerError, nil, nil
		}
		return 0, nil, io.ErrUnexpectedEOF
	}
}
