package fleet_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/workers/control"
)

// faultCase is a fault script that plays while pushes to both platforms flow.
type faultCase struct {
	name   string
	script string // see docs/simulators.md
	cold   bool   // it plays from the first connection on; else the connections are there
	// suffered are the answers that the ledgers must show where no fault of the script comes by count.
	suffered []string
	// ends are how notifications may end besides delivered, as "drop_token unregistered".
	ends []string
	// twice says that a push may arrive twice: its first answer was lost, or said nothing.
	twice bool
	// operator ends the script and resumes the credentials once a notification is parked.
	operator bool
}

const (
	faultUsers    = 40  // of each platform
	faultMessages = 150 // likewise
	faultsAtOnce  = 10  // whatever the number of processors: nearly all of it is waiting
)

const faultSettings = "default_app: demo\nretry: {delays: [1s], park: 1s, grace: 1s, max_attempts: 20}\nshutdown: {grace: 3s}"

func faultCases() []faultCase {
	return []faultCase{
		{name: "GOAWAY, what is in flight is answered", script: `
faults: [{name: rotation, do: goaway, every: 20}]`},
		{name: "GOAWAY before a request", script: `
faults: [{name: goaway, do: goaway, last: before, after: 10, every: 30}]`},
		{name: "GOAWAY, and the connection ends at once", twice: true, script: `
apns: {latency: 30ms}
fcm: {latency: 30ms}
faults: [{name: goaway, do: goaway, last: none, close: true, after: 10, every: 40, times: 4}]`},
		{name: "every connection ends young", script: `
apns: {latency: 20ms}
fcm: {latency: 20ms}
faults: [{name: rotation, where: connection, age: 150ms, do: goaway}]`},
		{name: "RST_STREAM", script: `
faults: [{name: reset, share: 0.1, do: reset_stream}]`},
		{name: "RST_STREAM of what was accepted", twice: true, script: `
faults: [{name: lost answer, every: 10, do: reset_stream, accepted: true}]`},
		{name: "REFUSED_STREAM", script: `
faults: [{name: refused, share: 0.2, do: refuse_stream}]`},
		{name: "connections reset in the middle of an answer", twice: true, script: `
faults: [{name: cut, after: 10, every: 40, times: 4, do: cut, accepted: true}]`},
		{name: "connections closed before TLS", cold: true, script: `
faults: [{name: hangup, where: connect, times: 3, do: hangup}]`},
		{name: "TLS never begins", cold: true, script: `
faults: [{name: stall, where: connect, times: 1, do: stall}]`},
		{name: "no answer ever", script: `
faults: [{name: hang, every: 40, do: hang}]`},
		{name: "a connection falls silent", twice: true, script: `
faults: [{name: silence, after: 20, times: 1, do: silence}]`},
		{name: "failures whose bodies are no JSON", script: `
faults:
- {name: page, share: 0.05, do: answer, status: 502, body: "<html>Bad Gateway</html>", content_type: text/html, retry_after: 1s}
- {name: half, share: 0.05, do: answer, status: 500, body: '{"reason":'}
- {name: nothing, share: 0.05, do: answer, status: 503, omit: [body, date, apns-id]}`},
		{name: "successes whose bodies are no JSON", twice: true, script: `
faults: [{name: page, every: 30, do: answer, status: 200, body: "<html>", content_type: text/html}]`},
		{name: "429 for a device", script: `
apns: {device_rate: {burst: 1, every: 2s}}
fcm: {device_quotas: [{messages: 1, per: 2s}]}`, suffered: []string{"429 TooManyRequests", "429 QUOTA_EXCEEDED"}},
		{name: "429 with a date", script: `
faults:
- {name: device, platform: apns, share: 0.1, do: answer, status: 429, reason: TooManyRequests, retry_after: 1s, retry_as: date}
- {name: project, platform: fcm, share: 0.1, do: answer, status: 429, reason: QUOTA_EXCEEDED, retry_after: 1s, retry_as: date}`},
		{name: "a project's quota", script: `
fcm: {project_quota: {messages: 60, per: 1s}}`, suffered: []string{"429 QUOTA_EXCEEDED"}},
		{name: "a brown-out", script: `
faults:
- {name: apns, platform: apns, until: 2s, share: 0.3, do: answer, status: 503, reason: ServiceUnavailable}
- {name: fcm, platform: fcm, until: 2s, share: 0.3, do: answer, status: 503, reason: UNAVAILABLE, retry_after: 1s}`},
		{name: "a provider is down", script: `
faults:
- {name: apns, platform: apns, until: 3s, do: answer, status: 503, reason: Shutdown}
- {name: fcm, platform: fcm, until: 3s, do: answer, status: 500, reason: INTERNAL}`},
		{name: "ExpiredProviderToken, once", operator: true, script: `
faults: [{name: expired, platform: apns, after: 10, times: 1, do: answer, status: 403, reason: ExpiredProviderToken}]`},
		{name: "ExpiredProviderToken, whatever is signed", operator: true, script: `
apns: {token_age: 1s, wedge_expired: true}`, suffered: []string{"403 ExpiredProviderToken"}},
		{name: "TooManyProviderTokenUpdates", operator: true, script: `
faults: [{name: updates, platform: apns, every: 50, do: answer, status: 429, reason: TooManyProviderTokenUpdates}]`},
		{name: "Google's OAuth fails", cold: true, script: `
faults:
- {name: reset, where: oauth, times: 1, do: reset_stream}
- {name: page, where: oauth, times: 1, do: answer, status: 500, body: "<html>"}`},
		{name: "Google's OAuth hangs", cold: true, script: `
faults: [{name: hang, where: oauth, times: 1, do: hang}]`},
		{name: "Google's OAuth refuses", cold: true, script: `
faults: [{name: grant, where: oauth, times: 1, do: answer, status: 400, reason: invalid_grant}]`},
		{name: "access tokens are revoked", script: `
fcm: {revoke_at: [100ms]}`, suffered: []string{"401 UNAUTHENTICATED"}},
		{name: "stream limits shrink", script: `
apns: {latency: 20ms, streams: {then: 50, steps: [{at: 100ms, streams: 5}, {at: 300ms, streams: 1}, {at: 800ms, streams: 100}]}}
fcm: {latency: 20ms, streams: {then: 50, steps: [{at: 100ms, streams: 5}, {at: 300ms, streams: 1}, {at: 800ms, streams: 100}]}}`},
		{name: "dead tokens", ends: []string{"drop_token unregistered", "filter no_token"}, script: `
faults:
- {name: apns, platform: apns, share: 0.15, by: token, do: answer, status: 410, reason: Unregistered, omit: [timestamp]}
- {name: fcm, platform: fcm, share: 0.15, by: token, do: answer, status: 404, reason: UNREGISTERED}`},
	}
}

