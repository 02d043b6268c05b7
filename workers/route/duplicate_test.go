package route

import (
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// "One-to-one, same From + MsgSeq + MsgRandom + content within 120 s is one message; group, same Random within 5 minutes is
// one message." The time is the record's, whatever the order in which they are read.
func TestRow17WithinTheDuplicateWindowsOneMessage(t *testing.T) {
	t.Parallel()
	group := strings.Replace(toTeam, "{", `{"To_Account":["bob"],`, 1)
	unnumbered := strings.Replace(toBob, `"MsgRandom":2,`, ``, 1)
	for name, c := range map[string]struct {
		first, second string
		apart         time.Duration
		pushes        int
	}{
		"one-to-one":                     {toBob, toBob, 120 * time.Second, 1},
		"later":                          {toBob, toBob, 121 * time.Second, 2},
		"the second is read first":       {toBob, toBob, -120 * time.Second, 1},
		"other content":                  {toBob, strings.Replace(toBob, "hello", "bye", 1), time.Second, 2},
		"another MsgSeq":                 {toBob, strings.Replace(toBob, `"MsgSeq":1`, `"MsgSeq":2`, 1), time.Second, 2},
		"another MsgTimeStamp":           {toBob, strings.Replace(toBob, "{", `{"MsgTimeStamp":1789999990,`, 1), time.Second, 1},
		"group":                          {group, group, 5 * time.Minute, 1},
		"group, later":                   {group, group, 5*time.Minute + time.Second, 2},
		"group: content does not matter": {group, strings.Replace(group, "hello", "bye", 1), time.Second, 1},
		"group, another Random":          {group, strings.Replace(group, `"Random":1`, `"Random":2`, 1), time.Second, 2},
		"without a random":               {unnumbered, unnumbered, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.device(t, "bob", "phone", 0)
			first, second := r.record(0, c.first), r.record(1, c.second)
			second.Time = clock.Add(c.apart)
			r.route.Handle(t.Context(), []*stream.Record{first})
			r.route.Handle(t.Context(), []*stream.Record{second})
			if len(r.sent) != c.pushes {
				t.Errorf("%d pushes, want %d: %q", len(r.sent), c.pushes, r.lines)
			}
		})
	}
}
