package clients_test

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/workers/simulate"
)

// push is what an APNs client is told to send.
type push struct {
	Token    string `json:"token"`
	Topic    string `json:"topic"`
	Type     string `json:"type"`
	Priority int    `json:"priority"`
	Size     int    `json:"size"` // characters of text
	ID       string `json:"id,omitempty"`
	Times    int    `json:"times,omitempty"` // copies at once; 0 = 1
}

// pushAnswer is what an APNs client reports of a push.
type pushAnswer struct {
	Status    int    `json:"status"`
	Reason    string `json:"reason"`
	Timestamp int64  `json:"timestamp"`
	ID        string `json:"id"`
}

// identity is what an APNs client shows the simulator.
type identity struct {
	keyID       string
	clockBehind int  // s
	certificate bool // in place of a token
}

// apnsClient starts a client of a simulator; what it returns sends a push and returns an answer for each copy.
type apnsClient func(t *testing.T, s simulator, who identity) func(push) []pushAnswer

// nodeClient is a script of this folder.
func nodeClient(script string) apnsClient {
	return func(t *testing.T, s simulator, who identity) func(push) []pushAnswer {
		t.Helper()
		host, port := address(t, s.APNs)
		options := map[string]any{
			"host": host, "port": port, "ca_file": s.CAFile, "key_file": s.KeyFile, "key_id": who.keyID, "team_id": simulate.TeamID,
			"clock_behind": who.clockBehind,
		}
		if who.certificate {
			options["p12_file"], options["password"] = s.CertificateFile, simulate.P12Password
		}
		client := run(t, []string{"NODE_EXTRA_CA_CERTS=" + s.CAFile}, "node", script, encode(t, options))
		return func(p push) (answers []pushAnswer) {
			client.ask(p, &answers)
			return answers
		}
	}
}

func address(t *testing.T, base string) (host string, port int) {
	t.Helper()
	parsed, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	host, text, err := net.SplitHostPort(parsed.Host)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	return host, port
}

const hour = 3600 // s

