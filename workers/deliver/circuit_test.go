package deliver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
)

var (
	delivered = push.Outcome{Disposition: push.Delivered, Answer: "200"}
	refused   = push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential, Answer: "403 InvalidProviderToken"}
	down      = push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Scope: push.ScopeProvider, Answer: "503"}
	dead      = push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Answer: "400 BadDeviceToken"}
)

// provider answers as it is told, and notes what was sent.
type provider struct {
	mu     sync.Mutex
	answer push.Outcome
	takes  time.Duration
	sent   []string
}

func (p *provider) sender() push.Sender {
	return push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		p.mu.Lock()
		o, takes := p.answer, p.takes
		for _, n := range batch {
			p.sent = append(p.sent, n.ID)
		}
		p.mu.Unlock()
		time.Sleep(takes)
		for i := range batch {
			report(i, o)
		}
	})
}

func (p *provider) set(o push.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = o
}

// took returns what was sent since the last call.
func (p *provider) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.sent = nil }()
	return strings.Join(p.sent, " ")
}

// give hands records over, each for a phone of its own, and waits until all is quiet.
func (w *world) give(ctx context.Context, d *Deliver, ids ...string) {
	batch := make([]*stream.Record, len(ids))
	for i, id := range ids {
		batch[i] = w.record(id, "phone-of-"+id)
	}
	d.Handle(ctx, batch)
	synctest.Wait()
}

// many is n ids.
func many(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, i)
	}
	return ids
}

func TestWhatAnAnswerSaysOfCredentialAndProvider(t *testing.T) {
	t.Parallel()
	ambiguous := push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true}
	for name, test := range map[string]struct {
		outcome              push.Outcome
		credential, provider error
	}{
		"delivered":                    {delivered, nil, nil},
		"token gone":                   {dead, nil, nil},
		"message refused":              {push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 BadTopic"}, nil, nil},
		"credential refused":           {refused, errFailed, nil},
		"key unreadable":               {push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential}, errFailed, errNothing},
		"provider down":                {down, errNothing, errFailed},
		"connection lost":              {ambiguous, errNothing, errFailed},
		"quota":                        {push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Scope: push.ScopeCredential, Answer: "429"}, errNothing, nil},
		"device throttled":             {push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, Answer: "429"}, nil, nil},
		"refused before it was sent":   {push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken}, nil, errNothing},
		"given up by the fleet":        {push.Outcome{Disposition: push.Retry, Reason: push.ReasonTimeout}, errNothing, errNothing},
		"a report that was never made": {push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Ambiguous: true}, errNothing, errNothing},
		"key's server does not answer": {push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Scope: push.ScopeCredential}, errNothing, errNothing},
	} {
		if got := ofCredential(test.outcome); got != test.credential {
			t.Errorf("%s: of the credential %v, want %v", name, got, test.credential)
		}
		if got := ofProvider(test.outcome); got != test.provider {
			t.Errorf("%s: of the provider %v, want %v", name, got, test.provider)
		}
	}
}

func TestWhenAProviderIsDown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answered, failed, inARow uint32
		want                     bool
	}{
		"few failures":                 {19, 19, 19, false},
		"twenty in a row":              {100_000, 20, 20, true},
		"half of all":                  {40, 20, 1, true},
		"less than half, not in a row": {41, 20, 19, false},
	} {
		c := gobreaker.Counts{TotalFailures: test.failed, TotalSuccesses: test.answered - test.failed, ConsecutiveFailures: test.inARow}
		if got := providerIsDown(c); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestARefusedCredentialParksUntilAProbePasses(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: refused}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, "a1")
		w.give(ctx, d, "a2", "a3")
		if got := p.took(); got != "a1" {
			t.Errorf("sent %s, want the first alone", got)
		}
		time.Sleep(refusedFor + time.Second)
		w.give(ctx, d, "b1", "b2")
		if got := p.took(); got != "b1" && got != "b2" {
			t.Errorf("sent %s, want one probe", got)
		}
		p.set(delivered)
		w.give(ctx, d, "c1")
		time.Sleep(refusedFor + time.Second)
		if got := w.happened(); strings.Contains(got, "push.control") || strings.Contains(got, "retry") || strings.Contains(got, "im.devices") {
			t.Errorf("steps %s: it was only to be parked", got)
		}
		w.give(ctx, d, "d1", "d2")
		time.Sleep(time.Second)
		w.give(ctx, d, "d3")
		if got := p.took(); !strings.HasPrefix(got, "d") || !strings.HasSuffix(got, "d3") {
			t.Errorf("sent %s, want the probe and, as it passed, what comes after", got)
		}
	})
	if got := strings.Count(w.happened(), "publish push.control"); got != 1 {
		t.Errorf("the parked records were told %d times to come back, want once", got)
	}
	for _, id := range []string{"a1", "a2", "a3", "b1", "b2", "c1"} {
		if !strings.Contains(w.happened(), "mark "+id+" released") || !strings.Contains(w.happened(), "event "+id+" park credential_refused") {
			t.Errorf("%s was not parked", id)
		}
	}
}

