package pushtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startAdmin(t *testing.T, controls ...*pushtest.Control) func(method, path, body string) (int, string) {
	t.Helper()
	server, err := pushtest.StartServer(pushtest.ServerConfig{Handler: pushtest.NewAdmin(controls...)})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(method, path, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
}

func TestAdminShowsTheLedgerAsJSONLines(t *testing.T) {
	t.Parallel()
	apns, fcm := pushtest.NewControl("apns"), pushtest.NewControl("fcm")
	apns.Ledger.Add(pushtest.Entry{
		Time: time.UnixMilli(1790000000123), Platform: "apns", ID: "id-1", Token: "ab",
		Headers: map[string]string{"apns-topic": "com.example.demo", "apns-id": "id-1"},
		Body:    json.RawMessage("{\"aps\":\n {\"alert\":\"<a> & \u2028\"}}"), Status: 200,
	})
	apns.Ledger.Add(pushtest.Entry{Platform: "apns", Token: "cd", Body: json.RawMessage(`{"half`), Status: 400, Reason: "BadDeviceToken"})
	fcm.Ledger.Add(pushtest.Entry{Platform: "fcm", ID: "id-2", Token: "ef", Body: json.RawMessage(`{}`), Status: 200})
	do := startAdmin(t, apns, fcm)

	want := `{"time":"2026-09-21T14:13:20.123Z","platform":"apns","id":"id-1","token":"ab","headers":{"apns-id":"id-1","apns-topic":"com.example.demo"},"body":{"aps":{"alert":"<a> & ` + "\u2028" + `"}},"status":200}` + "\n"
	if _, got := do(http.MethodGet, "/ledger?token=ab", ""); got != want {
		t.Errorf("one token:\n got %s\nwant %s", got, want)
	}
	_, all := do(http.MethodGet, "/ledger", "")
	lines := strings.Split(strings.TrimSpace(all), "\n")
	if len(lines) != 3 {
		t.Fatalf("got %d lines, want 3: %s", len(lines), all)
	}
	var broken map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &broken); err != nil {
		t.Fatal(err)
	}
	if broken["body"] != `{"half` || broken["reason"] != "BadDeviceToken" {
		t.Errorf("a body that is not JSON: got %v", broken)
	}

	if status, _ := do(http.MethodDelete, "/ledger", ""); status != http.StatusNoContent {
		t.Errorf("DELETE: got %d", status)
	}
	if _, got := do(http.MethodGet, "/ledger", ""); got != "" {
		t.Errorf("after DELETE: got %s", got)
	}
}

func TestAdminCountsByPlatform(t *testing.T) {
	t.Parallel()
	apns, fcm := pushtest.NewControl("apns"), pushtest.NewControl("fcm")
	for _, status := range []int{200, 200, 503, 200} {
		apns.Ledger.Add(pushtest.Entry{ID: "twice more", Status: status})
	}
	do := startAdmin(t, apns, fcm)
	_, got := do(http.MethodGet, "/stats", "")
	const traffic = `"connections":0,"most_streams":0,"most_streams_per_connection":0,"bearers":0,"refused_streams":0,"go_aways":0`
	want := `{"apns":{"requests":4,"accepted":3,"duplicates":{"twice more":2},"duplicate_count":2,"dropped":0,"answers":{"200":3,"503":1},` + traffic + `},` +
		`"fcm":{"requests":0,"accepted":0,"duplicates":{},"duplicate_count":0,"dropped":0,"answers":{},` + traffic + `}}` + "\n"
	if got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestAdminScripts(t *testing.T) {
	t.Parallel()
	apns, fcm := pushtest.NewControl("apns"), pushtest.NewControl("fcm")
	do := startAdmin(t, apns, fcm)
	put := func(body string) {
		t.Helper()
		if status, text := do(http.MethodPut, "/script", body); status != http.StatusNoContent {
			t.Fatalf("PUT %s: got %d %s", body, status, text)
		}
	}
	next := func(c *pushtest.Control, token string) int {
		a, _ := c.Script.Next(token)
		return a.Status
	}

	put(`{"token":"ab","answers":[{"status":503,"reason":"ServiceUnavailable","retry_after":2,"delay_ms":50,"times":3},{"status":429}]}`)
	put(`{"answers":[{"status":500,"times":-1}]}`)
	put(`{"platform":"fcm","answers":[{"status":404}]}`)

	first, _ := apns.Script.Next("ab")
	if diff := cmp.Diff(pushtest.Answer{Status: 503, Reason: "ServiceUnavailable", RetryAfter: 2, DelayMS: 50, Times: 3}, first); diff != "" {
		t.Errorf("first answer (-want +got):\n%s", diff)
	}
	got := []int{next(apns, "ab"), next(apns, "ab"), next(apns, "ab"), next(apns, "ab"), next(apns, "other"), next(fcm, "other"), next(fcm, "other")}
	if diff := cmp.Diff([]int{503, 503, 429, 500, 500, 404, 0}, got); diff != "" {
		t.Errorf("answers in order (-want +got):\n%s", diff)
	}
	put(`{"answers":[]}`)
	if got := next(apns, "other"); got != 0 {
		t.Errorf("after clearing: got %d", got)
	}
}

func TestAdminRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	do := startAdmin(t, pushtest.NewControl("apns"))
	for _, test := range []struct {
		method, path, body string
		want               int
		says               string
	}{
		{"PUT", "/script", `{"tokn":"ab"}`, 400, "tokn"},
		{"PUT", "/script", `{"answers":[{"status":503,"retry":2}]}`, 400, "retry"},
		{"PUT", "/script", `{"answers":[{"status":200},{"status":99}]}`, 400, "answers[1]: status 99"},
		{"PUT", "/script", `{"answers":[{"status":0,"reason":"explode"}]}`, 400, "answers[0]: reason"},
		{"PUT", "/script", `{"answers":[{"status":503,"delay_ms":-1}]}`, 400, "delay_ms"},
		{"PUT", "/script", `{"answers":[{"status":503,"retry_after":-1}]}`, 400, "retry_after"},
		{"PUT", "/script", `{"platform":"wns","answers":[]}`, 400, "wns"},
		{"PUT", "/script", `{}{}`, 400, "more than one"},
		{"PUT", "/script", ``, 400, "EOF"},
		{"POST", "/script", `{}`, 405, ""},
		{"GET", "/nothing", ``, 404, ""},
	} {
		status, text := do(test.method, test.path, test.body)
		if status != test.want || !strings.Contains(text, test.says) {
			t.Errorf("%s %s %s: got %d %s; want %d with %q", test.method, test.path, test.body, status, text, test.want, test.says)
		}
	}
}

