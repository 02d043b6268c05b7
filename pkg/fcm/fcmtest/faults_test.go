package fcmtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// clock stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1790000000, 0)} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// put puts a script, written as YAML.
func (w *world) put(t *testing.T, text string) {
	t.Helper()
	script, err := faults.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Control().Faults.Put(script); err != nil {
		t.Fatal(err)
	}
}

// authorizationAt gets an access token while the clock is c.
func (w *world) authorizationAt(t *testing.T, c *clock) string {
	t.Helper()
	now := c.read()
	claims := w.claims(jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	got := w.exchange(t, sign(t, jwt.SigningMethodRS256, accountKey(t), claims))
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("no access token: %+v, %v", got, err)
	}
	return "Bearer " + answer.AccessToken
}

// word is an answer's status and FcmError, or Google's word where it has none.
func word(t *testing.T, got reply) string {
	t.Helper()
	if got.status == http.StatusOK {
		return "200"
	}
	words := errorOf(t, got)
	if words[1] != "" {
		return fmt.Sprint(got.status, " ", words[1])
	}
	return fmt.Sprint(got.status, " ", words[0])
}

func TestAnswersOfAScript(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  string
		status int
		want   [3]string
		header map[string]string
	}{
		"an uninstalled app":             {`status: 404, reason: UNREGISTERED`, 404, [3]string{"NOT_FOUND", "UNREGISTERED"}, nil},
		"another sender":                 {`status: 403, reason: SENDER_ID_MISMATCH`, 403, [3]string{"PERMISSION_DENIED", "SENDER_ID_MISMATCH"}, nil},
		"a key of Apple's that is wrong": {`status: 401, reason: THIRD_PARTY_AUTH_ERROR`, 401, [3]string{"UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"}, nil},
		"a quota":                        {`status: 429, reason: QUOTA_EXCEEDED, retry_after: 61s`, 429, [3]string{"RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"}, map[string]string{"Retry-After": "61"}},
		"a brown-out":                    {`status: 503, reason: UNAVAILABLE, retry_after: 10s, retry_as: date`, 503, [3]string{"UNAVAILABLE", "UNAVAILABLE"}, map[string]string{"Retry-After": "Mon, 21 Sep 2026 14:13:30 GMT"}},
		"a wrong project":                {`status: 404`, 404, [3]string{"NOT_FOUND"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			w := newWorld(t, fcmtest.Config{Now: c.read})
			good := w.authorizationAt(t, c)
			w.put(t, `faults: [{do: answer, `+test.fault+`}]`)
			got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`)
			if diff := cmp.Diff(test.want, errorOf(t, got)); got.status != test.status || diff != "" {
				t.Errorf("got %d, %s", got.status, diff)
			}
			for name, want := range test.header {
				if got := got.header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestAnOddAnswerOfAScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	w.put(t, `faults: [{do: answer, status: 502, body: <html>, content_type: text/html}]`)
	if got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`); got.status != 502 || got.body != "<html>" || got.header.Get("Content-Type") != "text/html" {
		t.Errorf("got %+v", got)
	}
}

func TestAScriptedResetMayHaveBeenAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	w.put(t, `faults: [{do: reset_stream, accepted: true, times: 1}]`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+sendPath, strings.NewReader(`{"message":{"token":"t"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", good)
	if response, err := w.client.Do(r); err == nil {
		response.Body.Close()
		t.Errorf("got %d", response.StatusCode)
	}
	if entries := w.Control().Ledger.Entries("t"); len(entries) != 1 || entries[0].Status != 200 || entries[0].ID == "" || entries[0].Reason != "reset_stream" {
		t.Errorf("ledger: got %+v", entries)
	}
}

func TestAProjectHasItsQuota(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, fcmtest.Config{Now: c.read})
	good := w.authorizationAt(t, c)
	w.put(t, `fcm: {project_quota: {messages: 3, per: 1m}}`)
	send := func(body string) reply { return w.post(t, sendPath, good, body) }
	fine, wrong := `{"message":{"token":"t"}}`, `{"message":{}}`
	got := []string{word(t, send(fine)), word(t, send(wrong)), word(t, send(fine))}
	c.pass(10 * time.Second)
	exceeded := send(fine)
	got = append(got, word(t, exceeded))
	c.pass(50 * time.Second)
	got = append(got, word(t, send(fine)))
	if diff := cmp.Diff([]string{"200", "400 INVALID_ARGUMENT", "200", "429 QUOTA_EXCEEDED", "200"}, got); diff != "" {
		t.Error(diff)
	}
	if exceeded.header.Get("Retry-After") != "50" || !strings.Contains(exceeded.body, `"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":"project:p"`) {
		t.Errorf("got %+v", exceeded)
	}
}

func TestADeviceAndATopicHaveTheirRates(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, fcmtest.Config{Now: c.read})
	good := w.authorizationAt(t, c)
	w.put(t, `fcm: {device_quotas: [{messages: 2, per: 1m}, {messages: 3, per: 1h}], topic_rate: {burst: 1, every: 1s}}`)
	send := func(target string) string {
		return word(t, w.post(t, sendPath, good, `{"message":{`+target+`}}`))
	}
	a, b := `"token":"a"`, `"token":"b"`
	got := []string{send(a), send(a), send(a), send(b)}
	c.pass(time.Minute)
	got = append(got, send(a), send(a), send(b))
	if diff := cmp.Diff([]string{"200", "200", "429 QUOTA_EXCEEDED", "200", "200", "429 QUOTA_EXCEEDED", "200"}, got); diff != "" {
		t.Errorf("devices: %s", diff)
	}
	got = []string{send(`"topic":"news"`), send(`"topic":"news"`), send(`"condition":"'a' in topics"`)}
	c.pass(time.Second)
	got = append(got, send(`"topic":"news"`))
	if diff := cmp.Diff([]string{"200", "429 QUOTA_EXCEEDED", "200", "200"}, got); diff != "" {
		t.Errorf("topics: %s", diff)
	}
}

func TestCollapsibleMessagesAboveTheirRateAreAcceptedAndDelayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	w.put(t, `fcm: {collapsible_rate: {burst: 2, every: 3m}}`)
	for _, body := range []string{`"data":{"x":"1"}`, `"notification":{"title":"x"}`, `"android":{"collapse_key":"k"}`, `"android":{"notification":{"tag":"x"}}`, `"data":{"x":"2"}`} {
		if got := w.post(t, sendPath, good, `{"message":{"token":"t",`+body+`}}`); got.status != 200 {
			t.Errorf("%s: got %+v", body, got)
		}
	}
	var got []string
	for _, e := range w.Control().Ledger.Entries("t") {
		got = append(got, e.Reason)
	}
	if diff := cmp.Diff([]string{"", "", "", "delayed", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestATokenHasItsLife(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, fcmtest.Config{Now: c.read})
	good := w.authorizationAt(t, c)
	w.put(t, `fcm: {tokens: [{token: t, from: 1m, until: 2m}]}`)
	var got []string
	for range 3 {
		got = append(got, word(t, w.post(t, sendPath, good, `{"message":{"token":"t"}}`)))
		c.pass(time.Minute)
	}
	if diff := cmp.Diff([]string{"404 UNREGISTERED", "200", "404 UNREGISTERED"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAccessTokensEndAndAreRevokedByScript(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, fcmtest.Config{Now: c.read})
	w.put(t, `fcm: {token_life: 1m, revoke_at: [5m]}`)
	send := func(authorization string) string {
		return word(t, w.post(t, sendPath, authorization, `{"message":{"token":"t"}}`))
	}
	first := w.authorizationAt(t, c)
	got := []string{send(first)}
	c.pass(time.Minute)
	got = append(got, send(first))
	c.pass(4*time.Minute - time.Second)
	second := w.authorizationAt(t, c)
	got = append(got, send(second))
	c.pass(time.Second)
	got = append(got, send(second), send(w.authorizationAt(t, c)))
	if diff := cmp.Diff([]string{"200", "401 UNAUTHENTICATED", "200", "401 UNAUTHENTICATED", "200"}, got); diff != "" {
		t.Error(diff)
	}
	if got := w.Control().Traffic.Counts().Bearers; got != 3 {
		t.Errorf("%d access tokens are counted", got)
	}
}

func TestTheOAuthEndpointSuffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	assertion := sign(t, jwt.SigningMethodRS256, accountKey(t), w.claims(nil))
	w.put(t, `
faults:
- {where: oauth, do: answer, status: 500, body: oops, times: 1}
- {where: oauth, do: answer, status: 400, reason: invalid_grant, times: 1}
- {where: oauth, do: answer, status: 503, reason: backend_error, retry_after: 3s, times: 1}
- {where: oauth, do: delay, delay: 30ms}
`)
	for i, want := range []reply{
		{status: 500, body: "oops"},
		{status: 400, body: `{"error":"invalid_grant","error_description":"scripted"}` + "\n"},
		{status: 503, body: `{"error":"backend_error","error_description":"scripted"}` + "\n"},
	} {
		got := w.exchange(t, assertion)
		if got.status != want.status || got.body != want.body {
			t.Errorf("%d: got %+v", i, got)
		}
		if i == 2 && got.header.Get("Retry-After") != "3" {
			t.Errorf("got %v", got.header)
		}
	}
	began := time.Now()
	if got := w.exchange(t, assertion); got.status != 200 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("a slow one: got %d after %s", got.status, time.Since(began))
	}
	if got := w.Control().Ledger.Counts().Requests; got != 0 {
		t.Errorf("%d lines in the ledger: it is of messages", got)
	}
}

func TestClientsOfHTTP1AreServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	transport := w.client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	defer transport.CloseIdleConnections()
	w.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	if got := w.post(t, sendPath+"?alt=json", good, `{"message":{"token":"t"}}`); got.status != 200 {
		t.Errorf("got %+v", got)
	}
	if got := w.authorization(t); got == "" {
		t.Error("no access token")
	}
}

func TestWhatIsReplacedOnADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	for _, m := range []string{
		`"token":"t","android":{"collapse_key":"k"}`,
		`"token":"u","android":{"collapse_key":"k"}`,
		`"token":"t","android":{"collapseKey":"k"}`,
		`"token":"t","notification":{"title":"x"},"android":{"collapse_key":"k"}`, // a notification ignores it
		`"token":"t","android":{"notification":{"tag":"k"}}`,
		`"token":"t","android":{"notification":{"tag":"k"}}`,
	} {
		w.post(t, sendPath, good, `{"message":{`+m+`}}`)
	}
	entries := w.Control().Ledger.Entries("")
	var got []int
	for _, e := range entries {
		replaced := -1
		for i := range entries {
			if entries[i].ID == e.Replaces {
				replaced = i
			}
		}
		got = append(got, replaced)
	}
	if diff := cmp.Diff([]int{-1, -1, 0, -1, -1, 4}, got); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
}
