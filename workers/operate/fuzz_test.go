package operate

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// FuzzParseMark: a mark is about a letter that stands before it, and says the same when it is written again.
func FuzzParseMark(f *testing.F) {
	f.Add(headerRedriven, []byte("7"), []byte("ann@ops"), []byte(""), int64(8))
	f.Add(headerDiscarded, []byte("0"), []byte("ann@ops"), []byte("too old"), int64(1))
	f.Add(headerDiscarded, []byte("9223372036854775807"), []byte(nil), []byte(nil), int64(1))
	f.Fuzz(func(t *testing.T, key string, offset, by, note []byte, at int64) {
		r := &stream.Record{Topic: "p.push.apns.dead", Offset: at, Time: time.Unix(1790000000, 0),
			Headers: []stream.Header{{Key: key, Value: offset}, {Key: headerBy, Value: by}, {Key: headerNote, Value: note}}}
		mark, of, ok := parseMark(r)
		if !ok {
			return
		}
		if of < 0 || of >= at {
			t.Fatalf("a mark at %d is about the letter at %d", at, of)
		}
		letter := Letter{Position: Position{r.Topic, r.Partition, of}, record: r}
		m := mark.message(letter)
		again, also, ok := parseMark(&stream.Record{Topic: r.Topic, Offset: at, Time: r.Time, Value: m.Value, Headers: m.Headers})
		if diff := cmp.Diff(mark, again); diff != "" || also != of || !ok {
			t.Errorf("about %d and then %d, %t (-first +again):\n%s", of, also, ok, diff)
		}
	})
}

// FuzzLetter: whatever a dead topic holds is a letter, and what is shown of one without being asked for depends neither on
// its token, but for the hash, nor on its words.
func FuzzLetter(f *testing.F) {
	n := notification("apns", "phone")
	f.Add(uint8(0), stream.EncodeNotification(n), stream.HeaderAttempt, []byte("3"), stream.HeaderReason, []byte("bad_token"))
	f.Add(uint8(1), []byte(`{"App":"demo","From_Account":"alice","To_Account":["bob"],"MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3}`), stream.HeaderOrigin, []byte("im.messages/0/7"), "x", []byte("?"))
	f.Add(uint8(2), []byte(`{"App":"demo","User":"bob","Device":"phone","Token":"abab"}`), "", []byte(nil), "", []byte(nil))
	chat := &stream.Record{Topic: "p.im.messages", Value: []byte(`{"GroupId":"team","From_Account":"alice","Random":2,"MsgTimeStamp":3}`)}
	f.Add(uint8(7), stream.EncodeFanout(&stream.Fanout{Chat: chat, Purpose: push.PurposeFirst}), "", []byte(nil), "", []byte(nil))
	letters := NewDeadLetters(nil, topics, []push.Platform{"apns"})
	f.Fuzz(func(t *testing.T, from uint8, value []byte, k1 string, v1 []byte, k2 string, v2 []byte) {
		dead := letters.topics[int(from)%len(letters.topics)]
		l := dead.letter(&stream.Record{Topic: dead.name, Partition: 1, Offset: 7, Value: value, Headers: []stream.Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}})
		if want := (Position{dead.name, 1, 7}); l.Position != want || l.Platform != dead.platform {
			t.Errorf("the letter at %s of %q stands at %s", want, l.Platform, l.Position)
		}
		detail := letters.Detail(l, false)
		if detail.Text != nil || detail.Message != "" {
			t.Errorf("what it says is shown: %+v", detail)
		}
		if n := l.notification; n != nil {
			if detail.TokenHash != registry.TokenHash(n.Token) {
				t.Errorf("another token's hash")
			}
			other := *n
			other.Token, other.Title, other.Subtitle, other.Body, other.Ext = "another", "other", "words", "and", "{}"
			l.notification = &other
			same := letters.Detail(l, false)
			same.TokenHash = detail.TokenHash
			if a, b := shown(t, detail), shown(t, same); a != b {
				t.Errorf("shown of one: %s\nand of the other: %s", a, b)
			}
		}
	})
}

func shown(t *testing.T, d Detail) string {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzParsePosition: a position is the same when it was written and read again.
func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"p.push.apns.dead/1/7", "a/-1/0", "a/2147483648/0", "a/0/9223372036854775807", "/0/0", "a/b/c/d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			if p != (Position{}) {
				t.Errorf("%v and %v of %q", p, err, s)
			}
			return
		}
		if again, err := ParsePosition(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, and then %v, %v", s, p, again, err)
		}
	})
}
