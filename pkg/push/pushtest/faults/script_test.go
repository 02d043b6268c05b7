package faults_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseReadsYAMLAndJSONAlike(t *testing.T) {
	t.Parallel()
	want := faults.Script{
		Seed: 7,
		APNs: faults.APNs{
			Latency:       faults.Delay{P50: faults.Duration(20 * time.Millisecond), P99: faults.Duration(time.Second)},
			Streams:       faults.Streams{First: 1, Then: 500, Steps: []faults.Step{{At: faults.Duration(time.Minute), Streams: 10}}},
			TokenInterval: faults.Duration(20 * time.Minute),
		},
		Faults: []faults.Fault{{
			Name: "brown-out", From: faults.Duration(time.Second), Share: new(0.25), Do: faults.DoAnswer, Status: 503,
			Delay: faults.Always(time.Second), Body: new("<html>"),
		}},
	}
	for name, text := range map[string]string{
		"YAML": `
seed: 7
apns:
  latency: {p50: 20ms, p99: 1s}
  streams: {first: 1, then: 500, steps: [{at: 1m, streams: 10}]}
  token_interval: 20m
faults:
- {name: brown-out, from: 1s, share: 0.25, do: answer, status: 503, delay: 1s, body: <html>}
`,
		"JSON": `{"seed":7,"apns":{"latency":{"p50":"20ms","p99":"1s"},"streams":{"first":1,"then":500,"steps":[{"at":"1m","streams":10}]},
"token_interval":"20m"},"faults":[{"name":"brown-out","from":"1s","share":0.25,"do":"answer","status":503,"delay":"1s","body":"<html>"}]}`,
	} {
		got, err := faults.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		encoded, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := faults.Parse(encoded); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%s: what is shown is read as %+v, %v", name, again, err)
		}
	}
	if got, err := faults.Parse(nil); err != nil || cmp.Diff(faults.Script{}, got) != "" {
		t.Errorf("nothing: got %+v, %v", got, err)
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`{`:                                      "yaml",
		`seeds: 7`:                               "seeds",
		`apns: {latency: 20}`:                    "latency",
		`apns: {latency: {p50: 20ms, p9: 1s}}`:   "p9",
		`apns: {latency: {p50: 20ms, p99: 1ms}}`: "apns.latency: p99",
		`apns: {latency: -1s}`:                   "apns.latency: p50",
		`apns: {token_age: -1s}`:                 "apns.token_age",
		`apns: {device_rate: {burst: 0, every: 1s}}`:                    "apns.device_rate",
		`apns: {streams: {steps: [{at: 1s, streams: 0}]}}`:              "apns.streams: steps[0]: streams",
		`apns: {tokens: [{token: ab, reason: Gone}]}`:                   "apns.tokens: [0]: reason",
		`apns: {tokens: [{from: 1s}]}`:                                  "apns.tokens: [0]: token",
		`fcm: {device_quotas: [{messages: 1, per: 1s}, {messages: 1}]}`: "fcm.device_quotas: [1]",
		`faults: [{do: answer, status: 503}, {do: explode}]`:            `faults[1]: do: "explode"`,
		`faults: [{do: answer}]`:                                        "faults[0]: status",
		`faults: [{do: hang, status: 200}]`:                             "faults[0]: status",
		`faults: [{do: delay}]`:                                         "faults[0]: delay",
		`faults: [{do: stall}]`:                                         "faults[0]: do",
		`faults: [{do: answer, status: 503, where: connection}]`:        "faults[0]: do",
		`faults: [{do: hang, where: sea}]`:                              "faults[0]: where",
		`faults: [{do: hang, share: 1.5}]`:                              "faults[0]: share",
		`faults: [{do: hang, from: 2s, until: 1s}]`:                     "faults[0]: until",
		`faults: [{do: hang, times: -1}]`:                               "faults[0]: after, every, times",
		`faults: [{do: hang, by: chance}]`:                              "faults[0]: by",
		`faults: [{do: hang, per: minute}]`:                             "faults[0]: per",
		`faults: [{do: goaway, last: most}]`:                            "faults[0]: last",
		`faults: [{do: reset_stream, code: OOPS}]`:                      "faults[0]: code",
		`faults: [{do: answer, status: 503, retry_as: words}]`:          "faults[0]: retry_as",
		`faults: [{do: answer, status: 503, omit: [status]}]`:           "faults[0]: omit",
		`faults: [{do: answer, status: 503, retry_after: -1s}]`:         "faults[0]: retry_after",
		`faults: [{do: answer, status: 503, retry_after: soon}]`:        "soon",
	} {
		if _, err := faults.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", text, err, says)
		}
	}
}

// TestTheScriptsOfThePageAreRead keeps the documentation true.
func TestTheScriptsOfThePageAreRead(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/simulators.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for i, part := range strings.Split(string(page), "```yaml\n") {
		if i == 0 {
			continue
		}
		text, _, _ := strings.Cut(part, "```")
		script, err := faults.Parse([]byte(text))
		if err != nil || cmp.Diff(faults.Script{}, script) == "" {
			t.Errorf("%v in\n%s", err, text)
		}
		scripts++
	}
	if scripts == 0 {
		t.Error("the page has none")
	}
}
