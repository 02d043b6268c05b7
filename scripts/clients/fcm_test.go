package clients_test

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/workers/simulate"
)

// sendAnswer is what an FCM client reports of a message.
type sendAnswer struct {
	Status     int
	Named      bool   // the answer has the message's name in the project
	Code       string // of the FcmError
	Fields     []string
	RetryAfter string
}

// fcmClient starts a client of a simulator, with an access token of its account or, where stale is set, one that is
// none; what it returns sends a request.
type fcmClient func(t *testing.T, s simulator, stale bool) func(request map[string]any) sendAnswer

const staleToken = "ya29.stale"

// details are those of Google's errors.
type details []struct {
	Type            string `json:"@type"`
	ErrorCode       string `json:"errorCode"`
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"`
}

// into takes over what they say.
func (d details) into(a *sendAnswer) {
	for _, detail := range d {
		switch detail.Type {
		case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
			a.Code = detail.ErrorCode
		case "type.googleapis.com/google.rpc.BadRequest":
			for _, violation := range detail.FieldViolations {
				a.Fields = append(a.Fields, violation.Field)
			}
		}
	}
}

func named(name string) bool {
	return len(name) > len("projects/demo/messages/") && strings.HasPrefix(name, "projects/demo/messages/")
}

// googleClient is the program in the folder fcm.
func googleClient(program string) fcmClient {
	return func(t *testing.T, s simulator, stale bool) func(map[string]any) sendAnswer {
		t.Helper()
		args := []string{"-endpoint", s.FCM, "-project", simulate.Project, "-service-account", s.ServiceAccountFile}
		if stale {
			args = append(args, "-access-token", staleToken)
		}
		client := run(t, []string{"SSL_CERT_FILE=" + s.CAFile}, program, args...)
		return func(request map[string]any) sendAnswer {
			t.Helper()
			var reported struct {
				Status     int     `json:"status"`
				Name       string  `json:"name"`
				RetryAfter string  `json:"retry_after"`
				Details    details `json:"details"`
				Error      string  `json:"error"`
			}
			client.ask(request, &reported)
			if reported.Error != "" {
				t.Fatal(reported.Error)
			}
			answer := sendAnswer{Status: reported.Status, Named: named(reported.Name), RetryAfter: reported.RetryAfter}
			reported.Details.into(&answer)
			return answer
		}
	}
}

// curlToFCM gets an access token and sends messages with curl, over a version of HTTP.
func curlToFCM(version string) fcmClient {
	return func(t *testing.T, s simulator, stale bool) func(map[string]any) sendAnswer {
		t.Helper()
		access := staleToken
		if !stale {
			access = accessToken(t, s, version)
		}
		return func(request map[string]any) sendAnswer {
			t.Helper()
			r := curl(t, s, s.FCM+"/v1/projects/"+simulate.Project+"/messages:send", encode(t, request), 1,
				version, "--header", "authorization: Bearer "+access, "--header", "content-type: application/json")[0]
			if want := strings.TrimSuffix(strings.TrimPrefix(version, "--http"), ".0"); r.version != want {
				t.Errorf("HTTP %s, want %s", r.version, want)
			}
			var body struct {
				Name  string `json:"name"`
				Error struct {
					Code    int     `json:"code"`
					Details details `json:"details"`
				} `json:"error"`
			}
			if err := json.Unmarshal(r.body, &body); err != nil {
				t.Fatalf("body %q: %v", r.body, err)
			}
			if r.status != 200 && body.Error.Code != r.status {
				t.Errorf("status %d with the code %d", r.status, body.Error.Code)
			}
			answer := sendAnswer{Status: r.status, Named: named(body.Name), RetryAfter: strings.Join(r.headers["retry-after"], ", ")}
			body.Error.Details.into(&answer)
			return answer
		}
	}
}

