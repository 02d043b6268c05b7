package message_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
)

const textBody = `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]`

func TestKey(t *testing.T) {
	t.Parallel()
	const to = `"To_Account":"b","MsgBody":` + textBody
	for name, c := range map[string]struct{ record, want string }{
		"one-to-one":                        {`{"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3,` + to + `}`, "c2c:a:1_2_3"},
		"largest numbers":                   {`{"From_Account":"a","MsgSeq":4294967295,"MsgRandom":4294967295,"MsgTimeStamp":1790000000,` + to + `}`, "c2c:a:4294967295_4294967295_1790000000"},
		"no MsgTimeStamp: the record's":     {`{"From_Account":"a","MsgSeq":1,"MsgRandom":2,` + to + `}`, "c2c:a:1_2_1790000000"},
		"no MsgSeq counts as 0":             {`{"From_Account":"a","MsgRandom":2,"MsgTimeStamp":3,` + to + `}`, "c2c:a:0_2_3"},
		"MsgRandom 0 is one":                {`{"From_Account":"a","MsgSeq":1,"MsgRandom":0,"MsgTimeStamp":3,` + to + `}`, "c2c:a:1_0_3"},
		"no MsgRandom":                      {`{"From_Account":"a","MsgSeq":1,"MsgTimeStamp":3,` + to + `}`, "at:im.messages/3/42"},
		"a null MsgRandom":                  {`{"From_Account":"a","MsgSeq":1,"MsgRandom":null,"MsgTimeStamp":3,` + to + `}`, "at:im.messages/3/42"},
		"Random is for groups":              {`{"From_Account":"a","MsgSeq":1,"Random":2,"MsgTimeStamp":3,` + to + `}`, "at:im.messages/3/42"},
		"group":                             {`{"From_Account":"a","GroupId":"g","MsgSeq":1,"Random":2,"MsgTimeStamp":3,` + to + `}`, "group:g:2_3"},
		"group, MsgRandom is for others":    {`{"From_Account":"a","GroupId":"g","MsgRandom":2,"MsgTimeStamp":3,` + to + `}`, "at:im.messages/3/42"},
		"a MsgTimeStamp in ms stays itself": {`{"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":1790000000000,` + to + `}`, "c2c:a:1_2_1790000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, c.record)
			if got := m.Key; got != c.want {
				t.Errorf("Key %s, want %s", got, c.want)
			}
			if got := m.Render(iphone("")).MsgKey; got != c.want {
				t.Errorf("notification's key %s, want %s", got, c.want)
			}
		})
	}
}

// TestKeyWithContent: the checksum is over MsgBody's bytes as the record has them, blanks and escapes included.
func TestKeyWithContent(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		textBody,
		`[]`,
		"[ {\"MsgType\" :\t\"TIMTextElem\",\n \"MsgContent\":{\"Text\":\"\\u0068i\"}} ]",
		`[{"MsgType":"TIMTextElem","MsgContent":{"Text":"` + strings.Repeat("长", 100_000) + `"}}]`,
	} {
		m := parse(t, ` { "From_Account" : "a" , "MsgBody" : `+body+` , "To_Account":"b","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3}`)
		want := fmt.Sprintf("c2c:a:1_2_3_%08x", crc32.ChecksumIEEE([]byte(body)))
		if got := m.KeyWithContent(); got != want {
			t.Errorf("%.60s: %s, want %s", body, got, want)
		}
	}
	if got, want := parse(t, oneToOne).KeyWithContent(), "c2c:alice:101_900001_1790000000_afe7bf93"; got != want {
		t.Errorf("of the contract's example: %s, want %s", got, want)
	}
}

