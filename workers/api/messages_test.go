package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

const (
	oneToOne = `{"App":"demo","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":900001,"MsgTimeStamp":1790000000,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"OfflinePushInfo":{"Ext":"{\"page\":\"chat\"}","ApnsInfo":{"Sound":"ding.caf"}}}`
	group    = `{"App":"demo","GroupId":"team","GroupName":"Team","From_Account":"alice","From_Nick":"Alice","From_NameCard":"Ali","To_Account":["bob","carol"],"MsgSeq":7,"Random":424242,"MsgTimeStamp":1790000001,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"look "}},{"MsgType":"TIMFaceElem","MsgContent":{"Index":1,"Data":""}}]}`
	ndjson   = "application/x-ndjson"
)

// text is a message of one text element with the given members.
func text(members string) string {
	return `{` + members + `,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"secret words"}}]}`
}

func TestMessagesArePublishedAsTheyCame(t *testing.T) {
	t.Parallel()
	const twoToOne = `"MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3`
	for name, c := range map[string]struct {
		contentType, body string
		values            []string // published, byte for byte
		keys              []string // of the records
		msgKeys           []string // answered
	}{
		"one to one": {"application/json", oneToOne, []string{oneToOne}, []string{"demo|alice|bob"}, []string{"c2c:alice:101_900001_1790000000"}},
		"the other way round, the same conversation": {"", text(`"From_Account":"bob","To_Account":"alice",` + twoToOne),
			[]string{text(`"From_Account":"bob","To_Account":"alice",` + twoToOne)}, []string{"demo|alice|bob"}, []string{"c2c:bob:1_2_3"}},
		"batch": {"", text(`"From_Account":"alice","To_Account":["bob","carol"],` + twoToOne),
			[]string{text(`"From_Account":"alice","To_Account":["bob","carol"],` + twoToOne)}, []string{"demo|alice"}, []string{"c2c:alice:1_2_3"}},
		"group": {"", group, []string{group}, []string{"demo|team"}, []string{"group:team:424242_1790000001"}},
		"ids with separators": {"", text(`"App":"a|b%","From_Account":"x|y","To_Account":"%7C",` + twoToOne),
			[]string{text(`"App":"a|b%","From_Account":"x|y","To_Account":"%7C",` + twoToOne)}, []string{"a%7Cb%25|%257C|x%7Cy"}, []string{"c2c:x|y:1_2_3"}},
		"a key that hangs on the record's place": {"", text(`"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgTimeStamp":3`),
			[]string{text(`"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgTimeStamp":3`)}, []string{"demo|alice|bob"}, []string{""}},
		"a key that hangs on the record's time": {"", text(`"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":2`),
			[]string{text(`"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":2`)}, []string{"demo|alice|bob"}, []string{""}},
		"NDJSON with empty lines": {ndjson, "\n" + oneToOne + "\r\n\n" + group + "\n", []string{oneToOne, group},
			[]string{"demo|alice|bob", "demo|team"}, []string{"c2c:alice:101_900001_1790000000", "group:team:424242_1790000001"}},
		"NDJSON as curl sends it": {"application/x-www-form-urlencoded", oneToOne + "\n" + group, []string{oneToOne, group},
			[]string{"demo|alice|bob", "demo|team"}, []string{"c2c:alice:101_900001_1790000000", "group:team:424242_1790000001"}},
		"one object over several lines": {"application/json", strings.ReplaceAll(group, ",", ",\n"), []string{strings.ReplaceAll(group, ",", ",\n")},
			[]string{"demo|team"}, []string{"group:team:424242_1790000001"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			w := b.do("POST", "/v1/messages", c.contentType, c.body)
			if w.Code != 202 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			var values, keys, msgKeys []string
			for _, m := range b.published {
				if m.Topic != "p.im.messages" || m.Partition != stream.ByKey {
					t.Errorf("published to %s/%d, want p.im.messages by key", m.Topic, m.Partition)
				}
				values, keys = append(values, string(m.Value)), append(keys, string(m.Key))
			}
			var answer accepted
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			for _, m := range answer.Messages {
				msgKeys = append(msgKeys, m.MsgKey)
			}
			if answer.Accepted != len(c.values) {
				t.Errorf("accepted %d, want %d", answer.Accepted, len(c.values))
			}
			for what, diff := range map[string]string{"values": cmp.Diff(c.values, values), "keys": cmp.Diff(c.keys, keys), "message keys": cmp.Diff(c.msgKeys, msgKeys)} {
				if diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestBadMessagesAreRefusedWhole(t *testing.T) {
	t.Parallel()
	accounts := oneLine(t, make([]string, 501))
	for i := range 501 {
		accounts = strings.Replace(accounts, `""`, fmt.Sprintf(`"u%d"`, i), 1)
	}
	padding := strings.Repeat("x", maxRecord)
	for name, c := range map[string]struct {
		contentType, body string
		status, line      int
		field             string
		reason            string
	}{
		"no body":            {"", "", 400, 0, "", ""},
		"empty lines":        {ndjson, "\n \n", 400, 0, "", ""},
		"no JSON":            {"", `{"From_Account":`, 400, 0, "", ""},
		"an array":           {"", "[" + oneToOne + "]", 400, 0, "", ""},
		"a string":           {"", `"x"`, 400, 0, "", ""},
		"no MsgBody":         {"", `{"From_Account":"alice","To_Account":"bob"}`, 400, 0, "MsgBody", "invalid_message"},
		"a wrong type":       {"", text(`"From_Account":7,"To_Account":"bob"`), 400, 0, "From_Account", "invalid_message"},
		"invalid UTF-8":      {"", text("\"From_Account\":\"a\xff\",\"To_Account\":\"bob\""), 400, 0, "", "invalid_message"},
		"an id too long":     {"", text(`"From_Account":"alice","To_Account":"` + strings.Repeat("b", 129) + `"`), 400, 0, "To_Account", "invalid_message"},
		"501 recipients":     {"", text(`"From_Account":"alice","To_Account":` + accounts), 400, 0, "To_Account", "too_many_recipients"},
		"an unknown app":     {"", text(`"App":"other","From_Account":"alice","To_Account":"bob"`), 400, 0, "App", "unknown_app"},
		"a bad line":         {ndjson, oneToOne + "\n\n{\n" + group, 400, 3, "", ""},
		"a bad last line":    {ndjson, oneToOne + "\n" + group + "\n" + `{"From_Account":"alice"}`, 400, 3, "MsgBody", "invalid_message"},
		"a record too large": {ndjson, oneToOne + "\n" + text(`"From_Account":"alice","To_Account":"bob","X":"`+padding+`"`), 413, 2, "", ""},
		"too many lines":     {ndjson, strings.Repeat("{}\n", maxLines+1), 413, maxLines + 1, "", ""},
		"a body too large":   {ndjson, strings.Repeat(padding+"\n", 9), 413, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			p := problemOf(t, b.do("POST", "/v1/messages", c.contentType, c.body), c.status)
			if p.Line != c.line || c.field != "" && !strings.HasPrefix(p.Field, c.field) || string(p.Reason) != c.reason {
				t.Errorf("line %d field %q reason %q, want %d %q %q (%s)", p.Line, p.Field, p.Reason, c.line, c.field, c.reason, p.Detail)
			}
			if len(b.published) != 0 {
				t.Errorf("%d records of a refused request were published", len(b.published))
			}
			if strings.Contains(p.Detail, "secret words") || strings.Contains(p.Detail, "alice") {
				t.Errorf("the answer quotes the message: %s", p.Detail)
			}
		})
	}
}

func TestBodyOfUnknownLengthIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(strings.Repeat("x", maxBody+1)))
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+bearer)
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	problemOf(t, w, 413)
	if !b.bodies.TryAcquire(maxBodies) {
		t.Error("a refused body still holds its share of the memory for bodies")
	}
}

func TestFullMemoryForBodiesAnswers503(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if !b.bodies.TryAcquire(maxBodies) {
		t.Fatal("the memory for bodies is not free at the start")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(oneToOne)).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+bearer)
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	problemOf(t, w, 503)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAnswerComesOnlyWhenAllIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waiting []func(error)
		b := newBench(t, func(o *Options) {
			o.Publisher = publisherFunc(func(_ context.Context, _ stream.Message, done func(error)) { waiting = append(waiting, done) })
		})
		status := 0
		go func() { status = b.do("POST", "/v1/messages", ndjson, oneToOne+"\n"+group).Code }()
		for _, done := range []int{1, 0} {
			synctest.Wait()
			if status != 0 || len(waiting) != 2 {
				t.Fatalf("status %d, %d records queued: want no answer yet, and both queued", status, len(waiting))
			}
			waiting[done](nil)
		}
		synctest.Wait()
		if status != 202 {
			t.Errorf("status %d once all was durable", status)
		}
	})
}

func TestKafkaTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		publisher publisherFunc
		status    int
		detail    string
	}{
		"no answer in time": {func(context.Context, stream.Message, func(error)) {}, 503, "may have been stored"},
		"a full buffer": {func(ctx context.Context, _ stream.Message, done func(error)) {
			<-ctx.Done()
			done(ctx.Err())
		}, 503, "stored"},
		"closed": {func(_ context.Context, _ stream.Message, done func(error)) { done(stream.ErrClosed) }, 503, "may have been stored"},
		"too large": {func(_ context.Context, _ stream.Message, done func(error)) {
			done(fmt.Errorf("x: %w", stream.ErrTooLarge))
		}, 413, "larger"},
		"unknown": {func(_ context.Context, _ stream.Message, done func(error)) { done(errors.New("disk")) }, 503, "may have been stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *Options) { o.Publisher, o.PublishTimeout = c.publisher, 20*time.Millisecond })
			w := b.do("POST", "/v1/messages", "", oneToOne)
			if p := problemOf(t, w, c.status); !strings.Contains(p.Detail, c.detail) {
				t.Errorf("detail %q, want %q in it", p.Detail, c.detail)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("Retry-After %q with status %d", w.Header().Get("Retry-After"), c.status)
			}
		})
	}
}
