package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/fleet"

	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// order writes a record of the control topic, as pushctl does.
func (f *embeddedFleet) order(m stream.Message, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	f.pub.Publish(f.t.Context(), m, func(err error) { done <- err })
	if err := <-done; err != nil {
		f.t.Fatal(err)
	}
}

func (f *embeddedFleet) pause(t control.Target) {
	f.t.Helper()
	f.order(control.PauseMessage(f.topics, control.Pause{Target: t, Since: time.Now()}))
}

func (f *embeddedFleet) resume(t control.Target) {
	f.t.Helper()
	f.order(control.ResumeMessage(f.topics, t))
}

// script gives the answers for tokens; none = every token.
func (f *embeddedFleet) script(c *pushtest.Control, tokens []string, answers ...pushtest.Answer) {
	f.t.Helper()
	if tokens == nil {
		tokens = []string{""}
	}
	for _, token := range tokens {
		if err := c.Script.Put(token, answers); err != nil {
			f.t.Fatal(err)
		}
	}
}

// arrive waits until so many pushes for some tokens were taken.
func (f *embeddedFleet) arrive(c *pushtest.Control, tokens []string, n int, what string) {
	f.t.Helper()
	eventually(f.t, patience, 50*time.Millisecond, what, func(context.Context) error {
		if got := accepted(c, tokens); got < n {
			return fmt.Errorf("%d of %d arrived", got, n)
		}
		return nil
	})
}

