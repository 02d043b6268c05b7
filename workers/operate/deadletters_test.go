package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

var exhausted = stream.Meta{Lane: push.LaneUrgent, Attempt: 8, FirstSeen: time.UnixMilli(1790000000123), NotBefore: time.UnixMilli(1790000009000),
	Reason: push.ReasonAttemptsExhausted, Answer: "503 ServiceUnavailable", Origin: "p.im.messages/0/17", Traceparent: "00-x-y-01"}

func TestLettersTellWhatDiedAndWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(
		dead(notification("apns", "bob-iphone"), exhausted),
		stream.Message{Topic: topics.Dead("fcm"), Key: []byte("k"), Value: []byte("\xff"), Headers: stream.Meta{Reason: push.ReasonInvalidMessage}.Headers(), Partition: 1},
		deadInput(topics.Messages(), `{"App":"demo"}`),
		deadInput(topics.Devices(), `{"App":"demo","User":"bob","Device":"d","Token":"`+token+`"}`),
		deadInput(topics.Presence(), "no JSON"),
	)
	var got []string
	for _, l := range b.letters(Filter{}) {
		if l.Time.IsZero() {
			t.Errorf("%s has no time", l)
		}
		got = append(got, strings.Join([]string{l.Topic, string(l.Reason), l.Answer, fmt.Sprint(l.Attempts), string(l.Platform), string(l.Lane),
			l.App, l.User, l.Device, l.MsgKey, l.ID, l.Origin}, " "))
	}
	want := []string{
		"p.push.apns.dead attempts_exhausted 503 ServiceUnavailable 8 apns urgent demo bob bob-iphone c2c:alice:1_2_3 id-bob-iphone p.im.messages/0/17",
		"p.push.fcm.dead invalid_message  0 fcm       ",
		"p.im.messages.dead invalid_message MsgBody: missing 0   demo     p.im.messages/1/7",
		"p.im.devices.dead invalid_message MsgBody: missing 0   demo bob d   p.im.devices/1/7",
		"p.im.presence.dead invalid_message MsgBody: missing 0        p.im.presence/1/7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

func TestFiltersChooseLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := notification("apns", "other")
	other.App = "shop"
	b.write(
		dead(notification("apns", "one"), exhausted),
		dead(other, stream.Meta{Reason: push.ReasonTooLarge}),
		dead(notification("fcm", "two"), stream.Meta{Reason: push.ReasonTooLarge}),
		deadInput(topics.Messages(), `{"App":"demo","From_Account":"alice","To_Account":["carol","dave"],"MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3,"MsgBody":[]}`),
		deadInput(topics.Receipts(), `{"App":"shop","User":"erin","Device":"hers","MsgKey":"c2c:alice:9_9_9"}`),
	)
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		filter Filter
		want   []string // devices; "" for the message
	}{
		"nothing":                  {Filter{}, []string{"", "hers", "one", "other", "two"}},
		"platform":                 {Filter{Platform: "fcm"}, []string{"two"}},
		"app":                      {Filter{App: "shop"}, []string{"hers", "other"}},
		"credential":               {Filter{Credential: "demo-fcm"}, []string{"two"}},
		"user":                     {Filter{User: "erin"}, []string{"hers"}},
		"a message's recipient":    {Filter{User: "dave"}, []string{""}},
		"a message's sender":       {Filter{User: "alice"}, []string{""}},
		"message key":              {Filter{MsgKey: "c2c:alice:1_2_3"}, []string{"", "one", "other", "two"}},
		"message key of a receipt": {Filter{MsgKey: "c2c:alice:9_9_9"}, []string{"hers"}},
		"since":                    {Filter{Since: past, App: "shop"}, []string{"hers", "other"}},
		"since later":              {Filter{Since: future}, nil},
		"until":                    {Filter{Until: future, App: "shop"}, []string{"hers", "other"}},
		"until earlier":            {Filter{Until: past}, nil},
		"reason":                   {Filter{Reason: push.ReasonTooLarge}, []string{"other", "two"}},
		"topic":                    {Filter{Topic: topics.InputDead(topics.Messages())}, []string{""}},
		"several":                  {Filter{Platform: "apns", App: "demo"}, []string{"one"}},
		"none":                     {Filter{App: "nobody"}, nil},
	} {
		var got []string
		for _, l := range b.letters(c.filter) {
			got = append(got, l.Device)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if err := b.Each(t.Context(), Filter{Topic: "p.im.messages"}, nil); err == nil || !strings.Contains(err.Error(), "p.im.messages.dead") {
		t.Errorf("a topic that is no dead topic: %v", err)
	}
}

func TestEachStopsWhereItIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "one"), exhausted), dead(notification("apns", "two"), exhausted), dead(notification("fcm", "three"), exhausted))
	calls := 0
	if err := b.Each(t.Context(), Filter{}, func(Letter) bool { calls++; return calls < 2 }); err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestTopicsThatDoNotExistHoldNoLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	elsewhere := NewDeadLetters(b.cluster, stream.Topics{Prefix: "other."}, []push.Platform{"apns"})
	if err := elsewhere.Each(t.Context(), Filter{}, func(Letter) bool { t.Error("a letter"); return true }); err != nil {
		t.Error(err)
	}
}

func TestGetFindsOneLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(dead(notification("apns", "one"), exhausted), dead(notification("apns", "two"), exhausted))
	for _, want := range b.letters(Filter{}) {
		if got, err := b.Get(t.Context(), want.Position); err != nil || got.Device != want.Device {
			t.Errorf("%s: device %q, %v; want %q", want.Position, got.Device, err, want.Device)
		}
	}
	if _, err := b.Get(t.Context(), Position{topics.Dead("apns"), 0, 99}); !errors.Is(err, ErrNoLetter) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := b.Get(t.Context(), Position{topics.Messages(), 0, 0}); err == nil {
		t.Error("a letter in a topic that is no dead topic")
	}
}

func TestDetailsKeepTokensAndTextBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(
		dead(notification("apns", "one"), exhausted),
		deadInput(topics.Messages(), `{"X":"`+words+`"}`, stream.Header{Key: "content-type", Value: []byte("application/json")},
			stream.Header{Key: "x-secret", Value: []byte(words)}),
		deadInput(topics.Devices(), `{"Token":"`+token+`"}`),
	)
	for _, l := range b.letters(Filter{}) {
		for _, reveal := range []bool{false, true} {
			d := b.Detail(l, reveal)
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), token) {
				t.Errorf("%s, reveal %t, tells the token", l, reveal)
			}
			if want := reveal && l.Topic != topics.InputDead(topics.Devices()); strings.Contains(string(text), words) != want {
				t.Errorf("%s: text told: %t, want %t", l, !want, want)
			}
			if d.Bytes == 0 || d.FirstSeen == nil {
				t.Errorf("%s: %d bytes, first seen %v", l, d.Bytes, d.FirstSeen)
			}
		}
	}
	d := b.Detail(b.letters(Filter{Platform: "apns"})[0], false)
	if d.TokenHash != registry.TokenHash(token) || d.Credential != "demo-apns" || d.Version != 3 || d.Expires.Unix() != 1790604800 || d.Received.Unix() != 1790000000 {
		t.Errorf("detail %+v", d)
	}
	names := slices.Sorted(maps.Keys(d.Headers))
	if want := []string{"pf-answer", "pf-attempt", "pf-first-seen", "pf-id", "pf-lane", "pf-not-before", "pf-origin", "pf-reason", "traceparent"}; !slices.Equal(names, want) {
		t.Errorf("headers %q, want %q", names, want)
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	at, err := ParsePosition("push.apns.dead/3/42")
	if err != nil || at != (Position{"push.apns.dead", 3, 42}) || at.String() != "push.apns.dead/3/42" {
		t.Errorf("%v, %v", at, err)
	}
	for _, bad := range []string{"", "a", "a/1", "/1/2", "a/b/2", "a/1/c", "a/-1/2", "a/1/-2", "a/1/2/3", "a/4294967296/1"} {
		if _, err := ParsePosition(bad); err == nil {
			t.Errorf("%q is read as a position", bad)
		}
	}
}
