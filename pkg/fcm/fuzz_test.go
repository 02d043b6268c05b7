package fcm

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// aWord is a status and at most one word.
var aWord = regexp.MustCompile(`^[0-9]{3}( [A-Za-z_]{1,64})?$`)

// printable says whether a text is of the few characters that an answer's words have.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// FuzzAnswer: whatever answers a push, there is one outcome, which its reason explains; nothing of the answer's text
// is taken over but short words; and 200 alone means that it was delivered.
func FuzzAnswer(f *testing.F) {
	f.Add(404, []byte(withCode("NOT_FOUND", "UNREGISTERED")), "")
	f.Add(400, []byte(refusal("INVALID_ARGUMENT", "The registration token is not a valid FCM registration token", strings.ReplaceAll(fcmError, "%", "INVALID_ARGUMENT"))), "")
	f.Add(429, []byte("["+withCode("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")+"]"), "30")
	f.Add(404, []byte(withCode("eyJhbGciOi.eyJhbGciOi", "eyJhbGciOi.eyJhbGciOi")), "")
	f.Add(503, []byte(`<html>`), "Mon, 21 Sep 2026 14:00:10 GMT")
	f.Add(403, []byte(refusal("PERMISSION_DENIED", "m", errorInfo("SERVICE_DISABLED"))), "-1")
	f.Add(429, []byte(`{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"-9h"}]}}`), "")
	now := time.Unix(1790000000, 0)
	f.Fuzz(func(t *testing.T, status int, body []byte, wait string) {
		if status < 100 || status > 999 {
			return // no HTTP/2 client lets it through
		}
		r := result{status: status}
		if status != http.StatusOK {
			r = readAnswer(status, http.Header{"Retry-After": {wait}}, body, now)
		}
		o := classify(r)
		if o.Reason.Disposition() != o.Disposition {
			t.Errorf("%s because of %q", o.Disposition, o.Reason)
		}
		if (o.Disposition == push.Delivered) != (status == http.StatusOK) {
			t.Errorf("status %d is %+v", status, o)
		}
		if o.Disposition == push.DropToken && (status < 400 || status > 499) {
			t.Errorf("status %d cost a token", status)
		}
		if o.RetryAfter < 0 || o.RetryAfter > maxRetryAfter {
			t.Errorf("wait for %s", o.RetryAfter)
		}
		if !aWord.MatchString(o.Answer) {
			t.Errorf("taken over: %q", o.Answer)
		}
		if o.Err != nil && (len(o.Err.Error()) > 200 || !printable(o.Err.Error())) {
			t.Errorf("taken over: %q", o.Err)
		}
	})
}

// FuzzTokenFailure: of what the token endpoint says nothing is taken over but the status and a word, since it may repeat the
// assertion; and 4xx alone puts the blame on the credential.
func FuzzTokenFailure(f *testing.F) {
	f.Add(400, []byte(`{"error":"invalid_grant","error_description":"eyJhbGciOi"}`))
	f.Add(503, []byte(`<html>`))
	f.Add(429, []byte(`{"error":["x"]}`))
	f.Add(401, []byte(`{"error":"eyJhbGciOi.eyJhbGciOi"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 {
			return
		}
		err := tokenFailure(&oauth2.RetrieveError{Response: &http.Response{StatusCode: status}, Body: body})
		if text := strings.TrimPrefix(err.Error(), "access token: "); !aWord.MatchString(text) {
			t.Errorf("taken over: %q", text)
		}
		if err.refused && (status < 400 || status > 499) {
			t.Errorf("status %d puts the blame on the credential", status)
		}
		o := classify(result{err: err})
		if err.refused != (o.Disposition == push.Park) || o.Disposition == push.Delivered || o.Ambiguous || !errors.Is(o.Err, err) {
			t.Errorf("%+v of %v", o, err)
		}
	})
}
