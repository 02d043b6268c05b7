package route

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// TestAMessageThatAnOperatorSentBack is as old as it was and has the name that it had; that it is old is no reason to filter
// it before its lifetime is over.
func TestAMessageThatAnOperatorSentBack(t *testing.T) {
	t.Parallel()
	const message = `{"From_Account":"alice","To_Account":"bob",` + text + `}`                     // no number and no time
	push := []string{`push.apns.normal phone "hello" badge -1`, "event bob phone push background"} // the phone reported its number since
	for name, c := range map[string]struct {
		age      time.Duration
		sentBack bool
		want     []string
	}{
		"young":                  {time.Hour, true, push},
		"old":                    {48 * time.Hour, true, push},
		"old, and not sent back": {48 * time.Hour, false, []string{"event bob filter stale"}},
		"older than 7 days":      {8 * 24 * time.Hour, true, []string{"event bob filter expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.phones(t, 0, "bob")
			rec, first := r.record(9, message), clock.Add(-c.age)
			if c.sentBack {
				rec.Headers = []stream.Header{{Key: stream.HeaderOrigin, Value: []byte("im.messages/3/17")},
					{Key: stream.HeaderFirstSeen, Value: []byte(strconv.FormatInt(first.UnixMilli(), 10))}}
			} else {
				rec.Time = first
			}
			r.route.Handle(t.Context(), []*stream.Record{rec})
			if !slices.Equal(r.lines, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(c.want, "\n"))
			}
			for _, m := range r.sent {
				n, err := stream.DecodeNotification(m.Value)
				if err != nil {
					t.Fatal(err)
				}
				if n.MsgKey != "at:im.messages/3/17" || n.Received.UnixMilli() != first.UnixMilli() {
					t.Errorf("key %s, received %v", n.MsgKey, n.Received)
				}
			}
		})
	}
}