// TestFaults plays every fault of the simulators while messages flow, over each transport: each push is delivered, or ends
// with the reason that the fault gives it; nothing goes to a phone that is not its own; and only where an answer was lost
// may a push arrive twice. It needs no server, but true time-outs and pauses.
func TestFaults(t *testing.T) {
	t.Parallel()
	if os.Getenv("PUSHFLEET_TEST_KAFKA") == "" {
		t.Skip("takes minutes: run scripts/integration ./workers/fleet")
	}
	var playing sync.WaitGroup
	turns := make(chan struct{}, faultsAtOnce)
	for _, c := range faultCases() {
		for _, transport := range transports {
			turns <- struct{}{}
			playing.Go(func() {
				defer func() { <-turns }()
				t.Run(transport+"/"+c.name, func(t *testing.T) { c.play(t, transport) })
			})
		}
	}
	playing.Wait()
}

// transports are those of both platforms.
var transports = []string{"h2", "std"}

func (c *faultCase) play(t *testing.T, transport string) {
	f := embedded{transport: transport, concurrency: 100, settings: faultSettings, policies: map[string]string{"demo": ""}}.start(t)
	tokens := map[push.Platform][]string{"apns": f.phones("demo", "apns", faultUsers), "fcm": f.phones("demo", "fcm", faultUsers)}
	due := map[pair]string{}
	send := func(from, to int) {
		for i := from; i < to; i++ {
			for p, phones := range tokens {
				key := f.text(p, userOf(p, i%faultUsers), i)
				due[pair{key, phones[i%faultUsers]}] = userOf(p, i%faultUsers)
			}
		}
	}
	warm := faultMessages / 10
	if c.cold {
		warm = 0
	}
	send(0, warm)
	eventually(t, patience, 10*time.Millisecond, "the first pushes", func(context.Context) error { return tallyOf(t, f.sim, due).missing() })
	f.suffer(c.script)
	began := time.Now()
	for sent := warm; sent < faultMessages; { // over half a second
		until := min(faultMessages, warm+int(time.Since(began).Seconds()*2*float64(faultMessages)))
		send(sent, until)
		sent = until
		time.Sleep(5 * time.Millisecond) // paces
	}
	if c.operator {
		f.awaitEnds(len(due), true)
		f.suffer("")
		for _, name := range []string{"ios", "android"} {
			f.resume(control.Target{App: "demo", Credential: name})
		}
	}
	ends := f.awaitEnds(len(due), false)
	took := time.Since(began)
	c.judge(t, f, due, ends, took)
}

