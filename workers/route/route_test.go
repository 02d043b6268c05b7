package route

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

func TestWhatBecomesOfARecord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records []string
		want    []string
	}{
		"one notification a device, the badge counted": {
			[]string{`{"From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`},
			[]string{`push.apns.normal phone "Alice:hello" badge 5`, "event bob phone push background"},
		},
		"the second of a batch counts on": {
			[]string{
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":2,"MsgRandom":2,` + text + `}`,
			},
			[]string{
				`push.apns.normal phone "hello" badge 5`, "event bob phone push background",
				`push.apns.normal phone "hello" badge 6`, "event bob phone push background",
			},
		},
		"the same message in another record is a duplicate": {
			[]string{
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
				`{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`,
			},
			[]string{`push.apns.normal phone "hello" badge 5`, "event bob phone push background", "event bob filter duplicate"},
		},
		"nobody ever logged in": {
			[]string{`{"From_Account":"alice","To_Account":"carol",` + text + `}`},
			[]string{"event carol filter logged_out"},
		},
		"message that asks for no push": {
			[]string{`{"From_Account":"alice","To_Account":["bob","carol"],"OfflinePushInfo":{"PushFlag":1},` + text + `}`},
			[]string{"event bob filter push_flag", "event carol filter push_flag"},
		},
		"unreadable, and the next goes on": {
			[]string{`{"From_Account":`, `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`},
			[]string{"im.messages.dead 16 bytes", "event dead invalid_message", `push.apns.normal phone "hello" badge 5`, "event bob phone push background"},
		},
		"unknown app": {
			[]string{`{"App":"other","From_Account":"alice","To_Account":"bob",` + text + `}`},
			[]string{"im.messages.dead 125 bytes", "event dead unknown_app"},
		},
		"ext that no platform takes": {
			[]string{`{"From_Account":"alice","To_Account":"bob","OfflinePushInfo":{"Ext":"` + strings.Repeat("x", fixedLimit+1) + `"},` + text + `}`},
			[]string{"im.messages.dead 65677 bytes", "event dead too_large"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.device(t, "bob", "phone", 4)
			var batch []*stream.Record
			var offsets []int64
			for i, value := range test.records {
				batch = append(batch, r.record(int64(i), value))
				offsets = append(offsets, int64(i))
			}
			r.route.Handle(t.Context(), batch)
			if !slices.Equal(r.lines, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(test.want, "\n"))
			}
			if slices.Sort(r.acks); !slices.Equal(r.acks, offsets) {
				t.Errorf("acknowledged %v, want %v", r.acks, offsets)
			}
		})
	}
}

func TestARecordReadTwiceLeadsToTheSameNotification(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device(t, "bob", "phone", 4)
	value := `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,` + text + `}`
	r.route.Handle(t.Context(), []*stream.Record{r.record(7, value)})
	r.route.Handle(t.Context(), []*stream.Record{r.record(7, value)})
	want := []string{`push.apns.normal phone "hello" badge 5`, "event bob phone push background"}
	if want = append(want, want...); !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestRouteHoldsWhileTheRegistryIsEmpty(t *testing.T) {
	t.Parallel()
	r := newEmptyRig(t)
	record := r.record(0, `{"From_Account":"alice","To_Account":"bob","MsgSeq":1,"MsgRandom":1,`+text+`}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.route.Handle(ctx, []*stream.Record{record})
	if len(r.lines) > 0 || len(r.acks) > 0 {
		t.Fatalf("decided without a registry: %v, acknowledged %v", r.lines, r.acks)
	}
	if err := r.reg.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.device(t, "bob", "phone", 4)
	r.route.Handle(t.Context(), []*stream.Record{record})
	if !slices.Equal(r.acks, []int64{0}) {
		t.Errorf("acknowledged %v once it was rebuilt", r.acks)
	}
}

func TestRouteHoldsWhilePresenceIsBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tries := 0
	r.hold = func() error {
		if tries++; tries < 3 {
			return errors.New("behind")
		}
		return nil
	}
	r.route.Handle(t.Context(), []*stream.Record{r.record(0, `{"From_Account":"alice","To_Account":"bob",`+text+`}`)})
	if tries != 3 || !slices.Equal(r.acks, []int64{0}) {
		t.Errorf("%d tries, acknowledged %v", tries, r.acks)
	}
}