// TestSplitKey: what a receipt names is taken apart into the message's key and, where it carries one, its content's checksum.
func TestSplitKey(t *testing.T) {
	t.Parallel()
	for msgKey, want := range map[string]struct{ key, content string }{
		"c2c:alice:101_900001_1790000000":          {"c2c:alice:101_900001_1790000000", ""},
		"c2c:alice:101_900001_1790000000_afe7bf93": {"c2c:alice:101_900001_1790000000", "afe7bf93"},
		"c2c:alice:101_900001_1790000000_00000001": {"c2c:alice:101_900001_1790000000", "00000001"},
		"c2c:alice:1_2_12345678":                   {"c2c:alice:1_2_12345678", ""},
		"c2c:a_1:2_3:4_5_6_deadbeef":               {"c2c:a_1:2_3:4_5_6", "deadbeef"},
		"c2c:a:1_2_3_deadbeef:4_5_6":               {"c2c:a:1_2_3_deadbeef:4_5_6", ""},
		"group:team:424242_1790000001":             {"group:team:424242_1790000001", ""},
		"group:team:1_2_3_deadbeef":                {"group:team:1_2_3_deadbeef", ""},
		"at:im.messages/3/42":                      {"at:im.messages/3/42", ""},

		// Not keys of ours, and so not taken apart.
		"":                           {"", ""},
		"c2c:":                       {"c2c:", ""},
		"c2c:1_2_3_deadbee":          {"c2c:1_2_3_deadbee", ""},
		"c2c:a:1_2_3_DEADBEEF":       {"c2c:a:1_2_3_DEADBEEF", ""},
		"c2c:a:1_2_3_deadbeef0":      {"c2c:a:1_2_3_deadbeef0", ""},
		"c2c:a:1_2_x_deadbeef":       {"c2c:a:1_2_x_deadbeef", ""},
		"c2c:a:1__3_deadbeef":        {"c2c:a:1__3_deadbeef", ""},
		"c2c:a:1_2_3_4_deadbeef":     {"c2c:a:1_2_3_4_deadbeef", ""},
		"c2c:a:1_2_3_deadbeef_":      {"c2c:a:1_2_3_deadbeef_", ""},
		"c2c:a:1_2_3_deadbeef\x00":   {"c2c:a:1_2_3_deadbeef\x00", ""},
		"C2C:a:1_2_3_deadbeef":       {"C2C:a:1_2_3_deadbeef", ""},
		strings.Repeat("c2c:", 1000): {strings.Repeat("c2c:", 1000), ""},
	} {
		if key, content := message.SplitKey(msgKey); key != want.key || content != want.content {
			t.Errorf("%.60q: %q, %q", msgKey, key, content)
		}
	}
}

// TestBodySum: it is what KeyWithContent writes and SplitKey reads, whatever the sender is called.
func TestBodySum(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"alice", "a:1_2_3", "a_b", "1_2_3_deadbeef", ":", "名前"} {
		m := parse(t, `{"From_Account":"`+from+`","To_Account":"b","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":12345678,"MsgBody":`+textBody+`}`)
		if key, content := message.SplitKey(m.Key); key != m.Key || content != "" {
			t.Errorf("%s: %s, %q", m.Key, key, content)
		}
		if key, content := message.SplitKey(m.KeyWithContent()); key != m.Key || content != m.BodySum() || len(content) != 8 {
			t.Errorf("%s: %s, %q, checksum %s", m.KeyWithContent(), key, content, m.BodySum())
		}
	}
	for name, record := range map[string]string{
		"in a group":        inGroup,
		"without MsgRandom": `{"From_Account":"a","To_Account":"b","MsgBody":` + textBody + `}`,
	} {
		if sum := parse(t, record).BodySum(); sum != "" {
			t.Errorf("%s: %s", name, sum)
		}
	}
}