// judge compares what the phones got and how the notifications ended with what the case allows.
func (c *faultCase) judge(t *testing.T, f *embeddedFleet, due map[pair]string, ends *endings, took time.Duration) {
	t.Helper()
	got := tallyOf(t, f.sim, due)
	t.Logf("%d pushes in %s: %v after %v, the highest attempt %d, %d duplicates, %d unexpected; not accepted: %v", len(due),
		took.Round(time.Millisecond), ends.counts, ends.met, ends.attempt, got.duplicates, len(got.unexpected), got.refused)
	other := 0
	for end, n := range ends.counts {
		if end != "delivered " && !slices.Contains(c.ends, end) {
			t.Errorf("%d notifications ended as %s", n, end)
		} else if end != "delivered " {
			other += n
		}
	}
	if len(got.absent) > other {
		t.Errorf("%s, but only %d ended otherwise", some(len(got.absent), "missing", got.absent), other)
	}
	if len(got.unexpected) > 0 {
		t.Error(some(len(got.unexpected), "unexpected", got.unexpected))
	}
	known := ends.unexcused(got.repeated) // time-outs come on a busy machine
	if len(known) > 0 && !c.twice {
		t.Error(some(len(known), "repeated after a fault that says what was delivered", known))
	}
	if len(c.ends) > 0 && other == 0 {
		t.Errorf("no notification ended as one of %q", c.ends)
	}
	c.proved(t, f)
}

// proved fails where the fault never came.
func (c *faultCase) proved(t *testing.T, f *embeddedFleet) {
	t.Helper()
	answers := map[string]int{}
	for _, control := range []*pushtest.Control{f.sim.APNs.Control(), f.sim.FCM.Control()} {
		maps.Copy(answers, control.Ledger.Counts().Answers)
	}
	for _, want := range c.suffered {
		if answers[want] == 0 {
			t.Errorf("nothing was answered %s: %v", want, answers)
		}
	}
	script, err := faults.Parse([]byte(c.script))
	if err != nil {
		t.Fatal(err)
	}
	if c.operator { // it is over, with its counts
		return
	}
	for _, fault := range script.Faults {
		hits := f.sim.APNs.Control().Faults.State().Hits[fault.Name] + f.sim.FCM.Control().Faults.State().Hits[fault.Name]
		if hits == 0 {
			t.Errorf("%s never came", fault.Name)
		}
	}
}

// suffer gives both simulators a fault script; "" = none.
func (f *embeddedFleet) suffer(script string) {
	f.t.Helper()
	parsed, err := faults.Parse([]byte(script))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range []*pushtest.Control{f.sim.APNs.Control(), f.sim.FCM.Control()} {
		if err := c.Faults.Put(parsed); err != nil {
			f.t.Fatal(err)
		}
	}
}

// awaitEnds waits until so many pushes have an end; with orPark, it also returns once one was parked.
func (f *embeddedFleet) awaitEnds(n int, orPark bool) *endings {
	f.t.Helper()
	var ends *endings
	eventually(f.t, patience, 50*time.Millisecond, fmt.Sprintf("%d pushes to end", n), func(context.Context) error {
		ends = f.endings()
		if len(ends.last) < n && !(orPark && ends.met["park credential_refused"] > 0) {
			return fmt.Errorf("%d did: %v after %v", len(ends.last), ends.counts, ends.met)
		}
		return nil
	})
	return ends
}
