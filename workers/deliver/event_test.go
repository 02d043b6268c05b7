package deliver

import (
	"context"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// TestEventsTellWhenAnAttemptBeganAndWhenTheNextIsDue: a timeline shows both.
func TestEventsTellWhenAnAttemptBeganAndWhenTheNextIsDue(t *testing.T) {
	t.Parallel()
	const took = 300 * time.Millisecond
	for name, test := range map[string]struct {
		admission registry.Verdict
		outcome   push.Outcome
		admitted  bool
		due       time.Duration // after the answer; 0 = there is no other attempt
	}{
		"delivered": {registry.Go, push.Outcome{Disposition: push.Delivered}, true, 0},
		"repeated":  {registry.Go, push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Ambiguous: true}, true, 10 * time.Second},
		"as the provider asks": {registry.Go, push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, RetryAfter: 45 * time.Second}, true,
			45 * time.Second},
		"parked":            {registry.Go, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused}, true, 0},
		"filtered":          {registry.Filtered, push.Outcome{}, false, 0},
		"another's for now": {registry.Leased, push.Outcome{}, false, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events []*schemasv1.Event
			var began, answered time.Time
			w := &world{event: func(e *schemasv1.Event) { events = append(events, e) }, admit: func(registry.AdmitRequest) registry.Admission {
				began = time.Now()
				answered = began
				return registry.Admission{Verdict: test.admission, Reason: push.ReasonForeground}
			}}
			sender := push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
				time.Sleep(took)
				answered = time.Now()
				for i := range batch {
					report(i, test.outcome)
				}
			})
			run(t, w, sender, nil, func(ctx context.Context, d *Deliver) {
				d.Handle(ctx, []*stream.Record{w.record("n1", "phone")})
				time.Sleep(time.Second)
			})
			if len(events) != 1 {
				t.Fatalf("%d events", len(events))
			}
			var admitted, due int64
			if test.admitted {
				admitted = began.UnixMilli()
			}
			if test.due > 0 {
				due = answered.Add(test.due).UnixMilli()
			}
			if e := events[0]; e.GetAdmittedMs() != admitted || e.GetDueMs() != due || e.GetTimeMs() != answered.UnixMilli() {
				t.Errorf("admitted at %d, want %d; due at %d, want %d; told at %d, want %d", e.GetAdmittedMs(), admitted, e.GetDueMs(), due,
					e.GetTimeMs(), answered.UnixMilli())
			}
		})
	}
}