// accessToken asks the OAuth endpoint that the service account names.
func accessToken(t *testing.T, s simulator, version string) string {
	t.Helper()
	content, err := os.ReadFile(s.ServiceAccountFile)
	if err != nil {
		t.Fatal(err)
	}
	var account struct {
		Email    string `json:"client_email"`
		KeyID    string `json:"private_key_id"`
		Key      string `json:"private_key"`
		TokenURI string `json:"token_uri"`
	}
	if err := json.Unmarshal(content, &account); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	assertion := signed(t, jwt.SigningMethodRS256, account.KeyID, jwt.MapClaims{
		"iss": account.Email, "aud": account.TokenURI, "scope": "https://www.googleapis.com/auth/firebase.messaging",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, []byte(account.Key))
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	r := curl(t, s, account.TokenURI, form.Encode(), 1, version)[0]
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(r.body, &granted); err != nil || r.status != 200 || granted.AccessToken == "" {
		t.Fatalf("access token: %d, %v", r.status, err)
	}
	return granted.AccessToken
}

func TestClientsOfFCM(t *testing.T) {
	t.Parallel()
	needClients(t)
	pushsim := build(t, "github.com/pushfleet/pushfleet/cmd/pushsim")
	for name, start := range map[string]fcmClient{
		"google.golang.org/api/fcm/v1": googleClient(build(t, "github.com/pushfleet/pushfleet/scripts/clients/fcm")),
		"curl over HTTP/2":             curlToFCM("--http2"),
		"curl over HTTP/1.1":           curlToFCM("--http1.1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSimulator(t, pushsim, "fcm")
			sendEverything(t, s, start(t, s, false))
			t.Run("an access token that is none", func(t *testing.T) {
				got := start(t, s, true)(to("stale", nil))
				if diff := cmp.Diff(sendAnswer{Status: 401}, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
			t.Run("an access token that was revoked", func(t *testing.T) {
				send := start(t, s, false)
				before := send(to("revoked", nil))
				s.put(t, "/faults", map[string]any{"fcm": map[string]any{"revoke_at": []string{"0s"}}})
				if diff := cmp.Diff([]sendAnswer{{Status: 200, Named: true}, {Status: 401}}, []sendAnswer{before, send(to("revoked", nil))}); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// to is a request to send a message to a token.
func to(token string, message map[string]any) map[string]any {
	request := map[string]any{"token": token}
	for key, value := range message {
		request[key] = value
	}
	return map[string]any{"message": request}
}

// sendEverything sends one message after the other over one client, and compares what it reports.
func sendEverything(t *testing.T, s simulator, send func(map[string]any) sendAnswer) {
	t.Helper()
	for _, test := range []struct {
		name    string
		request map[string]any
		script  map[string]any // nil = the simulator's own answer
		want    sendAnswer
	}{
		{
			name: "a notification",
			request: to("shown", map[string]any{
				"notification": map[string]any{"title": "Ann", "body": "Hello"},
				"android":      map[string]any{"priority": "HIGH", "ttl": "3.5s", "notification": map[string]any{"channel_id": "chat", "tag": "ann"}},
			}),
			want: sendAnswer{Status: 200, Named: true},
		},
		{
			name:    "data, urgent as a call",
			request: to("call", map[string]any{"data": map[string]any{"call": "1"}, "android": map[string]any{"priority": "high", "ttl": "0s"}}),
			want:    sendAnswer{Status: 200, Named: true},
		},
		{
			name:    "data in the background",
			request: to("background", map[string]any{"data": map[string]any{"badge": "3"}, "android": map[string]any{"priority": "normal", "collapse_key": "badge"}}),
			want:    sendAnswer{Status: 200, Named: true},
		},
		{name: "a check alone", request: map[string]any{"validate_only": true, "message": map[string]any{"token": "checked"}}, want: sendAnswer{Status: 200, Named: true}},
		{name: "a token that is none", request: to("no token", nil), want: sendAnswer{Status: 400, Code: "INVALID_ARGUMENT"}},
		{
			name: "more than 28 days", request: to("late", map[string]any{"android": map[string]any{"ttl": "2419201s"}}),
			want: sendAnswer{Status: 400, Code: "INVALID_ARGUMENT", Fields: []string{"message.android.ttl"}},
		},
		{
			name: "a reserved key", request: to("reserved", map[string]any{"data": map[string]any{"google.x": "1"}}),
			want: sendAnswer{Status: 400, Code: "INVALID_ARGUMENT", Fields: []string{"message.data"}},
		},
		{
			name: "a payload of more than 4096 bytes", request: to("large", map[string]any{"data": map[string]any{"text": strings.Repeat("x", 4097)}}),
			want: sendAnswer{Status: 400, Code: "INVALID_ARGUMENT", Fields: []string{"message"}},
		},
		{
			name: "a time to live that is none", request: to("unit", map[string]any{"android": map[string]any{"ttl": "60"}}),
			want: sendAnswer{Status: 400, Fields: []string{"message.android.ttl"}},
		},
		{
			name: "an app that was removed", request: to("removed", nil),
			script: map[string]any{"status": 404, "reason": "UNREGISTERED"}, want: sendAnswer{Status: 404, Code: "UNREGISTERED"},
		},
		{
			name: "a token of another project", request: to("foreign", nil),
			script: map[string]any{"status": 403, "reason": "SENDER_ID_MISMATCH"}, want: sendAnswer{Status: 403, Code: "SENDER_ID_MISMATCH"},
		},
		{
			name: "too many", request: to("busy", nil),
			script: map[string]any{"status": 429, "reason": "QUOTA_EXCEEDED", "retry_after": 7},
			want:   sendAnswer{Status: 429, Code: "QUOTA_EXCEEDED", RetryAfter: "7"},
		},
		{
			name: "a service that is away", request: to("away", nil),
			script: map[string]any{"status": 503, "reason": "UNAVAILABLE", "retry_after": 9},
			want:   sendAnswer{Status: 503, Code: "UNAVAILABLE", RetryAfter: "9"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.script != nil {
				s.always(t, test.request["message"].(map[string]any)["token"].(string), test.script)
			}
			if diff := cmp.Diff(test.want, send(test.request)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
