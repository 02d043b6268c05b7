package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// receiptOf is bob's on his phone; a recall names no device.
func receiptOf(kind string) string {
	device := `"Device":"bob-iphone",`
	if kind == "recall" {
		device = ""
	}
	return `{"App":"demo","User":"bob",` + device + `"Receipt":"` + kind + `","MsgKey":"c2c:alice:101_900001_1790000000","ReceiptTime":1790000002000}`
}

func TestReceiptsGoToTheirTopicAndWhatWasSeenToRedis(t *testing.T) {
	t.Parallel()
	for kind, applied := range map[string]bool{"read": true, "acknowledged": true, "recall": false, "reached": false, "clicked": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			if w := b.do("POST", "/v1/receipts", "application/json", receiptOf(kind)); w.Code != 202 || strings.TrimSpace(w.Body.String()) != `{"accepted":1}` {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			want := []stream.Message{{Topic: "p.im.receipts", Key: []byte("demo|bob"), Value: []byte(receiptOf(kind)), Partition: stream.ByKey}}
			if diff := cmp.Diff(want, b.published); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if got := len(b.registry.receipts) == 1; got != applied {
				t.Errorf("applied %v, want %t", b.registry.receipts, applied)
			}
		})
	}
}

func TestBadReceiptsAreRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		line  int
		field string
	}{
		"an unknown receipt":    {receiptOf("seen"), 0, "Receipt"},
		"no message":            {strings.Replace(receiptOf("read"), "c2c:alice:101_900001_1790000000", "", 1), 0, "MsgKey"},
		"no device":             {strings.Replace(receiptOf("read"), `"Device":"bob-iphone",`, "", 1), 0, "Device"},
		"a time in seconds":     {strings.Replace(receiptOf("read"), "1790000002000", "1790000002", 1), 0, "ReceiptTime"},
		"an unknown app":        {strings.Replace(receiptOf("read"), "demo", "other", 1), 0, "App"},
		"a bad second line":     {receiptOf("read") + "\n" + receiptOf("seen"), 2, "Receipt"},
		"an array":              {"[" + receiptOf("read") + "]", 0, "NDJSON"},
		"not even a JSON value": {"read", 0, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			p := problemOf(t, b.do("POST", "/v1/receipts", ndjson, c.body), 400)
			if c.line > 0 && p.Line != c.line || !strings.Contains(p.Field+" "+p.Detail, c.field) {
				t.Errorf("line %d field %q: %s; want line %d and %q", p.Line, p.Field, p.Detail, c.line, c.field)
			}
			if len(b.published) != 0 || len(b.registry.receipts) != 0 {
				t.Error("something of a refused request was published or applied")
			}
		})
	}
}

func TestRedisAwayAfterAReceiptIsDurable(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"read", "acknowledged"} {
		b := newBench(t, nil)
		b.registry.err = errors.New("dial tcp: refused")
		if p := problemOf(t, b.do("POST", "/v1/receipts", "", receiptOf(kind)), 503); !strings.Contains(p.Detail, "durable in Kafka") {
			t.Errorf("%s: %s", kind, p.Detail)
		}
		if len(b.published) != 1 {
			t.Errorf("%s: %d published", kind, len(b.published))
		}
	}
}
