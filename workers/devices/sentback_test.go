package devices

import (
	"strconv"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// TestAMembershipThatWasSentBackKeepsItsTime: where its value has none, the time is that of the record that died.
func TestAMembershipThatWasSentBackKeepsItsTime(t *testing.T) {
	t.Parallel()
	first := clock.Add(-time.Hour)
	headers := []stream.Header{{Key: stream.HeaderOrigin, Value: []byte("im.groups/0/1")},
		{Key: stream.HeaderFirstSeen, Value: []byte(strconv.FormatInt(first.UnixMilli(), 10))}}
	for name, value := range map[string][]byte{"joined": []byte(`{"App":"demo","Group":"team","User":"bob"}`), "left": nil} {
		m, err := ReadMembership(&stream.Record{Key: []byte("demo|team|bob"), Value: value, Time: clock, Headers: headers}, config())
		if err != nil {
			t.Fatal(err)
		}
		if at := max(m.Joined.UnixMilli(), m.Left.UnixMilli()); at != first.UnixMilli() {
			t.Errorf("%s: at %d, want %d", name, at, first.UnixMilli())
		}
	}
}
