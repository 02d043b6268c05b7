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

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
)

func TestBrake(t *testing.T) {
	t.Parallel()
	limit := Brake{Rejections: 20, Share: 0.5}
	for name, test := range map[string]struct {
		answers string // x = rejected, a = accepted, ? = neither; and how often
		times   int
		on      bool
	}{
		"nineteen rejections and nothing else": {"x", 19, false},
		"twenty":                               {"x", 20, true},
		"a third of many":                      {"xaa", 200, false},
		"half of many":                         {"xa", 20, true},
		"what says nothing of tokens counts nothing": {"x????", 20, true},
		"a burst after much that was accepted":       {strings.Repeat("a", 1000) + strings.Repeat("x", 49), 1, false},
		"and its fiftieth":                           {strings.Repeat("a", 1000) + strings.Repeat("x", 50), 1, true},
		"it stays on while a third is rejected":      {strings.Repeat("x", 20) + strings.Repeat("xaa", 100), 1, true},
		"it comes off once few are":                  {strings.Repeat("x", 20) + strings.Repeat("xaaaaaaaaa", 20), 1, false},
	} {
		var b brake
		for _, answer := range strings.Repeat(test.answers, test.times) {
			b.note(map[rune]push.Outcome{'x': dead, 'a': delivered, '?': down}[answer], limit)
		}
		if b.on != test.on {
			t.Errorf("%s: on is %t", name, b.on)
		}
	}
}

func TestABurstOfRejectedTokensEmptiesNoRegistry(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: dead}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		for i := range 60 {
			w.give(ctx, d, fmt.Sprint("n", i))
		}
		if got := strings.Count(w.happened(), "im.devices"); got != 19 {
			t.Errorf("%d tokens were dropped, want those before the twentieth", got)
		}
		if got := strings.Count(w.happened(), "park credential_refused"); got != 41 {
			t.Errorf("%d records were parked, want the others", got)
		}
		if len(strings.Fields(p.took())) != 60 {
			t.Error("the brake stopped what is not rejected, too")
		}
		time.Sleep(time.Minute)
		if strings.Contains(w.happened(), "push.control") || !d.State().Credentials[0].Braked {
			t.Error("the parked records were told to come back while the brake is on")
		}
		d.Reset(control.Target{App: "demo", Credential: "c"})
		p.set(delivered)
		time.Sleep(time.Second)
		if got := strings.Count(w.happened(), "push.control"); got != 1 {
			t.Errorf("after an operator's word they were told to come back %d times", got)
		}
	})
}

func TestConcurrencyFollowsWhatTheProviderTakes(t *testing.T) {
	t.Parallel()
	const most = 400
	quota := push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Scope: push.ScopeCredential, Answer: "429"}
	timeout := push.Outcome{Disposition: push.Retry, Reason: push.ReasonTimeout, Scope: push.ScopeProvider}
	type second struct {
		outcome push.Outcome
		took    time.Duration
		flying  int
	}
	good := second{delivered, 50 * time.Millisecond, most}
	for name, test := range map[string]struct {
		seconds []second
		want    int
	}{
		"all is well":                             {[]second{good, good, good}, 400},
		"a quota halves it":                       {[]second{good, {quota, time.Millisecond, most}}, 200},
		"again and again, to a tenth":             {[]second{{quota, 0, 1}, {quota, 0, 1}, {quota, 0, 1}, {quota, 0, 1}, {quota, 0, 1}}, 40},
		"a time-out takes a fifth":                {[]second{good, {timeout, 10 * time.Second, most}}, 320},
		"so do answers that got much slower":      {[]second{good, {delivered, time.Second, most}}, 320},
		"answers that got a little slower do not": {[]second{good, {delivered, 200 * time.Millisecond, most}}, 400},
		"slow ones that always were do not":       {[]second{{delivered, 2 * time.Second, most}, {delivered, 2 * time.Second, most}}, 400},
		"it rises where it was reached":           {[]second{{quota, 0, 1}, good, good}, 240},
		"and not where nobody needs it":           {[]second{{quota, 0, 1}, {delivered, time.Millisecond, 3}}, 200},
	} {
		c := newConcurrency(most)
		at := now
		c.note(at, push.Outcome{}, 0, 0)
		for _, s := range test.seconds {
			at = at.Add(limitWindow)
			c.note(at, s.outcome, s.took, s.flying)
		}
		if got := c.places(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestACredentialAboveItsQuotaIsLeftAlone(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Scope: push.ScopeCredential,
		Answer: "429 QUOTA_EXCEEDED", RetryAfter: 20 * time.Second}}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, "a1")
		p.set(delivered)
		w.give(ctx, d, "a2")
		time.Sleep(19 * time.Second)
		if got := p.took(); got != "a1" {
			t.Errorf("sent %s within the time that the provider asked for", got)
		}
		time.Sleep(2 * time.Second)
		if got := p.took(); got != "a2" {
			t.Errorf("sent %q after it, want what waited", got)
		}
	})
	if got := w.happened(); !strings.Contains(got, "publish push.apns.retry.10s; mark a1 released") {
		t.Errorf("steps %s: an attempt was charged", got)
	}
}

func TestAThrottledDeviceWaitsAlone(t *testing.T) {
	t.Parallel()
	w := &world{}
	var mu sync.Mutex
	var sent []string
	s := push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		mu.Lock()
		defer mu.Unlock()
		for i, n := range batch {
			sent = append(sent, n.ID)
			if n.Device == "busy" {
				report(i, push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, Answer: "429", RetryAfter: 30 * time.Second})
			} else {
				report(i, delivered)
			}
		}
	})
	run(t, w, s, nil, func(ctx context.Context, d *Deliver) {
		d.Handle(ctx, []*stream.Record{w.record("b1", "busy"), w.record("b2", "busy")})
		synctest.Wait()
		d.Handle(ctx, []*stream.Record{w.inLane(push.LaneUrgent, "b3", "busy")})
		synctest.Wait()
		time.Sleep(25 * time.Second)
		w.give(ctx, d, "a1")
		d.Handle(ctx, []*stream.Record{w.record("b4", "busy")})
		synctest.Wait()
		time.Sleep(6 * time.Second)
		d.Handle(ctx, []*stream.Record{w.record("b5", "busy")})
		synctest.Wait()
	})
	if len(sent) != 3 || sent[1] != "a1" || sent[2] != "b5" {
		t.Errorf("sent %v, want one to the busy phone, one to another, and one after the time that the provider asked for", sent)
	}
	for _, id := range []string{"b2", "b3", "b4"} {
		if got := w.happened(); !strings.Contains(got, "event "+id+" retry device_throttled") || strings.Contains(got, "mark "+id) {
			t.Errorf("steps %s: %s was to wait without an attempt", got, id)
		}
	}
}

func TestThrottledDevicesAreBounded(t *testing.T) {
	t.Parallel()
	var d throttled
	for i := range 2 * maxThrottled {
		d.put(fmt.Append(nil, i), now, time.Minute)
	}
	d.put([]byte("a day"), now.Add(time.Hour), 24*time.Hour)
	if diff := cmp.Diff(1, len(d.until)); diff != "" {
		t.Errorf("remembered after their end (-want +got):\n%s", diff)
	}
	if got := d.left([]byte("a day"), now.Add(time.Hour)); got != longestThrottle {
		t.Errorf("left alone for %s", got)
	}
	if got := d.left([]byte("a day"), now.Add(3*time.Hour)); got != 0 || len(d.until) != 0 {
		t.Errorf("still left alone for %s", got)
	}
}
