package message_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// TestBadInput: what is wrong, which field the error names, and what it says.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const whole = `"From_Account":"a","To_Account":"b","MsgBody":` + textBody
	element := func(kind, content string) string {
		return `{"From_Account":"a","To_Account":"b","MsgBody":[{"MsgType":"TIMFaceElem"},{"MsgType":"` + kind + `","MsgContent":` + content + `}]}`
	}
	for name, c := range map[string]struct{ record, field, problem string }{
		"empty":                         {``, "", "not JSON"},
		"blank":                         {` `, "", "not JSON"},
		"no JSON":                       {`hello SECRET`, "", "not JSON at byte 0"},
		"cut off":                       {`{` + whole, "", "not JSON at byte"},
		"two values":                    {`{` + whole + `}{}`, "", "not JSON at byte"},
		"an array":                      {`[]`, "", "not an object"},
		"a string":                      {`"SECRET"`, "", "not an object"},
		"invalid UTF-8":                 {`{` + whole + `,"From_Nick":"SECRET` + "\xff" + `"}`, "", "not UTF-8"},
		"invalid UTF-8, unknown":        {`{` + whole + `,"Unknown":["` + "\xed\xa0\x80" + `"]}`, "", "not UTF-8"},
		"UTF-16":                        {"\xff\xfe{\x00}\x00", "", "not UTF-8"},
		"half a surrogate pair":         {`{` + whole + `,"From_Nick":"\ud83d"}`, "", "not JSON at byte"},
		"a name twice":                  {`{` + whole + `,"SECRET":1,"SECRET":2}`, "", "a name stands twice"},
		"a field twice":                 {`{` + whole + `,"From_Account":"c"}`, "", "a name stands twice"},
		"endless depth":                 {`{` + whole + `,"X":` + strings.Repeat("[", 500_000), "", "not JSON"},
		"larger than 1 MiB":             {`{` + whole + `,"X":"` + strings.Repeat("x", 1<<20) + `"}`, "", "larger than 1 MiB"},
		"App of another type":           {`{` + whole + `,"App":7}`, "App", "not a string"},
		"App too long":                  {`{` + whole + `,"App":"` + strings.Repeat("x", 129) + `"}`, "App", "longer than 128 bytes"},
		"no sender":                     {`{"To_Account":"b","MsgBody":[]}`, "From_Account", "missing"},
		"an empty sender":               {`{"From_Account":"","To_Account":"b","MsgBody":[]}`, "From_Account", "missing"},
		"sender with a newline":         {`{"From_Account":"a\nSECRET","To_Account":"b","MsgBody":[]}`, "From_Account", "holds a control character"},
		"sender with a C1 control":      {`{"From_Account":"a\u0085","To_Account":"b","MsgBody":[]}`, "From_Account", "holds a control character"},
		"group too long":                {`{` + whole + `,"GroupId":"` + strings.Repeat("é", 65) + `"}`, "GroupId", "longer than 128 bytes"},
		"no recipient":                  {`{"From_Account":"a","MsgBody":[]}`, "To_Account", "missing"},
		"an empty recipient":            {`{"From_Account":"a","To_Account":"","MsgBody":[]}`, "To_Account", "missing"},
		"a recipient with a control":    {`{"From_Account":"a","To_Account":["b","\u0000"],"MsgBody":[]}`, "To_Account[1]", "holds a control character"},
		"an empty one of several":       {`{"From_Account":"a","To_Account":["b",""],"MsgBody":[]}`, "To_Account[1]", "missing"},
		"a recipient that is null":      {`{"From_Account":"a","To_Account":[null],"MsgBody":[]}`, "To_Account[0]", "missing"},
		"a recipient of a type":         {`{"From_Account":"a","To_Account":["b",7],"MsgBody":[]}`, "To_Account[1]", "not a string"},
		"recipients of a type":          {`{"From_Account":"a","To_Account":{"b":1},"MsgBody":[]}`, "To_Account", "neither a string nor an array"},
		"MsgSeq as text":                {`{` + whole + `,"MsgSeq":"1"}`, "MsgSeq", "not an integer"},
		"MsgSeq with a fraction":        {`{` + whole + `,"MsgSeq":1.5}`, "MsgSeq", "not an integer"},
		"MsgSeq negative":               {`{` + whole + `,"MsgSeq":-1}`, "MsgSeq", "negative"},
		"MsgSeq beyond 32 bits":         {`{` + whole + `,"MsgSeq":4294967296}`, "MsgSeq", "larger than 4294967295"},
		"MsgRandom beyond 64 bits":      {`{` + whole + `,"MsgRandom":99999999999999999999}`, "MsgRandom", "larger than 4294967295"},
		"MsgRandom 1e999999":            {`{` + whole + `,"MsgRandom":1e999999}`, "MsgRandom", "not an integer"},
		"Random negative":               {`{` + whole + `,"Random":-1}`, "Random", "negative"},
		"MsgTimeStamp negative":         {`{` + whole + `,"MsgTimeStamp":-1}`, "MsgTimeStamp", "negative"},
		"MsgTimeStamp as text":          {`{` + whole + `,"MsgTimeStamp":"2026-09-21"}`, "MsgTimeStamp", "not an integer"},
		"MsgLifeTime negative":          {`{` + whole + `,"MsgLifeTime":-1}`, "MsgLifeTime", "negative"},
		"OnlineOnlyFlag true":           {`{` + whole + `,"OnlineOnlyFlag":true}`, "OnlineOnlyFlag", "not an integer"},
		"SendMsgControl as text":        {`{` + whole + `,"SendMsgControl":"NoUnread"}`, "SendMsgControl", "not an array"},
		"SendMsgControl of numbers":     {`{` + whole + `,"SendMsgControl":[1]}`, "SendMsgControl[0]", "not a string"},
		"no MsgBody":                    {`{"From_Account":"a","To_Account":"b"}`, "MsgBody", "missing"},
		"a null MsgBody":                {`{"From_Account":"a","To_Account":"b","MsgBody":null}`, "MsgBody", "missing"},
		"MsgBody an object":             {`{"From_Account":"a","To_Account":"b","MsgBody":{"SECRET":1}}`, "MsgBody", "not an array"},
		"an element of a type":          {`{"From_Account":"a","To_Account":"b","MsgBody":[{"MsgType":"X"},"SECRET"]}`, "MsgBody[1]", "not an object"},
		"an element without a type":     {`{"From_Account":"a","To_Account":"b","MsgBody":[{"MsgContent":{}}]}`, "MsgBody[0].MsgType", "missing"},
		"a type is not its neighbour's": {`{"From_Account":"a","To_Account":"b","MsgBody":[{"MsgType":"TIMFaceElem"},{"MsgContent":{}}]}`, "MsgBody[1].MsgType", "missing"},
		"an element's type of one":      {`{"From_Account":"a","To_Account":"b","MsgBody":[{"MsgType":7}]}`, "MsgBody[0].MsgType", "not a string"},
		"Text of another type":          {element("TIMTextElem", `{"Text":7}`), "MsgBody[1].MsgContent.Text", "not a string"},
		"a text element's content":      {element("TIMTextElem", `"SECRET"`), "MsgBody[1].MsgContent", "not an object"},
		"a face element's content":      {element("TIMFaceElem", `[]`), "MsgBody[1].MsgContent", "not an object"},
		"a relay's Title":               {element("TIMRelayElem", `{"Title":[]}`), "MsgBody[1].MsgContent.Title", "not a string"},
		"a custom element's Desc":       {element("TIMCustomElem", `{"Desc":true}`), "MsgBody[1].MsgContent.Desc", "not a string"},
		"a custom element's Ext":        {element("TIMCustomElem", `{"Ext":{"SECRET":1}}`), "MsgBody[1].MsgContent.Ext", "not a string"},
		"a custom element's Sound":      {element("TIMCustomElem", `{"Sound":1}`), "MsgBody[1].MsgContent.Sound", "not a string"},
		"OfflinePushInfo as text":       {`{` + whole + `,"OfflinePushInfo":"SECRET"}`, "OfflinePushInfo", "not an object"},
		"PushFlag as text":              {`{` + whole + `,"OfflinePushInfo":{"PushFlag":"1"}}`, "OfflinePushInfo.PushFlag", "not an integer"},
		"Ext as an object":              {`{` + whole + `,"OfflinePushInfo":{"Ext":{"SECRET":1}}}`, "OfflinePushInfo.Ext", "not a string"},
		"ApnsInfo.Sound":                {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"Sound":1}}}`, "OfflinePushInfo.ApnsInfo.Sound", "not a string"},
		"PushType of another":           {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"PushType":"SECRET"}}}`, "OfflinePushInfo.ApnsInfo.PushType", "none of alert, voip, background"},
		"PushType by case":              {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"PushType":"VoIP"}}}`, "OfflinePushInfo.ApnsInfo.PushType", "none of"},
		"PushType a number":             {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"PushType":1}}}`, "OfflinePushInfo.ApnsInfo.PushType", "not a string"},
		"InterruptionLevel of another":  {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"InterruptionLevel":"SECRET"}}}`, "OfflinePushInfo.ApnsInfo.InterruptionLevel", "none of passive, active, time-sensitive, critical"},
		"InterruptionLevel by number":   {`{` + whole + `,"OfflinePushInfo":{"ApnsInfo":{"InterruptionLevel":1}}}`, "OfflinePushInfo.ApnsInfo.InterruptionLevel", "not a string"},
		"MsgPriority a number":          {`{` + whole + `,"MsgPriority":1}`, "MsgPriority", "not a string"},
		"GroupAtInfo an object":         {`{` + whole + `,"GroupAtInfo":{"SECRET":1}}`, "GroupAtInfo", "not an array"},
		"GroupAtInfo of text":           {`{` + whole + `,"GroupAtInfo":["SECRET"]}`, "GroupAtInfo[0]", "not an object"},
		"GroupAtAllFlag true":           {`{` + whole + `,"GroupAtInfo":[{},{"GroupAtAllFlag":true}]}`, "GroupAtInfo[1].GroupAtAllFlag", "not an integer"},
		"GroupAt_Account a number":      {`{` + whole + `,"GroupAtInfo":[{"GroupAt_Account":7}]}`, "GroupAtInfo[0].GroupAt_Account", "not a string"},
		"AndroidInfo.Sound":             {`{` + whole + `,"OfflinePushInfo":{"AndroidInfo":{"New":1,"Sound":[]}}}`, "OfflinePushInfo.AndroidInfo.Sound", "not a string"},
		"a vendor's name twice":         {`{` + whole + `,"OfflinePushInfo":{"AndroidInfo":{"SECRET":1,"SECRET":1}}}`, "", "a name stands twice"},
		"AndroidInfo":                   {`{` + whole + `,"OfflinePushInfo":{"AndroidInfo":[]}}`, "OfflinePushInfo.AndroidInfo", "not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := message.Parse([]byte(c.record), envelope())
			invalid, ok := errors.AsType[*message.Invalid](err)
			if !ok || m != nil {
				t.Fatalf("message %v, error %v", m, err)
			}
			if invalid.Reason != push.ReasonInvalidMessage || invalid.Field != c.field || !strings.HasPrefix(invalid.Problem, c.problem) {
				t.Errorf("%v, want field %q, problem %q", err, c.field, c.problem)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%v quotes the record", err)
			}
		})
	}
}

func TestTooManyRecipients(t *testing.T) {
	t.Parallel()
	named := func(n int, more string) string {
		return `{"From_Account":"a","To_Account":["u0"` + numbered(n-1) + `],"MsgBody":` + textBody + more + `}`
	}
	if m := parse(t, named(500, "")); len(m.Recipients) != 500 {
		t.Errorf("%d recipients of 500", len(m.Recipients))
	}
	if m := parse(t, named(60_000, `,"GroupId":"g"`)); len(m.Recipients) != 60_000 {
		t.Errorf("%d recipients of 60000 in a group", len(m.Recipients))
	}
	_, err := message.Parse([]byte(named(501, "")), envelope())
	invalid, ok := errors.AsType[*message.Invalid](err)
	if !ok || invalid.Reason != push.ReasonTooManyRecipients || invalid.Field != "To_Account" {
		t.Errorf("501 recipients: %v", err)
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"u`)
		b.WriteString(strconv.Itoa(i + 1))
		b.WriteByte('"')
	}
	return b.String()
}

