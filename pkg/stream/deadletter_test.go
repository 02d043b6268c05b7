package stream

import (
	"bytes"
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

func TestALetterOfARecordThatNoTopicTakesIsCut(t *testing.T) {
	t.Parallel()
	const huge = 60 << 20
	now := time.UnixMilli(1_790_000_000_000)
	for name, rec := range map[string]*Record{
		"its value":   {Value: make([]byte, huge), Key: []byte("k"), Headers: []Header{{Key: "content-type", Value: []byte("x")}}},
		"its key":     {Value: []byte("v"), Key: make([]byte, huge)},
		"its headers": {Value: []byte("v"), Headers: []Header{{Key: "x", Value: make([]byte, huge)}}},
		"all of them": {Value: make([]byte, huge), Key: make([]byte, huge), Headers: []Header{{Key: "x", Value: make([]byte, huge)}}},
	} {
		m := DeadInput(Topics{}, rec, push.ReasonInvalidMessage, "MsgBody: missing", now)
		answer, _ := (&Record{Headers: m.Headers}).Header(HeaderAnswer)
		if m.size() > deadRecordBytes || !strings.HasPrefix(string(answer), "cut from 6") && !strings.HasPrefix(string(answer), "cut from 18") ||
			!strings.HasSuffix(string(answer), "bytes: MsgBody: missing") {
			t.Errorf("%s: %d bytes, %q", name, m.size(), answer)
		}
		if !bytes.HasPrefix(rec.Value, m.Value) || len(m.Value) == 0 {
			t.Errorf("%s: %d bytes of the value are left", name, len(m.Value))
		}
	}
	whole := DeadInput(Topics{}, &Record{Value: make([]byte, topicRecordBytes), Key: []byte("k")}, push.ReasonInvalidMessage, "", now)
	if len(whole.Value) != topicRecordBytes || string(whole.Key) != "k" {
		t.Error("a record that its topic takes is cut")
	}
}

func FuzzDeadInput(f *testing.F) {
	f.Add("content-type", []byte("application/json"), HeaderOrigin, []byte("im.messages/2/17"), "App: is not configured", []byte("{}"))
	f.Add(HeaderReason, []byte("expired"), HeaderFirstSeen, []byte("1790000000000"), strings.Repeat("\xff", 600), []byte(nil))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte, problem string, value []byte) {
		rec := &Record{Topic: "im.messages", Partition: 1, Offset: 5, Time: time.UnixMilli(1_790_000_000_000), Value: value,
			Headers: []Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}}
		m := DeadInput(Topics{}, rec, push.ReasonInvalidMessage, problem, time.UnixMilli(1_790_000_900_000))
		for _, name := range []string{HeaderReason, HeaderOrigin, HeaderFirstSeen, HeaderAnswer} {
			n := 0
			for _, h := range m.Headers {
				if h.Key == name {
					n++
				}
			}
			if n > 1 || n == 0 && (name != HeaderAnswer || Answer(problem) != "") {
				t.Errorf("header %s stands %d times", name, n)
			}
		}
		letter := &Record{Headers: m.Headers, Time: rec.Time}
		if origin, _ := letter.Header(HeaderOrigin); !originForm.Match(origin) {
			t.Errorf("origin %q", origin)
		}
		if reason, _ := letter.Header(HeaderReason); string(reason) != string(push.ReasonInvalidMessage) {
			t.Errorf("reason %q", reason)
		}
		if _, _, ok := letter.SentBack(); !ok {
			t.Error("a letter that is sent back as it is does not say so")
		}
		if !bytes.Equal(m.Value, value) {
			t.Error("the value is another")
		}
	})
}
