package message_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// The two example messages of the contract.
const (
	oneToOne = `{"App":"demo","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":900001,"MsgTimeStamp":1790000000,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"OfflinePushInfo":{"Ext":"{\"page\":\"chat\"}","ApnsInfo":{"Sound":"ding.caf"}}}`
	inGroup  = `{"App":"demo","GroupId":"team","GroupName":"Team","From_Account":"alice","From_Nick":"Alice","From_NameCard":"Ali","To_Account":["bob","carol"],"MsgSeq":7,"Random":424242,"MsgTimeStamp":1790000001,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"look "}},{"MsgType":"TIMFaceElem","MsgContent":{"Index":1,"Data":""}}]}`
)

var recordTime = time.Unix(1790000000, 500_000_000)

func envelope() message.Envelope {
	return message.Envelope{DefaultApp: "standard", Topic: "im.messages", Partition: 3, Offset: 42, Time: recordTime}
}

func parse(t *testing.T, value string) *message.Message {
	t.Helper()
	m, err := message.Parse([]byte(value), envelope())
	if err != nil {
		t.Fatalf("Parse(%.300s): %v", value, err)
	}
	return m
}

// iphone is an Apple device that says nothing else.
func iphone(lang string) message.View { return message.View{Platform: "apns", Language: lang} }

func TestOneToOneExample(t *testing.T) {
	t.Parallel()
	m := parse(t, oneToOne)
	if m.App != "demo" || m.From != "alice" || m.Group != "" || !cmp.Equal(m.Recipients, []string{"bob"}) {
		t.Errorf("App %q, From %q, Group %q, Recipients %q", m.App, m.From, m.Group, m.Recipients)
	}
	if m.Origin != "im.messages/3/42" {
		t.Errorf("Origin %q", m.Origin)
	}
	want := push.Notification{
		App: "demo", MsgKey: "c2c:alice:101_900001_1790000000",
		Body: "Alice:hello", Ext: `{"page":"chat"}`, Thread: "c2c:alice", Sender: "alice", Seq: 101, Badge: push.NoBadge, Sound: "ding.caf",
		Expires: time.Unix(1790604800, 0), Received: recordTime,
	}
	if diff := cmp.Diff(want, m.Render(iphone("en"))); diff != "" {
		t.Errorf("Notification (-want +got):\n%s", diff)
	}
	if reason := m.Filter(recordTime, time.Hour); reason != "" || !m.Counts() {
		t.Errorf("Filter %q, Counts %v", reason, m.Counts())
	}
}

func TestGroupExample(t *testing.T) {
	t.Parallel()
	m := parse(t, inGroup)
	if m.Group != "team" || !cmp.Equal(m.Recipients, []string{"bob", "carol"}) {
		t.Errorf("Group %q, Recipients %q", m.Group, m.Recipients)
	}
	want := push.Notification{
		App: "demo", MsgKey: "group:team:424242_1790000001",
		Body: "Ali(Team):look [Face]", Thread: "group:team", Sender: "alice", Seq: 7, Badge: push.NoBadge,
		Expires: time.Unix(1790604801, 0), Received: recordTime,
	}
	if diff := cmp.Diff(want, m.Render(iphone("en"))); diff != "" {
		t.Errorf("Notification (-want +got):\n%s", diff)
	}
}

func TestNotificationID(t *testing.T) {
	t.Parallel()
	const key = "c2c:alice:101_900001_1790000000"
	for _, c := range []struct{ device, purpose, want string }{
		{"bob-iphone", "", "559a65a7-20e4-51c6-8d2a-d706eca5b40d"},
		{"bob-pixel", "", "9016f4b9-65ec-5c54-b229-c59682517983"},
	} {
		if got := message.NotificationID("demo", key, "bob", c.device, c.purpose); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.device, c.purpose, got, c.want)
		}
	}
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/pushfleet/pushfleet"))
	want := uuid.NewSHA1(namespace, []byte("demo\x00"+key+"\x00bob\x00bob-iphone\x00recall")).String()
	if got := message.NotificationID("demo", key, "bob", "bob-iphone", "recall"); got != want {
		t.Errorf("with a purpose: %s, want %s", got, want)
	}
}

// Take messages in the REST shape: to one account, to a batch of them, to the targeted members of a group, to all members.
func TestRow17Recipients(t *testing.T) {
	t.Parallel()
	const body = `"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]`
	for name, c := range map[string]struct {
		record string
		want   []string
	}{
		"a string":                       {`{"From_Account":"a","To_Account":"b",` + body + `}`, []string{"b"}},
		"an array, order kept":           {`{"From_Account":"a","To_Account":["c","b"],` + body + `}`, []string{"c", "b"}},
		"repeats count once":             {`{"From_Account":"a","To_Account":["b","c","b"],` + body + `}`, []string{"b", "c"}},
		"the sender is never one":        {`{"From_Account":"a","To_Account":["a","b"],` + body + `}`, []string{"b"}},
		"to oneself is to nobody":        {`{"From_Account":"a","To_Account":"a",` + body + `}`, []string{}},
		"group, absent: every member":    {`{"From_Account":"a","GroupId":"g",` + body + `}`, nil},
		"group, null: every member":      {`{"From_Account":"a","GroupId":"g","To_Account":null,` + body + `}`, nil},
		"group, empty: every member":     {`{"From_Account":"a","GroupId":"g","To_Account":"",` + body + `}`, nil},
		"group, empty array: nobody":     {`{"From_Account":"a","GroupId":"g","To_Account":[],` + body + `}`, []string{}},
		"group, only the sender: nobody": {`{"From_Account":"a","GroupId":"g","To_Account":["a"],` + body + `}`, []string{}},
		"group without a sender":         {`{"GroupId":"g","To_Account":["a"],` + body + `}`, []string{"a"}},
		"an empty GroupId is no group":   {`{"From_Account":"a","GroupId":"","To_Account":"b",` + body + `}`, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, parse(t, c.record).Recipients); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultApp(t *testing.T) {
	t.Parallel()
	for _, app := range []string{`"App":"",`, `"App":null,`, ``} {
		m := parse(t, `{`+app+`"From_Account":"a","To_Account":"b","MsgBody":[]}`)
		if n := m.Render(iphone("")); m.App != "standard" || n.App != "standard" {
			t.Errorf("%s: App %q, notification's %q", app, m.App, n.App)
		}
	}
}

func TestContentType(t *testing.T) {
	t.Parallel()
	for contentType, ok := range map[string]bool{
		"":                                true,
		"application/json":                true,
		"application/json; charset=utf-8": true,
		"Application/JSON;charset=UTF-8":  true,
		"application/vnd.im+json":         true,
		"application/json; charset=gbk":   false,
		"application/x-protobuf":          false,
		"text/plain":                      false,
		"jsonish":                         false,
		";;":                              false,
	} {
		env := envelope()
		env.ContentType = contentType
		if _, err := message.Parse([]byte(oneToOne), env); (err == nil) != ok {
			t.Errorf("content-type %q: %v", contentType, err)
		}
	}
}
