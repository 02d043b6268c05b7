package deliver

import (
	"context"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// untilStopped answers half a second after the send's context has ended.
func untilStopped(o push.Outcome) push.Sender {
	return push.SenderFunc(func(ctx context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
		<-ctx.Done()
		time.Sleep(500 * time.Millisecond)
		for i := range batch {
			report(i, o)
		}
	})
}

func TestAStopForgetsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome push.Outcome
		publish time.Duration
		want    string
	}{
		"an answer that comes while it stops is marked": {
			outcome: push.Outcome{Disposition: push.Delivered}, want: "mark n1 done; event n1 delivered; ack n1",
		},
		"a running send that is given up costs no attempt, and its lease is given back": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonTimeout}, want: "drop n1; mark n1 released",
		},
		"one whose request was sent may have been shown": {
			outcome: push.Outcome{Disposition: push.Retry, Reason: push.ReasonAmbiguous, Ambiguous: true}, want: "drop n1; mark n1 released, maybe shown",
		},
		"what follows is waited for": {
			outcome: push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}, publish: time.Second,
			want: "publish push.apns.dead; mark n1 dead; event n1 dead too_large; ack n1",
		},
		"but not for ever": {
			outcome: push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}, publish: time.Minute,
			want: "publish push.apns.dead",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{publish: test.publish}
			run(t, w, untilStopped(test.outcome), nil, func(ctx context.Context, d *Deliver) {
				d.Handle(ctx, []*stream.Record{w.record("n1", "phone")})
			})
			if got := w.happened(); got != test.want {
				t.Errorf("steps\n got %s\nwant %s", got, test.want)
			}
			if limit := 500*time.Millisecond + lastMarks; w.stopTook > limit {
				t.Errorf("stopped after %s, want at most %s", w.stopTook, limit)
			}
		})
	}
}