// outcomes counts the events of an app's notifications by disposition and reason, and says the highest attempt of any.
func (f *embeddedFleet) outcomes(app string) (counts map[string]int, attempt int32) {
	f.t.Helper()
	counts = map[string]int{}
	err := f.cluster.Scan(f.t.Context(), f.topics.Events(), nil, func(rec *stream.Record) bool {
		var pack schemasv1.Events
		if err := pack.UnmarshalVT(rec.Value); err != nil {
			f.t.Fatal(err)
		}
		for _, e := range pack.GetEvents() {
			if e.GetApp() == app && e.GetId() != "" {
				counts[e.GetDisposition()+" "+e.GetReason()]++
				attempt = max(attempt, e.GetAttempt())
			}
		}
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return counts, attempt
}

// awaitOutcomes waits until an app's notifications came to so many of an outcome.
func (f *embeddedFleet) awaitOutcomes(app, outcome string, n int) map[string]int {
	f.t.Helper()
	var counts map[string]int
	eventually(f.t, patience, 50*time.Millisecond, fmt.Sprintf("%d times %s of %s", n, outcome, app), func(context.Context) error {
		if counts, _ = f.outcomes(app); counts[outcome] < n {
			return fmt.Errorf("outcomes are %v", counts)
		}
		return nil
	})
	return counts
}

// uncharged fails where an attempt of an app's notifications was charged, one was lost or a token dropped.
func (f *embeddedFleet) uncharged(app string) {
	f.t.Helper()
	counts, attempt := f.outcomes(app)
	if attempt != 1 {
		f.t.Errorf("attempts were charged up to %d: %v", attempt, counts)
	}
	for outcome := range counts {
		if len(outcome) > 4 && (outcome[:4] == "dead" || outcome[:4] == "drop" || outcome[:4] == "filt") {
			f.t.Errorf("notifications of %s came to %s: %v", app, outcome, counts)
		}
	}
}

// unread is how many records a platform's deliver has not read.
func (f *embeddedFleet) unread(ctx context.Context, p push.Platform) (int64, error) {
	var topics []string
	for _, l := range push.Lanes {
		topics = append(topics, f.topics.Work(p, l))
	}
	rows, err := f.cluster.Lag(ctx, fleet.Group(f.cfg, string(fleet.RoleDeliver(p))), topics)
	n := int64(0)
	for _, row := range rows {
		n += row.Lag
	}
	return n, err
}

const fast = "default_app: demo\nretry: {delays: [1s], park: 1s, grace: 4s}\nshutdown: {grace: 3s}"

func TestARefusedCredentialParksItsOwnRecordsOnly(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": "", "other": ""})
	const users, messages = 20, 100
	provider := f.sim.APNs.Control()
	bad, good := f.phones("demo", "apns", users), f.phones("other", "apns", users)
	f.script(provider, bad, pushtest.Answer{Status: 403, Reason: "InvalidProviderToken", Times: -1})
	f.flood("demo", "apns", users, messages)
	f.flood("other", "apns", users, messages)
	f.arrive(provider, good, messages, "the other app's pushes")
	f.awaitOutcomes("demo", "park credential_refused", messages)
	if n := accepted(provider, bad); n != 0 {
		t.Errorf("%d pushes of a refused credential arrived", n)
	}
	f.script(provider, bad)
	f.resume(control.Target{App: "demo", Credential: "ios"}) // does not wait for the circuit's probe
	f.arrive(provider, bad, messages, "what was parked")
	f.awaitOutcomes("demo", "delivered ", messages)
	f.uncharged("demo")
	f.uncharged("other")
}

func TestAProviderThatIsDownIsNotReadForUntilItIsBack(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": "", "other": ""})
	const users, messages = 50, 200
	provider := f.sim.APNs.Control()
	tokens, others := f.phones("demo", "apns", users), f.phones("other", "apns", users)
	f.script(provider, nil, pushtest.Answer{Status: 503, Reason: "ServiceUnavailable", Times: -1})
	f.flood("demo", "apns", users, messages)
	f.awaitOutcomes("demo", "retry provider_unavailable", 20)
	f.flood("other", "apns", users, messages)
	eventually(t, patience, 50*time.Millisecond, "the lag to grow", func(ctx context.Context) error {
		n, err := f.unread(ctx, "apns")
		if err != nil || n < messages {
			return fmt.Errorf("%d are unread: %v", n, err)
		}
		return nil
	})
	if n := len(provider.Ledger.Entries("")); n > messages/2 {
		t.Errorf("a provider that is down was asked %d times for %d messages", n, 2*messages)
	}
	f.script(provider, nil)
	f.arrive(provider, tokens, messages, "every push")
	f.arrive(provider, others, messages, "every push of the other app")
	f.awaitOutcomes("demo", "delivered ", messages)
	f.awaitOutcomes("other", "delivered ", messages)
	f.uncharged("demo")
	f.uncharged("other")
}

func TestAPausedPlatformStaysPausedOverARestart(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": ""})
	const users, messages = 20, 60
	provider := f.sim.APNs.Control()
	tokens, pixels := f.phones("demo", "apns", users), f.phones("demo", "fcm", users)
	f.pause(control.Target{Platform: "apns"})
	f.stop()
	f.run()
	f.flood("demo", "apns", users, messages)
	f.flood("demo", "fcm", users, messages)
	f.arrive(f.sim.FCM.Control(), pixels, messages, "the other platform's pushes")
	eventually(t, patience, 50*time.Millisecond, "the records to wait", func(ctx context.Context) error {
		n, err := f.unread(ctx, "apns")
		if err != nil || n < messages {
			return fmt.Errorf("%d are unread: %v", n, err)
		}
		return nil
	})
	if n := accepted(provider, tokens); n != 0 {
		t.Errorf("%d pushes of a paused platform were sent", n)
	}
	f.resume(control.Target{Platform: "apns"})
	f.arrive(provider, tokens, messages, "what was paused")
	f.awaitOutcomes("demo", "delivered ", 2*messages)
	f.uncharged("demo")
}

func TestAPausedAppWaitsAndLosesNothing(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": "", "other": ""})
	const users, messages = 20, 60
	provider := f.sim.APNs.Control()
	tokens, good := f.phones("demo", "apns", users), f.phones("other", "apns", users)
	f.pause(control.Target{App: "demo"})
	f.stop()
	f.run()
	f.flood("demo", "apns", users, messages)
	f.flood("other", "apns", users, messages)
	f.arrive(provider, good, messages, "the other app's pushes")
	f.awaitOutcomes("demo", "park paused", messages)
	if n := accepted(provider, tokens); n != 0 {
		t.Errorf("%d pushes of a paused app were sent", n)
	}
	f.resume(control.Target{App: "demo"})
	f.arrive(provider, tokens, messages, "what was paused")
	f.awaitOutcomes("demo", "delivered ", messages)
	f.uncharged("demo")
}

func TestABurstOfBadTokensIsBraked(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": ""})
	const users = 100
	provider := f.sim.APNs.Control()
	tokens := f.phones("demo", "apns", users)
	f.script(provider, nil, pushtest.Answer{Status: 400, Reason: "BadDeviceToken", Times: -1})
	f.flood("demo", "apns", users, users)
	counts := f.awaitOutcomes("demo", "park credential_refused", users-19)
	dropped := counts["drop_token bad_token"]
	if dropped > 19 {
		t.Errorf("%d of %d tokens were dropped", dropped, users)
	}
	f.script(provider, nil)
	f.resume(control.Target{App: "demo", Credential: "ios"})
	f.arrive(provider, tokens, users-dropped, "what was parked")
	if _, attempt := f.outcomes("demo"); attempt != 1 {
		t.Errorf("attempts were charged up to %d", attempt)
	}
}

func TestFCMIsAskedTwiceBeforeATokenIsDropped(t *testing.T) {
	t.Parallel()
	f := startEmbedded(t, 20, fast, map[string]string{"demo": ""})
	provider := f.sim.FCM.Control()
	tokens := f.phones("demo", "fcm", 2)
	gone := pushtest.Answer{Status: 404, Reason: "UNREGISTERED"}
	f.script(provider, tokens[:1], gone) // once: a false alarm
	gone.Times = -1
	f.script(provider, tokens[1:], gone)
	f.flood("demo", "fcm", 2, 2)
	f.awaitOutcomes("demo", "retry unregistered", 2)
	if counts, _ := f.outcomes("demo"); counts["drop_token unregistered"] != 0 {
		t.Errorf("a token was dropped at once: %v", counts)
	}
	f.arrive(provider, tokens[:1], 1, "the push to the phone that is there")
	counts := f.awaitOutcomes("demo", "drop_token unregistered", 1)
	if counts["drop_token unregistered"] != 1 || counts["delivered "] != 1 {
		t.Errorf("outcomes are %v", counts)
	}
	first, last := time.Time{}, time.Time{}
	for _, e := range provider.Ledger.Entries(tokens[1]) {
		if first.IsZero() {
			first = e.Time
		}
		last = e.Time
	}
	if last.Sub(first) < 4*time.Second {
		t.Errorf("asked again after %s", last.Sub(first))
	}
}
