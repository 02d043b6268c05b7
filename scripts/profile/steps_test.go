package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const traces = `File: apns.test
Type: cpu
Duration: 4.70s, Total samples = 200ms
-----------+-------------------------------------------------------
      10ms   runtime.mallocgc
             github.com/pushfleet/pushfleet/pkg/h2.(*maker).header
             github.com/pushfleet/pushfleet/pkg/h2.(*Conn).RoundTrip
             github.com/pushfleet/pushfleet/pkg/apns.(*transport).RoundTrip
             net/http.send
             github.com/sideshow/apns2.(*Client).PushWithContext
-----------+-------------------------------------------------------
      20ms   encoding/json.Marshal (inline)
             github.com/sideshow/apns2.(*Client).PushWithContext
             github.com/pushfleet/pushfleet/pkg/apns.(*sender).exchange
-----------+-------------------------------------------------------
      30ms   runtime.gcDrain
             runtime.gcAssistAlloc
             github.com/pushfleet/pushfleet/pkg/h2.(*maker).header
-----------+-------------------------------------------------------
      40ms   runtime.findRunnable
             runtime.schedule
-----------+-------------------------------------------------------
     100ms   github.com/pushfleet/pushfleet/pkg/h2.(*Conn).takeHeaderLocked
             github.com/pushfleet/pushfleet/pkg/h2.(*Conn).read
-----------+-------------------------------------------------------
`

func TestAStepKeepsWhatItsPackagesOtherFunctionsDoForIt(t *testing.T) {
	t.Parallel()
	const apns, worker = "github.com/pushfleet/pushfleet/pkg/apns.", "github.com/pushfleet/pushfleet/pkg/push/crew.(*Crew).work"
	for name, test := range map[string]struct {
		stack []string
		want  string
	}{
		"a step's own":      {[]string{apns + "(*request).render", apns + "(*exchange).prepare", apns + "(*driver).send", worker}, "headers and payload: rendering"},
		"the sender's own":  {[]string{apns + "classify", apns + "(*driver).send", worker}, "the sender: deadline, classify, report"},
		"the workers' own":  {[]string{"runtime.chanrecv", worker}, "workers: taking the next, resting, waking"},
		"nobody's of these": {[]string{"runtime.chanrecv"}, scheduling},
	} {
		if got := stepOf(test.stack, apnsSteps); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestAProfileWithoutSamplesIsAnError(t *testing.T) {
	t.Parallel()
	if got, err := attribute(strings.NewReader("Type: cpu\nDuration: 1s\n"), apnsSteps); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}

func TestASampleBelongsToItsInnermostStep(t *testing.T) {
	t.Parallel()
	got, err := attribute(strings.NewReader(traces), apnsSteps)
	if err != nil {
		t.Fatal(err)
	}
	want := []share{
		{"pkg/h2: the connection's reader", 0.5}, {scheduling, 0.2}, {collecting, 0.15},
		{"apns2: its payload, URL, headers, answer", 0.1}, {"pkg/h2: the caller", 0.05},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(share{})); diff != "" {
		t.Error(diff)
	}
}
