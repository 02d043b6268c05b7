package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const (
	// throttlePause is how long FCM asks to wait after a 429 without Retry-After.
	throttlePause = time.Minute
	// maxRetryAfter bounds what an answer can ask for.
	maxRetryAfter = 24 * time.Hour
)

// FCM's own error codes, google.firebase.fcm.v1.FcmError.
const (
	codeInvalidArgument  = "INVALID_ARGUMENT"
	codeUnregistered     = "UNREGISTERED"
	codeSenderIDMismatch = "SENDER_ID_MISMATCH"
	codeThirdPartyAuth   = "THIRD_PARTY_AUTH_ERROR"
)

// result is what one request came to: an answer, or the error because of which there is none.
type result struct {
	status     int
	code       string        // of the FcmError; "" = the answer has none
	state      string        // Google's general word for the error, as PERMISSION_DENIED; "" = none
	field      string        // what the answer calls wrong in the message; "" = nothing
	aboutToken bool          // the answer calls the registration token itself invalid
	aboutQuota bool          // the quota that was exceeded is the device's, not the project's
	retryAfter time.Duration // the answer's wish; 0 = none

	err  error // why there is no answer, or none that is FCM's
	sent bool  // without an answer: the whole message may have arrived
}

// classify says what becomes of a notification. It is the only place that knows what FCM's answers mean.
func classify(r result) push.Outcome {
	if r.err != nil {
		return classifyFailure(r)
	}
	outcome := func(d push.Disposition, reason push.Reason, scope push.Scope) push.Outcome {
		return push.Outcome{Disposition: d, Reason: reason, Scope: scope, Answer: r.answer(), RetryAfter: r.retryAfter, Err: r.problem()}
	}
	switch {
	case r.status == http.StatusOK:
		return push.Outcome{Disposition: push.Delivered, Answer: r.answer()}
	case r.status == http.StatusBadRequest && r.aboutToken:
		return outcome(push.DropToken, push.ReasonBadToken, push.ScopeDevice)
	case r.status == http.StatusBadRequest:
		return outcome(push.Dead, push.ReasonPayloadRejected, push.ScopeDevice)
	case r.status == http.StatusUnauthorized:
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case r.status == http.StatusForbidden && r.code == codeSenderIDMismatch:
		return outcome(push.DropToken, push.ReasonSenderMismatch, push.ScopeDevice)
	case r.status == http.StatusForbidden:
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case r.status == http.StatusNotFound && r.code == codeUnregistered:
		return outcome(push.DropToken, push.ReasonUnregistered, push.ScopeDevice)
	case r.status == http.StatusNotFound: // the project, not the device
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case r.status == http.StatusRequestEntityTooLarge:
		return outcome(push.Dead, push.ReasonTooLarge, push.ScopeDevice)
	case r.status == http.StatusTooManyRequests:
		if r.retryAfter == 0 {
			r.retryAfter = throttlePause
		}
		if r.aboutQuota {
			return outcome(push.Retry, push.ReasonDeviceThrottled, push.ScopeDevice)
		}
		return outcome(push.Retry, push.ReasonProviderThrottled, push.ScopeCredential)
	default: // 5xx, and what only something between FCM and us can have answered
		return outcome(push.Retry, push.ReasonProviderUnavailable, push.ScopeProvider)
	}
}

func classifyFailure(r result) push.Outcome {
	o := push.Outcome{Disposition: push.Retry, Err: r.err, Ambiguous: r.sent}
	if r.status != 0 {
		o.Answer = r.answer()
	}
	var refusal *tokenError
	switch {
	case errors.As(r.err, &refusal) && refusal.refused:
		o.Disposition, o.Reason, o.Scope = push.Park, push.ReasonCredentialRefused, push.ScopeCredential
		o.Answer = refusal.answer
	case errors.As(r.err, &refusal):
		o.Reason, o.Scope = push.ReasonProviderUnavailable, push.ScopeCredential
		o.Answer = refusal.answer
	case errors.Is(r.err, errQuota):
		o.Disposition, o.Reason = push.Park, push.ReasonCredentialShare
	case errors.Is(r.err, errUnsendable):
		o.Disposition, o.Reason = push.Dead, push.ReasonPayloadRejected
	case errors.Is(r.err, context.DeadlineExceeded):
		o.Reason, o.Scope = push.ReasonTimeout, push.ScopeProvider
	case r.sent:
		o.Reason, o.Scope = push.ReasonAmbiguous, push.ScopeProvider
	case errors.Is(r.err, context.Canceled): // we stop; the provider did nothing wrong
		o.Reason = push.ReasonTimeout
	default:
		o.Reason, o.Scope = push.ReasonNetwork, push.ScopeProvider
	}
	if errors.Is(r.err, context.Canceled) {
		o.Scope = push.ScopeDevice
	}
	return o
}

// answer is the status and the most precise word that came with it.
func (r result) answer() string {
	word := r.code
	if word == "" {
		word = r.state
	}
	return answerText(r.status, word)
}

func answerText(status int, word string) string {
	if word == "" {
		return strconv.Itoa(status)
	}
	return strconv.Itoa(status) + " " + word
}

func (r result) problem() error {
	if r.field == "" {
		return nil
	}
	return errors.New("FCM refuses the field " + r.field)
}

// What may be taken over from an answer: never free text, which can quote the message.
var (
	errorWord = regexp.MustCompile(`^[A-Za-z_]{1,64}$`)
	fieldPath = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]{1,128}$`)

	// invalidToken is FCM's message where the token itself is at fault, and not, say, a token next to a topic.
	invalidToken = regexp.MustCompile(`(?i)registration token is not (a )?valid|invalid registration`)
)

// readAnswer takes from an answer other than 200 what classify needs. A body that is not FCM's leaves the status alone.
func readAnswer(status int, header http.Header, body []byte, now time.Time) result {
	r := result{status: status, retryAfter: retryAfter(header.Get("Retry-After"), now)}
	var answer struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Details []struct {
				Type            string `json:"@type"`
				ErrorCode       string `json:"errorCode"`
				FieldViolations []struct {
					Field string `json:"field"`
				} `json:"fieldViolations"`
				Violations []struct {
					Subject     string `json:"subject"`
					Description string `json:"description"`
				} `json:"violations"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // what is not FCM's shape stays empty, and the status decides
	r.state = only(errorWord, answer.Error.Status)
	for _, detail := range answer.Error.Details {
		switch strings.TrimPrefix(detail.Type, "type.googleapis.com/") {
		case "google.firebase.fcm.v1.FcmError":
			r.code = only(errorWord, detail.ErrorCode)
		case "google.rpc.BadRequest":
			for _, violation := range detail.FieldViolations {
				r.field = only(fieldPath, violation.Field)
				r.aboutToken = r.aboutToken || violation.Field == "message.token"
			}
		case "google.rpc.QuotaFailure":
			for _, violation := range detail.Violations {
				about := strings.ToLower(violation.Subject + " " + violation.Description)
				r.aboutQuota = r.aboutQuota || strings.Contains(about, "device")
			}
		}
	}
	if r.code == codeInvalidArgument && invalidToken.MatchString(answer.Error.Message) {
		r.aboutToken = true
	}
	return r
}

func only(pattern *regexp.Regexp, text string) string {
	if pattern.MatchString(text) {
		return text
	}
	return ""
}

// retryAfter reads a Retry-After header, seconds or an HTTP date; 0 = none, or not later than now.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
