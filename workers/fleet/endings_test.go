package fleet_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// endings are what push.events says of messages to users with one phone.
type endings struct {
	last     map[string]string // by message and user: its end, as "dead too_large"
	counts   map[string]int    // of the ends
	met      map[string]int    // what notifications met on their way, as "retry timeout"
	timedOut map[string]int    // by message and user: how many of its attempts had no answer in time
	attempt  int32             // the highest of any
}

// endings reads every event.
func (f *embeddedFleet) endings() *endings {
	f.t.Helper()
	e := &endings{last: map[string]string{}, counts: map[string]int{}, met: map[string]int{}, timedOut: map[string]int{}}
	err := f.cluster.Scan(f.t.Context(), f.topics.Events(), nil, func(rec *stream.Record) bool {
		var pack schemasv1.Events
		if err := pack.UnmarshalVT(rec.Value); err != nil {
			f.t.Fatal(err)
		}
		for _, event := range pack.GetEvents() {
			e.attempt = max(e.attempt, event.GetAttempt())
			end, which := event.GetDisposition()+" "+event.GetReason(), event.GetMsgKey()+" "+event.GetUser()
			switch event.GetDisposition() {
			case "delivered", "dead", "drop_token", "filter":
				e.last[which] = end
			case "retry", "park":
				e.met[end]++
				if event.GetReason() == string(push.ReasonTimeout) {
					e.timedOut[which]++
				}
			}
		}
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, end := range e.last {
		e.counts[end]++
	}
	return e
}

// unexcused are the repeated pushes, one entry for each time beyond the first, without as many of each as had time-outs.
func (e *endings) unexcused(repeated []string) []string {
	left := maps.Clone(e.timedOut)
	return slices.DeleteFunc(slices.Clone(repeated), func(which string) bool {
		left[which]--
		return left[which] >= 0
	})
}

func TestATimeOutExcusesOneRepetition(t *testing.T) {
	t.Parallel()
	e := &endings{timedOut: map[string]int{"a bob": 1, "b bob": 2}}
	got := e.unexcused([]string{"a bob", "a bob", "b bob", "b bob", "c bob"})
	if diff := cmp.Diff([]string{"a bob", "c bob"}, got); diff != "" {
		t.Error(diff)
	}
}

// text sends the i-th one-to-one message of the app demo, to a user of a platform, and says its key.
func (f *embeddedFleet) text(p push.Platform, to string, i int) (key string) {
	f.t.Helper()
	now := time.Now()
	m := map[string]any{"App": "demo", "From_Account": "alice", "To_Account": to, "MsgSeq": i + 1, "MsgRandom": i + 1, "MsgTimeStamp": now.Unix(),
		"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": fmt.Sprint(p, " ", i)}}}}
	if p == "fcm" { // a key of its own
		m["MsgRandom"] = 1_000_000 + i
	}
	parsed, err := message.Parse(encode(m), message.Envelope{Time: now})
	if err != nil {
		f.t.Fatal(err)
	}
	f.produce(f.topics.Messages(), []byte("demo|alice "+strconv.Itoa(i%4)), m)
	return parsed.Key
}