func TestLedgerDropsTheOldest(t *testing.T) {
	t.Parallel()
	ledger := pushtest.NewLedger(pushtest.Limits{Entries: 3, Bytes: 1 << 20})
	for _, token := range []string{"a", "b", "c", "d", "e"} {
		ledger.Add(pushtest.Entry{ID: "same", Token: token, Body: json.RawMessage(`{}`), Status: 200})
	}
	var kept []string
	for _, e := range ledger.Entries("") {
		kept = append(kept, e.Token)
	}
	if diff := cmp.Diff([]string{"c", "d", "e"}, kept); diff != "" {
		t.Errorf("by entries (-want +got):\n%s", diff)
	}
	want := pushtest.Counts{Requests: 5, Accepted: 5, Duplicates: map[string]int{"same": 2}, Again: 2, Dropped: 2, Answers: map[string]int{"200": 5}}
	if diff := cmp.Diff(want, ledger.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}

	narrow := pushtest.NewLedger(pushtest.Limits{Entries: 1000, Bytes: 1000})
	for range 100 {
		narrow.Add(pushtest.Entry{Token: "a", Body: bytes.Repeat([]byte("1"), 600), Status: 200})
	}
	if got := len(narrow.Entries("")); got != 1 {
		t.Errorf("by bytes: got %d entries, want 1", got)
	}
}

func TestLedgerMayCountOnly(t *testing.T) {
	t.Parallel()
	ledger := pushtest.NewLedger(pushtest.Limits{Entries: 3, Bytes: 1 << 20, CountOnly: true})
	for _, id := range []string{"a", "b", "a", "c", "d", "a"} { // d pushes a out
		ledger.Add(pushtest.Entry{ID: id, Token: "t", Body: json.RawMessage(`{}`), Status: 200})
	}
	ledger.Add(pushtest.Entry{ID: "a", Token: "t", Status: 503, Reason: "ServiceUnavailable"})
	want := pushtest.Counts{
		Requests: 7, Accepted: 6, Duplicates: map[string]int{}, Again: 1,
		Answers: map[string]int{"200": 6, "503 ServiceUnavailable": 1},
	}
	if diff := cmp.Diff(want, ledger.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if entries := ledger.Entries(""); len(entries) != 0 {
		t.Errorf("got %d entries, want none", len(entries))
	}
}

func TestAdminTakesAndShowsFaults(t *testing.T) {
	t.Parallel()
	apns, fcm := pushtest.NewControl("apns"), pushtest.NewControl("fcm")
	do := startAdmin(t, apns, fcm)
	if status, text := do(http.MethodPut, "/faults", "seed: 7\nfaults:\n- {name: brown-out, platform: apns, do: answer, status: 503, delay: 5ms}\n"); status != http.StatusNoContent {
		t.Fatalf("PUT: got %d %s", status, text)
	}
	if hit := apns.Faults.Request(faults.Push, faults.Subject{Token: "ab"}); hit.Fault == nil || hit.Fault.Status != 503 || hit.Delay != 5*time.Millisecond {
		t.Errorf("apns: got %+v", hit)
	}
	if hit := fcm.Faults.Request(faults.Push, faults.Subject{Token: "ab"}); hit.Fault != nil {
		t.Errorf("fcm: got %+v", hit)
	}
	_, text := do(http.MethodGet, "/faults", "")
	var states map[string]faults.State
	if err := json.Unmarshal([]byte(text), &states); err != nil {
		t.Fatal(err)
	}
	if states["apns"].Hits["brown-out"] != 1 || states["fcm"].Script.Seed != 7 {
		t.Errorf("GET: got %s", text)
	}
	if status, _ := do(http.MethodPut, "/faults", `{"faults":[{"do":"explode"}]}`); status != http.StatusBadRequest {
		t.Errorf("a wrong script: got %d", status)
	}
	if hit := apns.Faults.Request(faults.Push, faults.Subject{}); hit.Fault == nil {
		t.Error("a wrong script replaced the one before")
	}
	if status, _ := do(http.MethodDelete, "/faults", ""); status != http.StatusNoContent {
		t.Errorf("DELETE: got %d", status)
	}
	if hit := apns.Faults.Request(faults.Push, faults.Subject{}); hit.Fault != nil {
		t.Errorf("after DELETE: got %+v", hit)
	}
}
