package apns

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// FuzzAnswer: whatever answers a push, there is one outcome, which its reason explains; nothing of the answer's text
// is taken over but a short word; and 200 alone means that it was delivered.
func FuzzAnswer(f *testing.F) {
	f.Add(400, []byte(`{"reason":"BadDeviceToken"}`), "", "")
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":1790000000000}`), "", "Mon, 21 Sep 2026 14:00:00 GMT")
	f.Add(429, []byte(`{"reason":"TooManyRequests"}`), "3", "")
	f.Add(503, []byte(`<html>`), "Mon, 21 Sep 2026 14:00:10 GMT", "Mon, 21 Sep 2026 14:00:00 GMT")
	f.Add(200, []byte(`{"reason":"a word\n"}`), "99999999999", "?")
	f.Add(400, []byte(`{"reason":"eyJhbGciOi.eyJhbGciOi"}`), "", "")
	f.Add(403, []byte(`{"reason":7,"timestamp":"x"}`), "-1", "")
	now, word := time.Unix(1790000000, 0), regexp.MustCompile(`^[0-9]{3}( [A-Za-z0-9]{1,64})?$`)
	f.Fuzz(func(t *testing.T, status int, body []byte, wait, date string) {
		if status < 100 || status > 999 {
			return // no HTTP/2 client lets it through
		}
		response := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {wait}, "Date": {date}}, Body: io.NopCloser(bytes.NewReader(body))}
		a := readAnswer(response, func() time.Time { return now })
		o := classify(a)
		if o.Reason.Disposition() != o.Disposition {
			t.Errorf("%s because of %q", o.Disposition, o.Reason)
		}
		if (o.Disposition == push.Delivered) != (status == http.StatusOK) || o.Ambiguous {
			t.Errorf("status %d is %+v", status, o)
		}
		if o.RetryAfter < 0 || o.RetryAfter > maxRetryAfter {
			t.Errorf("wait for %s", o.RetryAfter)
		}
		if !o.InvalidSince.IsZero() && o.Disposition != push.DropToken {
			t.Errorf("%+v says since when a token was dead", o)
		}
		if !word.MatchString(o.Answer) {
			t.Errorf("taken over: %q", o.Answer)
		}
	})
}
