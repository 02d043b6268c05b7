package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestMessagesWaitWhileEventsAreUnread(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unread time.Duration // age of the oldest unread event; 0 = none is
		away   bool
		later  time.Duration // after which Kafka answers no more and it is asked
		want   string        // part of the reason; "" = fresh
	}{
		"all is read":                      {},
		"presence is a little behind":      {unread: time.Second},
		"presence is behind":               {unread: 3 * time.Second, want: "im.presence/1 unread for 3s"},
		"nobody looked for a moment":       {later: time.Second},
		"nobody could look for a while":    {later: 3 * time.Second, want: "was last known 3s ago"},
		"Kafka does not say what is there": {away: true, want: "lag of im.presence is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				h := newFreshness(2*time.Second, "im.presence", func(ctx context.Context) ([]stream.Head, error) {
					if looks++; looks > 1 && test.later > 0 {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					if test.away {
						return nil, errors.New("no broker answers")
					}
					heads := []stream.Head{{}, {PartitionLag: stream.PartitionLag{Partition: 1}}}
					if test.unread > 0 {
						heads[1].Oldest = time.Now().Add(-test.unread)
					}
					return heads, nil
				})
				if h.check(t.Context()) == nil {
					t.Error("fresh before anybody looked")
				}
				ctx, stop := context.WithCancel(t.Context())
				go h.run(ctx)
				synctest.Wait()
				time.Sleep(test.later)
				switch err := h.check(ctx); {
				case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%v, want %q", err, test.want)
				}
				stop()
				synctest.Wait()
			})
		})
	}
}
