package operate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestStatsCountByWhatIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shop := notification("apns", "s")
	shop.App, shop.Credential = "shop", "shop-ios"
	b.write(dead(notification("apns", "a"), exhausted), dead(notification("apns", "b"), exhausted), dead(shop, exhausted),
		dead(notification("fcm", "c"), stream.Meta{Reason: push.ReasonTooLarge}), deadInput(topics.Messages(), `{"App":"demo"}`))
	letters := b.letters(Filter{App: "demo", Platform: "apns"})
	back, away := b.NewRedrive(b.pub, "ops@console", 0), b.NewDiscard(b.pub, "ops@console", "no", 0)
	if err := errors.Join(back.Add(t.Context(), letters[0]), back.Flush(t.Context()),
		away.Add(t.Context(), letters[1]), away.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	total := Count{Letters: 5, Open: 3, Redriven: 1, Discarded: 1}
	count := func(g Group, n, open, redriven, discarded int) Count {
		return Count{Group: g, Letters: n, Open: open, Redriven: redriven, Discarded: discarded}
	}
	for name, c := range map[string]struct {
		by     []string
		filter Filter
		want   []Count
		all    Count
	}{
		"everything": {GroupFields(), Filter{}, []Count{
			count(Group{Topic: "p.im.messages.dead", Reason: "invalid_message", App: "demo"}, 1, 1, 0, 0),
			count(Group{"p.push.apns.dead", "attempts_exhausted", "demo", "apns", "demo-apns"}, 2, 0, 1, 1),
			count(Group{"p.push.apns.dead", "attempts_exhausted", "shop", "apns", "shop-ios"}, 1, 1, 0, 0),
			count(Group{"p.push.fcm.dead", "too_large", "demo", "fcm", "demo-fcm"}, 1, 1, 0, 0),
		}, total},
		"by app": {[]string{"app"}, Filter{}, []Count{
			count(Group{App: "demo"}, 4, 2, 1, 1), count(Group{App: "shop"}, 1, 1, 0, 0)}, total},
		"nothing apart":  {nil, Filter{}, []Count{count(Group{}, 5, 3, 1, 1)}, total},
		"of a platform":  {nil, Filter{Platform: "fcm"}, []Count{count(Group{}, 1, 1, 0, 0)}, Count{Letters: 1, Open: 1}},
		"of no platform": {nil, Filter{App: "nobody"}, []Count{}, Count{}},
	} {
		got, all, err := b.Stats(t.Context(), c.filter, c.by)
		if err != nil {
			t.Fatal(err)
		}
		times := cmpopts.IgnoreFields(Count{}, "Oldest", "Newest")
		if diff := cmp.Diff(c.want, got, times); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.all, all, times); diff != "" {
			t.Errorf("%s, all (-want +got):\n%s", name, diff)
		}
		if all.Letters > 0 && (all.Oldest.IsZero() || all.Newest.Before(all.Oldest)) {
			t.Errorf("%s: from %v to %v", name, all.Oldest, all.Newest)
		}
	}
	if _, _, err := b.Stats(t.Context(), Filter{}, []string{"mood"}); err == nil {
		t.Error("letters are counted by their mood")
	}
}

// generated is a log of as many letters as it is asked for, every second of them marked, that keeps none.
type generated struct{ letters int }

func (g generated) Scan(_ context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error {
	if topic != topics.Dead("apns") {
		return stream.ErrNoTopic
	}
	headers := []stream.Header{{Key: stream.HeaderReason, Value: []byte(push.ReasonAttemptsExhausted)}}
	from := int64(0)
	if ranges != nil {
		from = ranges[0].From
	}
	for i := from; i < int64(g.letters*3/2); i++ {
		rec := &stream.Record{Topic: topic, Offset: i, Time: time.Unix(i, 0), Headers: headers}
		if i >= int64(g.letters) {
			rec.Headers = []stream.Header{{Key: headerRedriven, Value: fmt.Append(nil, 2*(i-int64(g.letters)))}}
		} else {
			rec.Value = stream.EncodeNotification(&push.Notification{ID: "id", App: fmt.Sprint("app", i%20_000), User: "bob", Device: "d", Badge: push.NoBadge})
		}
		if !fn(rec) {
			return nil
		}
	}
	return nil
}

// TestManyLettersAreCountedInLittleMemory: what a scan holds is a byte for each marked letter, and the groups.
func TestManyLettersAreCountedInLittleMemory(t *testing.T) {
	const letters, limit = 200_000, 4 << 20
	d := NewDeadLetters(generated{letters}, topics, []push.Platform{"apns"})
	var before, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	seen := 0
	err := d.Each(t.Context(), Filter{Redriven: true}, func(Letter) bool {
		if seen++; seen%50_000 == 1 {
			runtime.GC()
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.HeapAlloc = max(peak.HeapAlloc, now.HeapAlloc)
		}
		return true
	})
	if err != nil || seen != letters {
		t.Fatalf("%d letters, %v", seen, err)
	}
	if held := int64(peak.HeapAlloc) - int64(before.HeapAlloc); held > limit {
		t.Errorf("%d letters hold %d bytes", letters, held)
	}
	rows, all, err := d.Stats(t.Context(), Filter{}, []string{"app"})
	if err != nil || all.Letters != letters || all.Redriven != letters/2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if len(rows) > maxGroups+1 || rows[0].App != OtherApps || rows[0].Letters == 0 {
		t.Errorf("%d groups, the first is %+v", len(rows), rows[0])
	}
}

// BenchmarkStats counts 200,000 letters that stand in an embedded Kafka.
func BenchmarkStats(b *testing.B) {
	const letters = 200_000
	t := newBench(b)
	messages := make([]stream.Message, 0, 1000)
	for i := range letters {
		messages = append(messages, dead(notification("apns", fmt.Sprint("d", i)), exhausted))
		if len(messages) == cap(messages) {
			t.write(messages...)
			messages = messages[:0]
		}
	}
	b.ResetTimer()
	for b.Loop() {
		if _, all, err := t.Stats(b.Context(), Filter{}, GroupFields()); err != nil || all.Letters != letters {
			b.Fatalf("%+v, %v", all, err)
		}
	}
	b.ReportMetric(float64(b.N)*letters/b.Elapsed().Seconds(), "letters/s")
}
