package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestADeadInputTellsWhereAndWhenItStoodFirst(t *testing.T) {
	t.Parallel()
	topics := Topics{}
	produced, now := time.UnixMilli(1_790_000_000_000), time.UnixMilli(1_790_000_900_000)
	kept := Header{Key: "content-type", Value: []byte("application/json")}
	texts := func(headers []Header) map[string]string {
		out := map[string]string{}
		for _, h := range headers {
			if _, twice := out[h.Key]; twice {
				t.Errorf("header %s twice", h.Key)
			}
			out[h.Key] = string(h.Value)
		}
		return out
	}
	want := map[string]string{"content-type": "application/json", HeaderReason: "unknown_app", HeaderAnswer: "App: is not configured",
		HeaderFirstSeen: "1790000000000", HeaderOrigin: "im.messages/2/17"}

	first := DeadInput(topics, &Record{Topic: topics.Messages(), Partition: 2, Offset: 17, Time: produced, Headers: []Header{kept}},
		push.ReasonUnknownApp, "App: is not configured", now)
	if diff := cmp.Diff(want, texts(first.Headers)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	again := DeadInput(topics, &Record{Topic: topics.Messages(), Partition: 0, Offset: 99, Time: now,
		Headers: []Header{kept, header(HeaderOrigin, "im.messages/2/17"), millisHeader(HeaderFirstSeen, produced)}},
		push.ReasonUnknownApp, "App: is not configured", now)
	if diff := cmp.Diff(want, texts(again.Headers)); diff != "" {
		t.Errorf("headers of a second death (-want +got):\n%s", diff)
	}
}

func TestWhatWasSentBackSaysSo(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_900_000)
	for name, c := range map[string]struct {
		origin, seen string
		want         bool
	}{
		"sent back":       {"im.messages/2/17", "1790000000000", true},
		"no time":         {"im.messages/2/17", "", false},
		"no origin":       {"", "1790000000000", false},
		"ahead":           {"im.messages/2/17", "1790000900001", false},
		"no number":       {"im.messages/2/17", "yesterday", false},
		"no place":        {"im.messages/2", "1790000000000", false},
		"endless":         {strings.Repeat("x", 400) + "/2/17", "1790000000000", false},
		"negative offset": {"im.messages/2/-17", "1790000000000", false},
	} {
		rec := &Record{Time: now, Headers: []Header{header(HeaderOrigin, c.origin), header(HeaderFirstSeen, c.seen)}}
		first, origin, ok := rec.SentBack()
		if ok != c.want || ok && (origin != c.origin || first.UnixMilli() != 1_790_000_000_000) {
			t.Errorf("%s: %t, %q, %v", name, ok, origin, first)
		}
		f, err := DecodeFanout(EncodeFanout(&Fanout{Chat: &Record{Topic: "im.messages", Time: now, Headers: rec.Headers}}))
		if err != nil {
			t.Fatal(err)
		}
		if again, place, ok := f.Chat.SentBack(); ok != c.want || place != origin || !again.Equal(first) {
			t.Errorf("%s, fanned out: %t, %q, %v", name, ok, place, again)
		}
	}
}
