package fcmtest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/api/fcm/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// account is one throw-away account of the project p for all tests: its key takes long to make.
var account = sync.OnceValues(func() ([]byte, error) { return fcmtest.NewServiceAccount("p", "https://localhost/token") })

func accountKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	data, err := account()
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(accountField(t, data, "private_key")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func accountField(t *testing.T, data []byte, name string) string {
	t.Helper()
	var file map[string]string
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file[name]
}

// world is a simulator and a client that trusts its certificate.
type world struct {
	*fcmtest.Simulator
	client *http.Client
	email  string
}

func newWorld(t *testing.T, cfg fcmtest.Config) *world {
	t.Helper()
	if cfg.Authority == nil {
		authority, err := pushtest.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Authority = authority
	}
	simulator, err := fcmtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	data, err := account()
	if err != nil {
		t.Fatal(err)
	}
	if err := simulator.Trust(data); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cfg.Authority.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := simulator.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{
		Simulator: simulator,
		client:    &http.Client{Transport: transport, Timeout: 20 * time.Second},
		email:     accountField(t, data, "client_email"),
	}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(t *testing.T, r *http.Request) reply {
	t.Helper()
	response, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

func (w *world) post(t *testing.T, path, authorization, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return w.do(t, r)
}

// claims are a good assertion's, with other values; nil takes one out.
func (w *world) claims(values jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": w.email, "aud": w.TokenURI(), "scope": "https://www.googleapis.com/auth/firebase.messaging",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range values {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (w *world) exchange(t *testing.T, assertion string) reply {
	t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.TokenURI(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(t, r)
}

// authorization gets an access token.
func (w *world) authorization(t *testing.T) string {
	t.Helper()
	got := w.exchange(t, sign(t, jwt.SigningMethodRS256, accountKey(t), w.claims(nil)))
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 || answer.ExpiresIn <= 0 {
		t.Fatalf("no access token: %+v, %v", got, err)
	}
	return answer.TokenType + " " + answer.AccessToken
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, past := accountKey(t), time.Now().Add(-2*time.Hour)
	rs := jwt.SigningMethodRS256
	for name, c := range map[string]struct {
		assertion string
		want      string // OAuth's word; "" = a token
	}{
		"good":                   {sign(t, rs, key, w.claims(nil)), ""},
		"several scopes":         {sign(t, rs, key, w.claims(jwt.MapClaims{"scope": "a https://www.googleapis.com/auth/firebase.messaging b"})), ""},
		"no JWT":                 {"x.y.z", "invalid_grant"},
		"another key":            {sign(t, rs, other, w.claims(nil)), "invalid_grant"},
		"another algorithm":      {sign(t, jwt.SigningMethodHS256, []byte("x"), w.claims(nil)), "invalid_grant"},
		"an unknown account":     {sign(t, rs, key, w.claims(jwt.MapClaims{"iss": "other@example.com"})), "invalid_grant"},
		"for somebody else":      {sign(t, rs, key, w.claims(jwt.MapClaims{"aud": "https://example.com/token"})), "invalid_grant"},
		"ended":                  {sign(t, rs, key, w.claims(jwt.MapClaims{"iat": past.Unix(), "exp": past.Add(time.Hour).Unix()})), "invalid_grant"},
		"without an end":         {sign(t, rs, key, w.claims(jwt.MapClaims{"exp": nil})), "invalid_grant"},
		"without a beginning":    {sign(t, rs, key, w.claims(jwt.MapClaims{"iat": nil})), "invalid_grant"},
		"from the future":        {sign(t, rs, key, w.claims(jwt.MapClaims{"iat": time.Now().Add(time.Hour).Unix()})), "invalid_grant"},
		"longer than an hour":    {sign(t, rs, key, w.claims(jwt.MapClaims{"exp": time.Now().Add(2 * time.Hour).Unix()})), "invalid_grant"},
		"without our scope":      {sign(t, rs, key, w.claims(jwt.MapClaims{"scope": "openid"})), "invalid_scope"},
		"with a scope like ours": {sign(t, rs, key, w.claims(jwt.MapClaims{"scope": "https://www.googleapis.com/auth/firebase.messaging.x"})), "invalid_scope"},
	} {
		got := w.exchange(t, c.assertion)
		var answer struct {
			Error       string
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
			t.Fatalf("%s: %v: %s", name, err, got.body)
		}
		if answer.Error != c.want || (c.want == "") != (answer.AccessToken != "") || (c.want == "") != (got.status == 200) {
			t.Errorf("%s: got %d %s, want %q", name, got.status, got.body, c.want)
		}
	}
	if got := w.post(t, "/token", "", ""); got.status != 400 || !strings.Contains(got.body, "unsupported_grant_type") {
		t.Errorf("without a grant type: got %+v", got)
	}
}

const sendPath = "/v1/projects/p/messages:send"

// errorOf is an answer's status, Google's word, FcmError and violated field.
func errorOf(t *testing.T, got reply) [3]string {
	t.Helper()
	var answer struct {
		Error struct {
			Code    int
			Status  string
			Details []struct {
				Type            string `json:"@type"`
				ErrorCode       string
				FieldViolations []struct{ Field string }
			}
		}
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if answer.Error.Code != got.status {
		t.Errorf("code %d with status %d", answer.Error.Code, got.status)
	}
	found := [3]string{answer.Error.Status}
	for _, d := range answer.Error.Details {
		switch d.Type {
		case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
			found[1] = d.ErrorCode
		case "type.googleapis.com/google.rpc.BadRequest":
			found[2] = d.FieldViolations[0].Field
		}
	}
	return found
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	other, err := w.ServiceAccount("other")
	if err != nil {
		t.Fatal(err)
	}
	if got := accountField(t, other, "token_uri"); got != w.TokenURI() {
		t.Errorf("token_uri: got %q, want the simulator's", got)
	}
	w.Unregister("gone")
	message := func(fields string) string { return `{"message":{"token":"t"` + fields + `}}` }
	for name, c := range map[string]struct {
		path, authorization, body string
		status                    int
		want                      [3]string // Google's word, FcmError, violated field
	}{
		"no access token":         {sendPath, "", message(""), 401, [3]string{"UNAUTHENTICATED"}},
		"an unknown access token": {sendPath, "Bearer x", message(""), 401, [3]string{"UNAUTHENTICATED"}},
		"another's project":       {"/v1/projects/other/messages:send", good, message(""), 403, [3]string{"PERMISSION_DENIED"}},
		"nobody's project":        {"/v1/projects/none/messages:send", good, message(""), 404, [3]string{"NOT_FOUND"}},
		"an uninstalled app":      {sendPath, good, `{"message":{"token":"gone"}}`, 404, [3]string{"NOT_FOUND", "UNREGISTERED"}},
		"a token that is none":    {sendPath, good, `{"message":{"token":"a b"}}`, 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT"}},

		"no JSON":                        {sendPath, good, `x`, 400, [3]string{"INVALID_ARGUMENT"}},
		"JSON that breaks off":           {sendPath, good, `{"message":{"token":"t"`, 400, [3]string{"INVALID_ARGUMENT"}},
		"more than one value":            {sendPath, good, message("") + `{}`, 400, [3]string{"INVALID_ARGUMENT"}},
		"a name twice":                   {sendPath, good, message(`,"token":"t"`), 400, [3]string{"INVALID_ARGUMENT"}},
		"no message":                     {sendPath, good, `{}`, 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message"}},
		"no target":                      {sendPath, good, `{"message":{}}`, 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message"}},
		"two targets":                    {sendPath, good, message(`,"topic":"x"`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message"}},
		"an unknown field":               {sendPath, good, message(`,"foo":1`), 400, [3]string{"INVALID_ARGUMENT", "", "message"}},
		"an unknown field further in":    {sendPath, good, message(`,"android":{"notification":{"foo":1}}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.notification"}},
		"data that is no string":         {sendPath, good, message(`,"data":{"badge":5}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.data[badge]"}},
		"a data key of FCM":              {sendPath, good, message(`,"data":{"from":"x"}`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.data"}},
		"a data key of Google":           {sendPath, good, message(`,"data":{"google.x":"x"}`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.data"}},
		"a data key of GCM":              {sendPath, good, message(`,"android":{"data":{"gcm.notification.x":"x"}}`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.android.data"}},
		"a time to live without a unit":  {sendPath, good, message(`,"android":{"ttl":"60"}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.ttl"}},
		"a time to live in minutes":      {sendPath, good, message(`,"android":{"ttl":"1m"}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.ttl"}},
		"a time to live over four weeks": {sendPath, good, message(`,"android":{"ttl":"2419201s"}`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.android.ttl"}},
		"a priority of its own":          {sendPath, good, message(`,"android":{"priority":"10"}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.priority"}},
		"a count that is no number":      {sendPath, good, message(`,"android":{"notification":{"notification_count":"5"}}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.notification.notification_count"}},
		"a count that is not whole":      {sendPath, good, message(`,"android":{"notification":{"notification_count":1.5}}`), 400, [3]string{"INVALID_ARGUMENT", "", "message.android.notification.notification_count"}},
		"a flag that is none":            {sendPath, good, `{"validate_only":"yes","message":{"token":"t"}}`, 400, [3]string{"INVALID_ARGUMENT", "", "validate_only"}},
		"a message that is too large":    {sendPath, good, message(`,"data":{"x":"` + strings.Repeat("x", 4096) + `"}`), 400, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT", "message"}},
	} {
		got := w.post(t, c.path, c.authorization, c.body)
		if got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, c.status)
			continue
		}
		if diff := cmp.Diff(c.want, errorOf(t, got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := w.post(t, "/v1/projects/p/other", good, message("")); got.status != 404 {
		t.Errorf("an unknown path: got %+v", got)
	}
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL()+sendPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.do(t, get); got.status != 405 {
		t.Errorf("GET: got %+v", got)
	}
	if got := w.Control().Ledger.Counts(); got.Accepted != 0 {
		t.Errorf("accepted %d", got.Accepted)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	at := time.Now().UTC().Truncate(time.Second)
	w := newWorld(t, fcmtest.Config{Now: func() time.Time { return at }})
	good := w.authorization(t)
	got := w.post(t, sendPath, good, "{ \"message\" : {\"data\": {\"body\" : \"<é>\"} , \"token\" : \"t\", \"android\":{\"priority\":\"high\",\"ttl\":\"3.5s\"} } }")
	if got.status != 200 {
		t.Fatalf("got %+v", got)
	}
	var name struct{ Name string }
	if err := json.Unmarshal([]byte(got.body), &name); err != nil || !strings.HasPrefix(name.Name, "projects/p/messages/") {
		t.Errorf("name: got %s, %v", got.body, err)
	}
	if got := w.post(t, sendPath, good, `{"validate_only":true,"message":{"token":"t"}}`); got.status != 200 {
		t.Errorf("validate_only: got %+v", got)
	}
	entries := w.Control().Ledger.Entries("t")
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	e := entries[0]
	if e.ID != name.Name || e.Platform != "fcm" || e.Status != 200 || !e.Time.Equal(at) {
		t.Errorf("got %+v", e)
	}
	if _, told := e.Headers["authorization"]; told || len(e.Headers) == 0 {
		t.Errorf("headers: got %v", e.Headers)
	}
	want := `{"data":{"body":"<é>"},"android":{"priority":"high","ttl":"3.5s"}}`
	if string(e.Body) != want {
		t.Errorf("body: got %s, want %s", e.Body, want)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	good := w.authorization(t)
	for _, c := range []struct {
		answer pushtest.Answer
		want   [3]string
	}{
		{pushtest.Answer{Status: 404, Reason: "UNREGISTERED"}, [3]string{"NOT_FOUND", "UNREGISTERED"}},
		{pushtest.Answer{Status: 404}, [3]string{"NOT_FOUND"}},
		{pushtest.Answer{Status: 403, Reason: "PERMISSION_DENIED"}, [3]string{"PERMISSION_DENIED"}},
		{pushtest.Answer{Status: 403, Reason: "SENDER_ID_MISMATCH"}, [3]string{"PERMISSION_DENIED", "SENDER_ID_MISMATCH"}},
		{pushtest.Answer{Status: 401, Reason: "THIRD_PARTY_AUTH_ERROR"}, [3]string{"UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"}},
		{pushtest.Answer{Status: 400, Reason: "INVALID_ARGUMENT"}, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT"}},
		{pushtest.Answer{Status: 400, Reason: fcmtest.InvalidToken}, [3]string{"INVALID_ARGUMENT", "INVALID_ARGUMENT"}},
		{pushtest.Answer{Status: 429, Reason: "QUOTA_EXCEEDED", RetryAfter: 7}, [3]string{"RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"}},
		{pushtest.Answer{Status: 503, Reason: "UNAVAILABLE"}, [3]string{"UNAVAILABLE", "UNAVAILABLE"}},
		{pushtest.Answer{Status: 500, Reason: "INTERNAL"}, [3]string{"INTERNAL", "INTERNAL"}},
	} {
		if err := w.Control().Script.Put("t", []pushtest.Answer{c.answer}); err != nil {
			t.Fatal(err)
		}
		got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`)
		if diff := cmp.Diff(c.want, errorOf(t, got)); got.status != c.answer.Status || diff != "" {
			t.Errorf("%+v: got %d, %s", c.answer, got.status, diff)
		}
		if want := c.answer.RetryAfter; want != 0 && got.header.Get("Retry-After") != "7" {
			t.Errorf("%+v: got %v", c.answer, got.header)
		}
		entries := w.Control().Ledger.Entries("t")
		if last := entries[len(entries)-1]; last.Status != c.answer.Status || last.ID != "" || last.Reason == "" {
			t.Errorf("%+v: the ledger has %+v", c.answer, last)
		}
	}
	if got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`); got.status != 200 {
		t.Errorf("after the script: got %+v", got)
	}
}

func TestAccessTokensEnd(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Now()
	w := newWorld(t, fcmtest.Config{TokenLife: time.Minute, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}})
	good := w.authorization(t)
	if got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`); got.status != 200 {
		t.Errorf("at first: got %+v", got)
	}
	mu.Lock()
	at = at.Add(time.Minute)
	mu.Unlock()
	if got := w.post(t, sendPath, good, `{"message":{"token":"t"}}`); got.status != 401 {
		t.Errorf("after its end: got %+v", got)
	}
	if w.AccessTokens() != 1 {
		t.Errorf("%d access tokens, want 1", w.AccessTokens())
	}
}

// TestIndependentClient is Google's generated client, which writes every name in lowerCamelCase.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fcmtest.Config{})
	authorization := w.authorization(t)
	service, err := fcm.NewService(context.Background(), option.WithEndpoint(w.URL()), option.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", authorization)
			return w.client.Transport.RoundTrip(r)
		}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := service.Projects.Messages.Send("projects/p", &fcm.SendMessageRequest{Message: &fcm.Message{
		Token: "t",
		Data:  map[string]string{"body": "hello"},
		Android: &fcm.AndroidConfig{
			CollapseKey: "k", Priority: "HIGH", Ttl: "60s", DirectBootOk: true,
			Notification: &fcm.AndroidNotification{ChannelId: "c", NotificationCount: 5, Tag: "x", VibrateTimings: []string{"1s"}},
		},
		Apns:    &fcm.ApnsConfig{Payload: googleapi.RawMessage(`{"aps":{}}`)},
		Webpush: &fcm.WebpushConfig{Headers: map[string]string{"Urgency": "high"}},
	}}).Context(t.Context()).Do()
	if err != nil || !strings.HasPrefix(sent.Name, "projects/p/messages/") {
		t.Errorf("got %+v, %v", sent, err)
	}
	w.Unregister("gone")
	_, err = service.Projects.Messages.Send("projects/p", &fcm.SendMessageRequest{
		ValidateOnly: true, Message: &fcm.Message{Token: "gone"},
	}).Context(t.Context()).Do()
	var refusal *googleapi.Error
	if !errors.As(err, &refusal) || refusal.Code != 404 {
		t.Errorf("an uninstalled app: got %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
