package apnstest_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(benchServer); mode != "" {
		if err := serveBench(mode == "count-only"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	team   = "DEF123GHIJ"
	keyID  = "ABC123DEFG"
	bundle = "com.example.demo"
	id     = "559a65a7-20e4-51c6-8d2a-d706eca5b40d"
)

var token = strings.Repeat("ab", 32)

// simulator is a running server and a client for it, with a clock that stands at now.
type simulator struct {
	*apnstest.Server
	client    *http.Client
	private   *ecdsa.PrivateKey
	authority *pushtest.Authority

	mu  sync.Mutex
	now time.Time // written by pass alone
}

// pass moves the clock.
func (s *simulator) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *simulator) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func start(t *testing.T, options ...func(*apnstest.Config)) *simulator {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	key, p8, err := apnstest.NewKey(team, keyID, bundle)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p8)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulator{now: time.Unix(1790000000, 0), private: private.(*ecdsa.PrivateKey), authority: authority}
	cfg := apnstest.Config{Certificate: certificate, Keys: []apnstest.Key{key}, ClientCAs: authority.Pool(), Now: s.clock}
	for _, option := range options {
		option(&cfg)
	}
	s.Server, err = apnstest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.reconnect(t)
	return s
}

// reconnect makes the next request open a connection.
func (s *simulator) reconnect(t *testing.T) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool()}, ForceAttemptHTTP2: true}
	s.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
}

func (s *simulator) sign(t *testing.T, key any, method jwt.SigningMethod, team, keyID string, issued time.Time) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"iss": team, "iat": issued.Unix()})
	token.Header["kid"] = keyID
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "bearer " + signed
}

// good is a push that passes every check; a test breaks one thing of it.
func (s *simulator) good(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/3/device/"+token, strings.NewReader(`{"aps":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", s.sign(t, s.private, jwt.SigningMethodES256, team, keyID, s.now))
	r.Header.Set("apns-id", id)
	r.Header.Set("apns-topic", bundle)
	r.Header.Set("apns-push-type", "alert")
	r.Header.Set("apns-priority", "10")
	r.Header.Set("apns-expiration", "1790604800")
	r.Header.Set("apns-collapse-id", id)
	return r
}

func (s *simulator) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func body(r *http.Request, text string) {
	r.Body = io.NopCloser(strings.NewReader(text))
	r.ContentLength = int64(len(text))
	r.GetBody = nil
}

func TestChecksInOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	other := start(t).private
	head := func(name, value string) func(r *http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	path := func(p string) func(r *http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	auth := func(method jwt.SigningMethod, key any, team, keyID string, age time.Duration) func(r *http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", s.sign(t, key, method, team, keyID, s.now.Add(-age)))
		}
	}
	// Each case breaks all that is checked after it, too: the order is what is tested.
	for _, test := range []struct {
		status int
		reason string
		breaks func(r *http.Request)
	}{
		{404, "BadPath", path("/3/devices/" + token)},
		{404, "BadPath", path("/3/device/" + token + "/more")},
		{404, "BadPath", path("/")},
		{405, "MethodNotAllowed", func(r *http.Request) { r.Method = http.MethodPut }},
		{403, "MissingProviderToken", func(r *http.Request) { r.Header.Del("Authorization") }},
		{403, "InvalidProviderToken", head("Authorization", "bearer garbage")},
		{403, "InvalidProviderToken", head("Authorization", "basic abc")},
		{403, "InvalidProviderToken", auth(jwt.SigningMethodES256, other, team, keyID, 0)},
		{403, "InvalidProviderToken", auth(jwt.SigningMethodES256, s.private, team, "ZZZZZZZZZZ", 0)},
		{403, "InvalidProviderToken", auth(jwt.SigningMethodES256, s.private, "ZZZZZZZZZZ", keyID, 0)},
		{403, "InvalidProviderToken", auth(jwt.SigningMethodHS256, []byte("secret"), team, keyID, 0)},
		{403, "InvalidProviderToken", auth(jwt.SigningMethodES256, s.private, team, keyID, -10*time.Minute)},
		{403, "ExpiredProviderToken", auth(jwt.SigningMethodES256, s.private, team, keyID, time.Hour+time.Second)},
		{400, "MissingDeviceToken", path("/3/device/")},
		{400, "BadDeviceToken", path("/3/device/" + strings.Repeat("zz", 32))},
		{400, "BadDeviceToken", path("/3/device/" + strings.Repeat("ab", 31))},
		{400, "BadDeviceToken", path("/3/device/" + token + "a")},
		{400, "BadDeviceToken", path("/3/device/" + strings.Repeat("ab", 2048))},
		{400, "DuplicateHeaders", func(r *http.Request) { r.Header.Add("apns-id", id) }},
		{400, "BadMessageId", head("apns-id", "1")},
		{400, "BadMessageId", head("apns-id", strings.ToUpper(id))},
		{400, "BadExpirationDate", head("apns-expiration", "soon")},
		{400, "BadExpirationDate", head("apns-expiration", "-1")},
		{400, "InvalidPushType", head("apns-push-type", "alarm")},
		{400, "BadPriority", head("apns-priority", "7")},
		{400, "BadPriority", head("apns-push-type", "background")},
		{400, "BadCollapseId", head("apns-collapse-id", strings.Repeat("x", 65))},
		{400, "MissingTopic", func(r *http.Request) { r.Header.Del("apns-topic") }},
		{400, "BadTopic", head("apns-topic", "com example")},
		{400, "TopicDisallowed", head("apns-topic", "com.example.other")},
		{400, "TopicDisallowed", head("apns-topic", bundle+".voip")},
		{400, "TopicDisallowed", head("apns-push-type", "voip")},
		{400, "PayloadEmpty", func(r *http.Request) { body(r, "") }},
		{413, "PayloadTooLarge", func(r *http.Request) { body(r, strings.Repeat(" ", 4097)) }},
	} {
		r := s.good(t)
		test.breaks(r)
		breakLater(r, test.reason)
		response, text := s.do(t, r)
		if want := `{"reason":"` + test.reason + `"}`; response.StatusCode != test.status || text != want {
			t.Errorf("got %d %s, want %d %s", response.StatusCode, text, test.status, want)
		}
	}
}

