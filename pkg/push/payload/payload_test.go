package payload_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

// around is a payload with nothing but a body.
func around(body string) []byte {
	return append(payload.AppendMember([]byte{'{'}, "b", body), '}')
}

const frame = len(`{"b":""}`)

func TestFit(t *testing.T) {
	t.Parallel()
	const family = "👩‍👩‍👧‍👦" // one cluster of 25 bytes
	for name, test := range map[string]struct {
		body string
		room int // inside the quotes
		want string
		no   bool
	}{
		"it fits":                             {body: "hello", room: 5, want: "hello"},
		"one byte too many":                   {body: "hello!", room: 5, want: "he…"},
		"an ellipsis takes three":             {body: "hello", room: 3, want: "…"},
		"no room for an ellipsis":             {body: "hello", room: 2, no: true},
		"nothing to cut":                      {body: "", room: -frame, no: true},
		"escapes count":                       {body: `""""`, room: 7, want: `""…`},
		"a cluster is whole":                  {body: family + family, room: 3 + 25, want: family + "…"},
		"or left out":                         {body: family + family, room: 3 + 24, want: "…"},
		"an accent stays with its letter":     {body: "ae\u0301xyz", room: 3 + 3, want: "a…"},
		"flags are two letters each":          {body: "🇩🇪🇫🇷x", room: 3 + 12, want: "🇩🇪…"},
		"line ends are one":                   {body: "a\r\nbcdefghi", room: 3 + 4, want: "a…"},
		"bytes that are not UTF-8 take three": {body: "\xff\xff\xff", room: 8, want: "\ufffd…"},
	} {
		got, ok := payload.Fit(frame+test.room, test.body, around)
		var read struct{ B string }
		if ok {
			if err := json.Unmarshal(got, &read); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if ok == test.no || read.B != test.want || ok && len(got) > frame+test.room {
			t.Errorf("%s: got %q, %t, want %q", name, read.B, ok, test.want)
		}
	}
}

func TestALongBodyIsNeverRenderedWhole(t *testing.T) {
	t.Parallel()
	longest := 0
	_, ok := payload.Fit(100, strings.Repeat("x", 1<<20), func(body string) []byte {
		longest = max(longest, len(body))
		return around(body)
	})
	if !ok || longest > 100 {
		t.Errorf("rendered a body of %d bytes for a limit of 100", longest)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	dst := []byte{'{'}
	dst = payload.AppendMember(dst, "none", "")
	dst = payload.AppendMember(dst, "text", "<&>\u2028\"\n\xff")
	dst = payload.AppendNumber(dst, "zero", 0)
	dst = append(payload.AppendName(dst, "empty"), '{')
	dst = append(dst, '}', '}')
	if got, want := string(dst), `{"text":"<&>`+"\u2028"+`\"\n`+"\ufffd"+`","zero":0,"empty":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzFit(f *testing.F) {
	f.Add("Alice:hello", 8, 100)
	f.Add("👩‍👩‍👧‍👦e\u0301\xff\x01\"", 30, 2)
	f.Fuzz(func(t *testing.T, unit string, limit, times int) {
		limit %= 5000
		body := strings.Repeat(unit, max(0, times)%1000)
		got, ok := payload.Fit(limit, body, around)
		if !ok {
			return
		}
		var read struct{ B string }
		if err := json.Unmarshal(got, &read); err != nil || len(got) > limit || !utf8.Valid(got) {
			t.Fatalf("%d bytes of %d, %v: %q", len(got), limit, err, got)
		}
		if read.B == strings.ToValidUTF8(body, "\ufffd") || !utf8.ValidString(body) {
			return
		}
		kept, cut := strings.CutSuffix(read.B, "…")
		if !cut || !strings.HasPrefix(body, kept) {
			t.Fatalf("body %q became %q", body, read.B)
		}
		if uniseg.GraphemeClusterCount(body) != uniseg.GraphemeClusterCount(kept)+uniseg.GraphemeClusterCount(body[len(kept):]) {
			t.Fatalf("a cluster was cut: %q", read.B)
		}
	})
}
