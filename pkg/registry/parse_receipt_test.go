package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseReceipt(t *testing.T) {
	t.Parallel()
	const key = "c2c:alice:101_900001_1790000000"
	for _, row := range []struct {
		json string
		want Receipt
	}{
		{
			`{"App":"demo","User":"bob","Device":"bob-iphone","Receipt":"read","MsgKey":"` + key + `","ReceiptTime":1790000002000}`,
			Receipt{App: "demo", User: "bob", Device: "bob-iphone", Kind: ReceiptRead, MsgKey: key, Time: time.UnixMilli(1790000002000)},
		},
		{
			`{"App":"demo","User":"alice","Receipt":"recall","MsgKey":"` + key + `","ReceiptTime":1790000003000}`,
			Receipt{App: "demo", User: "alice", Kind: ReceiptRecall, MsgKey: key, Time: time.UnixMilli(1790000003000)},
		},
		{ // a recall is the sender's, not a device's
			`{"App":"demo","User":"alice","Device":"alice-mac","Receipt":"recall","MsgKey":"` + key + `","ReceiptTime":1790000003000}`,
			Receipt{App: "demo", User: "alice", Kind: ReceiptRecall, MsgKey: key, Time: time.UnixMilli(1790000003000)},
		},
		{
			`{"App":"demo","User":"bob","Device":"d","Receipt":"acknowledged","MsgKey":"at:im.messages/0/7","ReceiptTime":1790000002000,"Later":[1]}`,
			Receipt{App: "demo", User: "bob", Device: "d", Kind: ReceiptAcknowledged, MsgKey: "at:im.messages/0/7", Time: time.UnixMilli(1790000002000)},
		},
	} {
		got, err := ParseReceipt([]byte(row.json), start)
		if err != nil {
			t.Errorf("%s: %v", row.json, err)
		} else if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.json, diff)
		}
	}
}

func TestParseReceiptSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const whole = `{"App":"demo","User":"bob","Device":"d","Receipt":"read","MsgKey":"s3cret","ReceiptTime":1790000002000}`
	for _, row := range []struct{ old, new, want string }{
		{`"demo"`, `""`, "App: required"},
		{`"User":"bob",`, ``, "User: required"},
		{`"Device":"d",`, ``, "Device: required"},
		{`"d"`, `"` + strings.Repeat("x", 129) + `"`, "Device: longer than 128 bytes"},
		{`"bob"`, `"a\u0007"`, "User: holds a control character"},
		{`"read"`, `"seen"`, "Receipt: unknown"},
		{`"read"`, `""`, "Receipt: required"},
		{`"read"`, `7`, "Receipt: not of the right type"},
		{`"MsgKey":"s3cret",`, ``, "MsgKey: required"},
		{`"s3cret"`, `"s3cret\u001f"`, "MsgKey: holds a control character"},
		{`"s3cret"`, `"` + strings.Repeat("s3cret", 90) + `"`, "MsgKey: longer than 512 bytes"},
		{`"s3cret"`, `["s3cret"]`, "MsgKey: not of the right type"},
		{`,"ReceiptTime":1790000002000`, ``, "ReceiptTime: required, in milliseconds"},
		{`1790000002000`, `1790000002`, "ReceiptTime: too long ago: it is in milliseconds since 1970"},
		{`1790000002000`, `1790086400001`, "ReceiptTime: more than a day in the future"},
		{`1790000002000`, `"1790000002000"`, "ReceiptTime: not of the right type"},
		{whole, `null`, "App: required"},
		{whole, `["s3cret"]`, "value: not of the right type"},
		{whole, ``, "not valid JSON"},
	} {
		value := strings.Replace(whole, row.old, row.new, 1)
		_, err := ParseReceipt([]byte(value), start)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", value, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the key stands in %q", err)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add([]byte(`{"App":"demo","User":"bob","Device":"d","Receipt":"read","MsgKey":"k","ReceiptTime":1790000002000}`))
	f.Add([]byte(`{"App":"demo","User":"bob","Receipt":"recall","MsgKey":"k","ReceiptTime":1790000002000}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := ParseReceipt(value, start)
		if err != nil {
			return
		}
		if err := r.Validate(start); err != nil {
			t.Errorf("parsed, but not valid: %v", err)
		}
		if strings.ContainsAny(r.App+r.User+r.Device+r.MsgKey, unit+record) {
			t.Errorf("a separator stands in %+v", r)
		}
	})
}