// Messages sent in the REST shape, with the windows in which a second sending is the same message.
func TestRow17DuplicateWindows(t *testing.T) {
	t.Parallel()
	const (
		c2c   = 120 * time.Second
		group = 5 * time.Minute
	)
	other := strings.Replace(textBody, "hi", "ho", 1)
	base := func(more string) string { return `{"To_Account":"b",` + more + `}` }
	for name, c := range map[string]struct {
		first, second        string
		sameKey, sameContent bool
		window               time.Duration
	}{
		"sent twice": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":3,"MsgBody":` + textBody,
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgTimeStamp":9,"MsgBody":` + textBody, true, true, c2c},
		"to another recipient as well": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgBody":` + textBody,
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"From_Nick":"x","MsgBody":` + textBody, true, true, c2c},
		"other content": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgBody":` + textBody,
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgBody":` + other, true, false, c2c},
		"other sender": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgBody":` + textBody,
			`"From_Account":"A","MsgSeq":1,"MsgRandom":2,"MsgBody":` + textBody, false, true, c2c},
		"other MsgSeq": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":2,"MsgBody":` + textBody,
			`"From_Account":"a","MsgSeq":3,"MsgRandom":2,"MsgBody":` + textBody, false, true, c2c},
		"digits on the other side": {
			`"From_Account":"a","MsgSeq":1,"MsgRandom":23,"MsgBody":` + textBody,
			`"From_Account":"a","MsgSeq":12,"MsgRandom":3,"MsgBody":` + textBody, false, true, c2c},
		"group: content does not matter": {
			`"From_Account":"a","GroupId":"g","Random":2,"MsgSeq":1,"MsgTimeStamp":3,"MsgBody":` + textBody,
			`"From_Account":"z","GroupId":"g","Random":2,"MsgSeq":5,"MsgTimeStamp":9,"MsgBody":` + other, true, true, group},
		"another group": {
			`"From_Account":"a","GroupId":"g","Random":2,"MsgBody":` + textBody,
			`"From_Account":"a","GroupId":"h","Random":2,"MsgBody":` + textBody, false, true, group},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key1, content1, window1 := parse(t, base(c.first)).Claim()
			key2, content2, window2 := parse(t, base(c.second)).Claim()
			if (key1 == key2) != c.sameKey || (content1 == content2) != c.sameContent || window1 != c.window || window2 != c.window {
				t.Errorf("%s %s %v, %s %s %v", key1, content1, window1, key2, content2, window2)
			}
			if len(key1) != 22 {
				t.Errorf("claim key %q has %d bytes", key1, len(key1))
			}
		})
	}
}

// TestClaimWithoutRandom: such a message is the record itself, and nothing else.
func TestClaimWithoutRandom(t *testing.T) {
	t.Parallel()
	claim := func(offset int64) string {
		env := envelope()
		env.Offset = offset
		m, err := message.Parse([]byte(`{"From_Account":"a","To_Account":"b","MsgSeq":1,"MsgBody":`+textBody+`}`), env)
		if err != nil {
			t.Fatal(err)
		}
		key, content, _ := m.Claim()
		if content != "" {
			t.Errorf("content %q", content)
		}
		return key
	}
	first, again, other := claim(1), claim(1), claim(2)
	if first != again || first == other {
		t.Error("the claim is not on the origin")
	}
}

func TestWhatAMessageKeySays(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]message.KeyParts{
		"c2c:alice:101_900001_1790000000":          {Sender: "alice", Seq: 101, Random: 900001, Time: 1790000000},
		"c2c:a:b_1:1_2_3":                          {Sender: "a:b_1", Seq: 1, Random: 2, Time: 3},
		"c2c:alice:1_2_3_0a1b2c3d":                 {Sender: "alice", Seq: 1, Random: 2, Time: 3},
		"group:team:424242_1790000001":             {Group: "team", Random: 424242, Time: 1790000001},
		"group:a:1_2_3:4294967295_5":               {Group: "a:1_2_3", Random: 4294967295, Time: 5},
		"at:im.messages/0/17":                      {},
		"c2c:alice:1_2":                            {},
		"group:team:1_2_3":                         {},
		"c2c::1_2_3":                               {},
		"c2c:alice:1_2_-3":                         {},
		"group:team:4294967296_1":                  {},
		"group:team:1_9223372036854775808":         {},
		"":                                         {},
		"group":                                    {},
		"c2c:alice:1_2_" + strings.Repeat("9", 40): {},
	} {
		got, ok := message.ParseKey(key)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != message.KeyParts{}) {
			t.Errorf("%s: %t (-want +got):\n%s", key, ok, diff)
		}
	}
}
