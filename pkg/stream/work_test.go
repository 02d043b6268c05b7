package stream

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestMetaTravelsInHeaders(t *testing.T) {
	t.Parallel()
	full := Meta{
		ID: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", Lane: push.LaneUrgent, Attempt: 3, Redrive: 1,
		NotBefore: time.UnixMilli(1_790_000_001_000), FirstSeen: time.UnixMilli(1_790_000_000_000),
		Reason: push.ReasonTimeout, Answer: "503 ServiceUnavailable", Origin: "im.messages/0/17",
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	for _, want := range []Meta{full, {}, {ID: "x"}} {
		got, err := ParseMeta(append(want.Headers(), Header{Key: "of-someone-else", Value: []byte("x")}))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	names := []string{"pf-id", "pf-lane", "pf-attempt", "pf-not-before", "pf-first-seen", "pf-reason", "pf-answer", "pf-origin", "pf-redrive", "traceparent"}
	var got []string
	for _, h := range full.Headers() {
		got = append(got, h.Key)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("header names (-want +got):\n%s", diff)
	}
}

func TestBrokenHeadersAreNamedAndNotQuoted(t *testing.T) {
	t.Parallel()
	for _, h := range []Header{
		{Key: HeaderAttempt, Value: []byte("secret")}, {Key: HeaderAttempt, Value: []byte("-1")},
		{Key: HeaderNotBefore, Value: nil}, {Key: HeaderFirstSeen, Value: []byte("1e99")},
	} {
		_, err := ParseMeta([]Header{h})
		if err == nil || !containsText(err, h.Key) || containsText(err, "secret") {
			t.Errorf("%s: %v", h.Key, err)
		}
	}
}

func notification() *push.Notification {
	return &push.Notification{
		ID: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", App: "demo", User: "bob", Device: "bob-iphone",
		MsgKey: "c2c:alice:101_900001_1790000000", Purpose: "recall", Platform: "apns", Token: "abab", Credential: "demo-ios",
		Version: 7, Title: "t", Subtitle: "s", Body: "Alice:hello", Ext: `{"page":"chat"}`, Image: "https://example.com/i.png",
		Thread: "c2c:alice", Badge: 0, Sound: "ding.caf", AndroidSound: push.SoundSilent, Channel: "chat", Mutable: true,
		CollapseID: "c", Expires: time.UnixMilli(1_790_604_800_000), Received: time.UnixMilli(1_790_000_000_123),
	}
}

func TestNotificationTravelsWhole(t *testing.T) {
	t.Parallel()
	zero, none := notification(), notification()
	none.Badge = push.NoBadge
	for _, want := range []*push.Notification{zero, none, {Badge: push.NoBadge}} {
		got, err := DecodeNotification(EncodeNotification(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if _, err := DecodeNotification([]byte("not a notification")); err == nil {
		t.Error("garbage is no error")
	}
}

func FuzzDecodeNotification(f *testing.F) {
	f.Add(EncodeNotification(notification()))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNotification(b)
		if err != nil {
			return
		}
		again, err := DecodeNotification(EncodeNotification(n))
		if diff := cmp.Diff(n, again); diff != "" || err != nil {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}

func FuzzDecodeWork(f *testing.F) {
	f.Add(EncodeNotification(notification()), HeaderLane, []byte("bulk"), HeaderAttempt, []byte("3"))
	f.Add(EncodeNotification(notification()), HeaderAttempt, []byte("-1"), "", []byte(nil))
	f.Fuzz(func(t *testing.T, value []byte, k1 string, v1 []byte, k2 string, v2 []byte) {
		n, meta, err := DecodeWork(&Record{Value: value, Headers: []Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}})
		if err != nil {
			return
		}
		if n.ID == "" || meta.ID != n.ID || meta.Attempt < 1 || !slices.Contains(push.Lanes, meta.Lane) {
			t.Errorf("%+v of %+v", meta, n)
		}
	})
}

func FuzzParseMeta(f *testing.F) {
	f.Add(HeaderAttempt, []byte("1"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		m, err := ParseMeta([]Header{{Key: key, Value: value}})
		if err != nil {
			return
		}
		if again, err := ParseMeta(m.Headers()); err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestPacerWaitsByTheRate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		perRequest int
		every      time.Duration
		want       time.Duration // of 20 ms
	}{
		"idle":           {0, 250 * time.Millisecond, 0},
		"one by one":     {1, 100 * time.Millisecond, 25 * time.Microsecond},
		"500 a second":   {1, 2 * time.Millisecond, 1250 * time.Microsecond},
		"4000 a second":  {20, 5 * time.Millisecond, 10 * time.Millisecond},
		"20000 a second": {200, 10 * time.Millisecond, 20 * time.Millisecond},
	}
	for name, tt := range tests {
		now := time.UnixMilli(1_790_000_000_000)
		p := pacer{last: now}
		for range 1000 {
			now = now.Add(tt.every)
			p.observe(now, tt.perRequest)
		}
		if got := p.pause(20 * time.Millisecond); got.Round(time.Microsecond) != tt.want {
			t.Errorf("%s: waits %v, want %v", name, got, tt.want)
		}
	}
}