// TestEveryPushTypeHasItsOwnTopicPriorityAndSize is what a sender of calls and background pushes can get wrong.
func TestEveryPushTypeHasItsOwnTopicPriorityAndSize(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, test := range []struct {
		pushType, topic, priority string
		size                      int
		want                      string
	}{
		{"alert", bundle, "10", 4096, "200"},
		{"alert", bundle, "5", 4096, "200"},
		{"alert", bundle, "", 4097, "413 PayloadTooLarge"},
		{"alert", bundle + ".voip", "10", 10, "400 TopicDisallowed"},
		{"voip", bundle + ".voip", "10", 5120, "200"},
		{"voip", bundle + ".voip", "10", 5121, "413 PayloadTooLarge"},
		{"voip", bundle, "10", 10, "400 TopicDisallowed"},
		{"voip", "com.example.other.voip", "10", 10, "400 TopicDisallowed"},
		{"background", bundle, "5", 4096, "200"},
		{"background", bundle, "5", 4097, "413 PayloadTooLarge"},
		{"background", bundle, "10", 10, "400 BadPriority"},
		{"background", bundle, "", 10, "400 BadPriority"},
		{"background", bundle + ".voip", "5", 10, "400 TopicDisallowed"},
	} {
		r := s.good(t)
		r.Header.Set("apns-push-type", test.pushType)
		r.Header.Set("apns-topic", test.topic)
		r.Header.Set("apns-priority", test.priority)
		if test.priority == "" {
			r.Header.Del("apns-priority")
		}
		body(r, `{"aps":{}}`+strings.Repeat(" ", test.size-10))
		response, text := s.do(t, r)
		var answer struct{ Reason string }
		if text != "" {
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + answer.Reason); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// breakLater breaks the checks that come after the one which the reason belongs to.
func breakLater(r *http.Request, reason string) {
	order := []string{"BadPath", "MethodNotAllowed", "ProviderToken", "DeviceToken", "Id BadExpirationDate InvalidPushType BadPriority DuplicateHeaders", "Topic", "Payload"}
	stage := 0
	for i, reasons := range order {
		for part := range strings.FieldsSeq(reasons) {
			if strings.Contains(reason, part) {
				stage = i
			}
		}
	}
	if stage < 1 {
		r.Method = http.MethodPut
	}
	if stage < 2 {
		r.Header.Del("Authorization")
	}
	if stage < 3 && stage > 0 {
		r.URL.Path = "/3/device/"
	}
	if stage < 4 {
		r.Header.Set("apns-priority", "100")
	}
	if stage < 5 {
		r.Header.Del("apns-topic")
	}
	if stage < 6 {
		body(r, strings.Repeat(" ", 5000))
	}
}

func TestAcceptsAndKeepsTheLedger(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.good(t)
	body(r, `{"aps":{"alert":"<hello> & bye"}}`+strings.Repeat(" ", 4096-33))
	response, text := s.do(t, r)
	if response.StatusCode != 200 || text != "" || response.Header.Get("apns-id") != id {
		t.Errorf("got %d %q, apns-id %q", response.StatusCode, text, response.Header.Get("apns-id"))
	}
	entries := s.Control().Ledger.Entries(token)
	if len(entries) != 1 {
		t.Fatalf("got %d entries, want 1", len(entries))
	}
	entry := entries[0]
	for _, name := range []string{"accept-encoding", "user-agent", "content-length"} {
		delete(entry.Headers, name)
	}
	want := pushtest.Entry{
		Time: s.now.UTC(), Platform: "apns", ID: id, Token: token, Status: 200,
		Headers: map[string]string{
			"apns-id": id, "apns-topic": bundle, "apns-push-type": "alert", "apns-priority": "10",
			"apns-expiration": "1790604800", "apns-collapse-id": id,
		},
		Body: json.RawMessage(`{"aps":{"alert":"<hello> & bye"}}`),
	}
	if diff := cmp.Diff(want, entry); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

func TestAnswersByScript(t *testing.T) {
	t.Parallel()
	s := start(t)
	script := func(token string, answers ...pushtest.Answer) {
		t.Helper()
		if err := s.Control().Script.Put(token, answers); err != nil {
			t.Fatal(err)
		}
	}
	script(token,
		pushtest.Answer{Status: 503, Reason: "ServiceUnavailable", RetryAfter: 2, DelayMS: 1},
		pushtest.Answer{Status: 410, Reason: "Unregistered", Timestamp: 1789999999123},
		pushtest.Answer{Reason: pushtest.ReasonReset},
		pushtest.Answer{DelayMS: 1},
	)
	response, text := s.do(t, s.good(t))
	if response.StatusCode != 503 || text != `{"reason":"ServiceUnavailable"}` || response.Header.Get("Retry-After") != "2" {
		t.Errorf("got %d %s, Retry-After %q", response.StatusCode, text, response.Header.Get("Retry-After"))
	}
	if response, text = s.do(t, s.good(t)); response.StatusCode != 410 || text != `{"reason":"Unregistered","timestamp":1789999999123}` {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
	if response, err := s.client.Do(s.good(t)); err == nil {
		response.Body.Close()
		t.Errorf("got %d, want a reset stream", response.StatusCode)
	}
	if response, _ = s.do(t, s.good(t)); response.StatusCode != 200 {
		t.Errorf("after a delay alone: got %d", response.StatusCode)
	}
	var statuses []int
	for _, entry := range s.Control().Ledger.Entries(token) {
		statuses = append(statuses, entry.Status)
	}
	if diff := cmp.Diff([]int{503, 410, 0, 200}, statuses); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}

func TestForgetsATokenUntilItIsRegisteredAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Unregister(token, time.UnixMilli(1789999999456))
	if response, text := s.do(t, s.good(t)); response.StatusCode != 410 || text != `{"reason":"Unregistered","timestamp":1789999999456}` {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
	s.Register(token)
	if response, text := s.do(t, s.good(t)); response.StatusCode != 200 {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
}