func TestClientsOfAPNs(t *testing.T) {
	t.Parallel()
	needClients(t)
	pushsim := build(t, "github.com/pushfleet/pushfleet/cmd/pushsim")
	for name, test := range map[string]struct {
		start        apnsClient
		certificates bool // the client can show one
		ids          bool // the client reports apns-id
	}{
		"@parse/node-apn": {start: nodeClient("node-apn.js"), certificates: true, ids: true},
		"apns2":           {start: nodeClient("apns2.js")},
		"curl":            {start: curlToAPNs, certificates: true, ids: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSimulator(t, pushsim, "apns")
			pushEverything(t, s, test.start(t, s, identity{keyID: simulate.KeyID}))
			t.Run("many at once over a connection that begins with one stream", func(t *testing.T) {
				send := test.start(t, s, identity{keyID: simulate.KeyID})
				answers := send(push{Token: token(100), Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10, Times: 100})
				if len(answers) != 100 {
					t.Fatalf("%d answers, want 100", len(answers))
				}
				for _, a := range answers {
					if a.Status != 200 {
						t.Errorf("got %+v", a)
					}
				}
			})
			for name, who := range map[string]identity{
				"InvalidProviderToken": {keyID: "ZZZ999ZZZZ"},
				"ExpiredProviderToken": {keyID: simulate.KeyID, clockBehind: 2 * hour},
			} {
				t.Run(name, func(t *testing.T) {
					got := test.start(t, s, who)(push{Token: token(101), Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10})
					if diff := cmp.Diff([]pushAnswer{{Status: 403, Reason: name}}, without(got)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
			if test.certificates {
				t.Run("with a certificate in place of a token", func(t *testing.T) {
					send := test.start(t, s, identity{certificate: true})
					got := send(push{Token: token(102), Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10})
					got = append(got, send(push{Token: token(102), Topic: "com.example.other", Type: "alert", Priority: 10, Size: 10})...)
					if diff := cmp.Diff([]pushAnswer{{Status: 200}, {Status: 400, Reason: "TopicDisallowed"}}, without(got)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
			if test.ids {
				t.Run("apns-id comes back", func(t *testing.T) {
					const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
					send := test.start(t, s, identity{keyID: simulate.KeyID})
					if got := send(push{Token: token(103), Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10, ID: id}); got[0].ID != id {
						t.Errorf("got %+v", got)
					}
				})
			}
		})
	}
}

// pushEverything sends one push after the other over one client, and compares what it reports.
func pushEverything(t *testing.T, s simulator, send func(push) []pushAnswer) {
	t.Helper()
	for i, test := range []struct {
		name   string
		push   push
		script map[string]any // nil = the simulator's own answer
		want   pushAnswer
	}{
		{name: "an alert", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10}, want: pushAnswer{Status: 200}},
		{name: "a call", push: push{Topic: simulate.BundleID + ".voip", Type: "voip", Priority: 10, Size: 4500}, want: pushAnswer{Status: 200}},
		{name: "in the background", push: push{Topic: simulate.BundleID, Type: "background", Priority: 5}, want: pushAnswer{Status: 200}},
		{
			name: "in the background with an alert's priority", push: push{Topic: simulate.BundleID, Type: "background", Priority: 10},
			want: pushAnswer{Status: 400, Reason: "BadPriority"},
		},
		{
			name: "a token that is none", push: push{Token: "abcd", Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10},
			want: pushAnswer{Status: 400, Reason: "BadDeviceToken"},
		},
		{
			name: "another app's topic", push: push{Topic: "com.example.other", Type: "alert", Priority: 10, Size: 10},
			want: pushAnswer{Status: 400, Reason: "TopicDisallowed"},
		},
		{
			name: "a call with the topic of alerts", push: push{Topic: simulate.BundleID, Type: "voip", Priority: 10, Size: 10},
			want: pushAnswer{Status: 400, Reason: "TopicDisallowed"},
		},
		{
			name: "a token of another app", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10},
			script: map[string]any{"status": 400, "reason": "DeviceTokenNotForTopic"},
			want:   pushAnswer{Status: 400, Reason: "DeviceTokenNotForTopic"},
		},
		{
			name: "an app that was removed", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10},
			script: map[string]any{"status": 410, "reason": "Unregistered", "timestamp": 1_700_000_000_123},
			want:   pushAnswer{Status: 410, Reason: "Unregistered", Timestamp: 1_700_000_000_123},
		},
		{
			name: "an alert of more than 4096 bytes", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 4097},
			want: pushAnswer{Status: 413, Reason: "PayloadTooLarge"},
		},
		{
			name: "a call of more than 5120 bytes", push: push{Topic: simulate.BundleID + ".voip", Type: "voip", Priority: 10, Size: 5121},
			want: pushAnswer{Status: 413, Reason: "PayloadTooLarge"},
		},
		{
			name: "too many to a device", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10},
			script: map[string]any{"status": 429, "reason": "TooManyRequests", "retry_after": 1},
			want:   pushAnswer{Status: 429, Reason: "TooManyRequests"},
		},
		{
			name: "a service that is away", push: push{Topic: simulate.BundleID, Type: "alert", Priority: 10, Size: 10},
			script: map[string]any{"status": 503, "reason": "ServiceUnavailable"},
			want:   pushAnswer{Status: 503, Reason: "ServiceUnavailable"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.push.Token == "" {
				test.push.Token = token(i)
			}
			if test.script != nil {
				s.always(t, test.push.Token, test.script)
			}
			if diff := cmp.Diff([]pushAnswer{test.want}, without(send(test.push))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// token is a device token of its own.
func token(i int) string { return fmt.Sprintf("%064x", i) }

// without are the answers less their ids.
func without(answers []pushAnswer) []pushAnswer {
	for i := range answers {
		answers[i].ID = ""
	}
	return answers
}
