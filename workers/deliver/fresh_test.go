package deliver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// One item of a batch has waited for too long and is asked about again, which takes a minute because presence is behind.
// What was young when that began is not any more.
func TestNothingIsSentOnAnOldAdmission(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		revoked bool
		want    string // ids that are sent, and when they were admitted for the last time
	}{
		"all are asked about again":               {want: "old after 1m7s, young after 1m7s"},
		"what was given to another owner is left": {revoked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			var began time.Time
			admitted := map[string]time.Duration{}
			w.admit = func(r registry.AdmitRequest) registry.Admission {
				admitted[r.ID] = time.Since(began)
				return registry.Admission{Verdict: registry.Go}
			}
			var sent []string
			sender := push.SenderFunc(func(_ context.Context, batch []*push.Notification, report func(int, push.Outcome)) {
				busy := strings.HasPrefix(batch[0].ID, "n")
				for i, n := range batch {
					if !busy {
						sent = append(sent, fmt.Sprintf("%s after %s", n.ID, admitted[n.ID].Round(time.Second)))
					}
					if busy && i == 0 {
						time.Sleep(8 * time.Second)
					}
					report(i, push.Outcome{Disposition: push.Delivered})
				}
			})
			run(t, w, sender, nil, func(ctx context.Context, d *Deliver) {
				began = time.Now()
				generation, end := context.WithCancel(ctx)
				defer end()
				var first []*stream.Record
				for i := range 20 { // all places
					first = append(first, w.record(fmt.Sprintf("n%d", i), fmt.Sprintf("phone-%d", i)))
				}
				d.Handle(generation, first)
				time.Sleep(10 * time.Millisecond)
				d.Handle(generation, []*stream.Record{w.record("old", "x")})
				time.Sleep(6 * time.Second)
				d.Handle(generation, []*stream.Record{w.record("young", "y")})
				time.Sleep(time.Second)
				w.behind(true)
				time.Sleep(time.Minute)
				if test.revoked {
					end()
					time.Sleep(time.Second)
				}
				w.behind(false)
				time.Sleep(5 * time.Second)
			})
			if got := strings.Join(sent, ", "); got != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}

func TestWhatIsParkedForItsQuotaIsToldToComeBack(t *testing.T) {
	t.Parallel()
	w, p := &world{}, &provider{answer: push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialShare}}
	run(t, w, p.sender(), nil, func(ctx context.Context, d *Deliver) {
		w.give(ctx, d, "a1")
		time.Sleep(time.Second)
	})
	if !strings.Contains(w.happened(), "event a1 park credential_share") || !strings.Contains(w.happened(), "publish push.control") {
		t.Errorf("steps %s: it was to be parked, and told to come back", w.happened())
	}
}