// TestIDsAtTheirLimit: what looks odd but is allowed.
func TestIDsAtTheirLimit(t *testing.T) {
	t.Parallel()
	for _, id := range []string{strings.Repeat("x", 128), strings.Repeat("é", 64), "a|b%c", "a:b_c", "名前 😀", " ", `\"\\`} {
		m := parse(t, `{"App":"`+id+`","From_Account":"`+id+`","To_Account":["`+id+`","b"],"GroupId":"`+id+`","MsgBody":[]}`)
		if len(m.Recipients) != 1 || m.Recipients[0] != "b" {
			t.Errorf("%q: recipients %q", id, m.Recipients)
		}
	}
}

// TestNumbersCostNothing: a number in a record or a key is a value, never a size. The largest that fits and the largest that
// can be written cost what 1 costs.
func TestNumbersCostNothing(t *testing.T) {
	const record = `{"From_Account":"a","GroupId":"g","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}},
		{"MsgType":"TIMFaceElem","MsgContent":{"Index":#}},{"MsgType":"TIMSoundElem","MsgContent":{"Size":#,"Second":#}},
		{"MsgType":"TIMFileElem","MsgContent":{"FileSize":#}},{"MsgType":"TIMRelayElem","MsgContent":{"Title":"t","MsgNum":#}}],
		"MsgSeq":@,"MsgRandom":@,"Random":@,"MsgTimeStamp":#,"MsgLifeTime":#,"OnlineOnlyFlag":#,"GroupAtInfo":[{"GroupAtAllFlag":#}],
		"OfflinePushInfo":{"PushFlag":#,"AndroidInfo":{"VIVOClassification":#},"ApnsInfo":{"BadgeMode":#,"MutableContent":#}}}`
	const slack = 32 << 10 // what the decoder's pools may have forgotten in between
	spent := func(unsigned, number string) uint64 {
		value := []byte(strings.NewReplacer("@", unsigned, "#", number).Replace(record))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := message.Parse(value, envelope())
		if err != nil {
			t.Fatal(err)
		}
		m.Render(message.View{Language: "ja"})
		message.SplitKey("c2c:a:" + unsigned + "_" + number + "_" + number + "_00000000")
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	spent("1", "1") // the decoder learns the types
	small := spent("1", "2")
	for _, c := range []struct{ unsigned, number string }{
		{"4294967295", "4294967295"}, {"4294967295", "9223372036854775807"}, {"4294967295", "99999999999999999999999999"},
	} {
		if large := spent(c.unsigned, c.number); large > small+slack {
			t.Errorf("%s: %d bytes allocated, %d for small numbers", c.number, large, small)
		} else {
			t.Logf("%s: %d bytes allocated, %d for small numbers", c.number, large, small)
		}
	}
}

// TestLargestRecord: reading and rendering one costs memory in proportion to its bytes, whatever fills them.
func TestLargestRecord(t *testing.T) {
	const start = `{"From_Account":"a","GroupId":"g","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}],`
	fill := func(unit string) string { return strings.Repeat(unit, (message.MaxRecord-2*len(start))/len(unit)) }
	for name, record := range map[string]string{
		"unknown objects": start + `"X":[` + fill(`{},`) + `0]}`,
		"depth":           start + `"X":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`,
		"one name":        start + `"From_Nick":"` + fill("x") + `"}`,
		"recipients":      start + `"To_Account":[` + fill(`"b",`) + `"b"]}`,
		"mentions":        start + `"GroupAtInfo":[` + fill(`{"GroupAt_Account":"b"},`) + `{}]}`,
		"empty mentions":  start + `"GroupAtInfo":[` + fill(`{},`) + `{}]}`,
		"a vendor":        start + `"OfflinePushInfo":{"AndroidInfo":{"X":[` + fill(`{},`) + `0]}}}`,
		"controls":        start + `"SendMsgControl":[` + fill(`"",`) + `""]}`,
		"elements":        strings.Replace(start, `"MsgBody":[`, `"MsgBody":[`+fill(`{"MsgType":"x"},`), 1) + `"X":0}`,
		"escapes":         start + `"From_Nick":"` + fill(`\u0041`) + `"}`,
		"one big number":  start + `"MsgSeq":4294967295,"MsgTimeStamp":9223372036854775807,"MsgLifeTime":9223372036854775807}`,
	} {
		if len(record) > message.MaxRecord {
			t.Fatalf("%s: %d bytes", name, len(record))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m := parse(t, record)
		if m.Render(message.View{Language: "ja"}).Body == "" || m.Render(message.View{Private: true}).Body == "" {
			t.Errorf("%s: no text", name)
		}
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 32*message.MaxRecord {
			t.Errorf("%s: %d bytes allocated for %d", name, spent, len(record))
		} else {
			t.Logf("%s: %d KiB allocated for %d KiB", name, spent>>10, len(record)>>10)
		}
	}
}