func TestAnOperatorsResumeOrANewKeyAsksAgainAtOnce(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: refused}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, "a1")
		p.set(delivered)
		d.Reset(control.Target{App: "other"})
		w.give(ctx, d, "a2")
		d.Reset(control.Target{Platform: "apns", App: "demo", Credential: "c"})
		w.give(ctx, d, "a3")
		if got := p.took(); got != "a1 a3" {
			t.Errorf("sent %s, want a1 a3", got)
		}
	})
}

func TestAProviderThatIsDownPausesTheFetchAndChargesNothing(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: down}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, many("x", 20)...)
		if w.fetched() != "resumed paused " {
			t.Errorf("the fetch was %s", w.fetched())
		}
		p.took()
		w.give(ctx, d, many("a", 5)...) // were read already
		time.Sleep(downFor - time.Second)
		if got := p.took(); got != "" {
			t.Errorf("sent %s to a provider that is down", got)
		}
		time.Sleep(2 * time.Second)
		if got := p.took(); len(strings.Fields(got)) != 1 {
			t.Errorf("sent %q, want one probe", got)
		}
		p.set(delivered)
		time.Sleep(downFor + time.Second)
		if got := p.took(); len(strings.Fields(got)) != 4 {
			t.Errorf("sent %q once it is back, want the four that waited", got)
		}
		if w.fetched() != "resumed paused resumed " {
			t.Errorf("the fetch was %s", w.fetched())
		}
	})
	if got := w.happened(); strings.Contains(got, " retry;") || strings.Contains(got, "dead") {
		t.Errorf("steps %s: an attempt was charged", got)
	}
}

func TestAProviderThatIsDownIsProbedWithWhatIsFetchedForIt(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: down}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, many("x", 20)...)
		time.Sleep(downFor + time.Second)
		if w.fetched() != "resumed paused resumed " {
			t.Errorf("the fetch was %s where nothing waits to probe with", w.fetched())
		}
		p.set(delivered)
		p.took()
		w.give(ctx, d, many("a", 50)...)
		time.Sleep(time.Second)
		if got := p.took(); len(strings.Fields(got)) != 50 {
			t.Errorf("%d were sent, want 50", len(strings.Fields(got)))
		}
		if w.fetched() != "resumed paused resumed " && w.fetched() != "resumed paused resumed paused resumed " {
			t.Errorf("the fetch was %s", w.fetched())
		}
	})
}

func TestWhatWaitsForAProviderIsGivenUpWithItsGeneration(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: down}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, many("x", 20)...)
		generation, end := context.WithCancel(ctx)
		w.give(generation, d, "a1")
		end()
		time.Sleep(2 * governEvery)
		synctest.Wait()
		if got := w.happened(); !strings.HasSuffix(got, "drop a1; mark a1 released") && !strings.HasSuffix(got, "mark a1 released; drop a1") {
			t.Errorf("steps %s", got)
		}
	})
}

func TestAnOperatorStops(t *testing.T) {
	t.Parallel()
	const parked = "publish push.apns.parked; mark a1 released; event a1 park paused; ack a1"
	for name, test := range map[string]struct {
		stop    string
		steps   string // while it is stopped
		fetches string
	}{
		"a platform: nothing is fetched, what was read waits": {"", "", "resumed paused "},
		"an app: its records are parked":                      {"demo/c", parked, "resumed "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := &world{}, &provider{answer: delivered}
			run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
				synctest.Wait()
				w.stop(test.stop, true)
				time.Sleep(time.Second)
				w.give(ctx, d, "a1")
				time.Sleep(30 * time.Minute)
				if diff := cmp.Diff(test.steps, w.happened()); diff != "" || p.took() != "" {
					t.Errorf("while it is stopped (-want +got):\n%s", diff)
				}
				if w.fetched() != test.fetches {
					t.Errorf("the fetch was %s, want %s", w.fetched(), test.fetches)
				}
				w.stop(test.stop, false)
				time.Sleep(time.Second)
				w.give(ctx, d, "a2")
				want := "a2"
				if test.steps == "" {
					want = "a1 a2"
				}
				if got := p.took(); got != want {
					t.Errorf("sent %q after it, want %q", got, want)
				}
			})
			if !strings.HasSuffix(w.fetched(), "resumed ") {
				t.Errorf("the fetch was %s", w.fetched())
			}
		})
	}
}
