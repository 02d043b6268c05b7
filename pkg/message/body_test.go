package message

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// TestBodyKeepsNoMoreThanAPhoneShows: what many small elements cost is bounded by the text, not by their number.
func TestBodyKeepsNoMoreThanAPhoneShows(t *testing.T) {
	t.Parallel()
	for _, element := range []string{`{"MsgType":"TIMFaceElem"}`, `{"MsgType":"TIMTextElem","MsgContent":{"Text":"x"}}`} {
		var b body
		elements := `[` + strings.Repeat(element+`,`, 2*maxText) + element + `]`
		if err := json.Unmarshal([]byte(elements), &b); err != nil {
			t.Fatal(err)
		}
		if len(b.text) != maxText || b.read != 2*maxText+1 {
			t.Errorf("%s: %d segments kept of %d elements", element, len(b.text), b.read)
		}
	}
}
