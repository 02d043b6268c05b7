package main

import (
	"net/http"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

func TestFaultScriptsAreReadable(t *testing.T) {
	t.Parallel()
	for name, text := range faultScripts {
		if _, err := faults.Parse([]byte("seed: 1\n" + text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each action of a schedule is about something that there is.
func TestSchedulesAreAboutWhatIsThere(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"": true, "broker-1": true, "broker-2": true, "broker-3": true}
	for _, name := range append(append(workerNames(), kinds()...), targets().Proxies...) {
		known[name] = true
	}
	for seed := range uint64(20) {
		for _, phase := range schedule.New(seed, schedule.Full(), targets()).Phases {
			for _, a := range phase.Actions {
				if !known[a.Target] {
					t.Errorf("seed %d: %s: nobody knows %q", seed, a, a.Target)
				}
				if a.Kind == schedule.Providers && faultScripts[a.Arg] == "" {
					t.Errorf("seed %d: %s: no such script", seed, a)
				}
			}
		}
	}
}

func TestAPushIsReadAsThePhoneSeesIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body  string
		key   string
		badge int
	}{
		"APNs":                   {`{"aps":{"badge":4},"msg_key":"k"}`, "k", 4},
		"APNs, without a number": {`{"aps":{},"msg_key":"k"}`, "k", 0},
		"FCM":                    {`{"message":{"token":"t","data":{"msg_key":"k","badge":"4"}}}`, "k", 4},
		"FCM, the message alone": {`{"token":"t","data":{"msg_key":"k","badge":"4"}}`, "k", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			push, err := pushOf(pushtestEntry(test.body))
			if err != nil || push.MsgKey != test.key || push.Badge != test.badge || !push.Accepted || push.Unanswered {
				t.Errorf("%+v, %v", push, err)
			}
		})
	}
}

func pushtestEntry(body string) pushtest.Entry {
	return pushtest.Entry{ID: "id", Token: "t", Body: []byte(body), Status: http.StatusOK}
}
