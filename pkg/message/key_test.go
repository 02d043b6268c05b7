package message_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

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
			if got := m.Notification("").MsgKey; got != c.want {
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

// TestClaim: what makes two records one message.
func TestClaim(t *testing.T) {
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
