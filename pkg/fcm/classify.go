package fcm

import (
	"bytes"
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

// FCM's own error codes, google.firebase.fcm.v1.FcmError. UNSPECIFIED_ERROR says no more than the status.
const (
	codeInvalidArgument  = "INVALID_ARGUMENT"
	codeUnregistered     = "UNREGISTERED"
	codeSenderIDMismatch = "SENDER_ID_MISMATCH"
	codeQuotaExceeded    = "QUOTA_EXCEEDED"
	codeUnavailable      = "UNAVAILABLE"
	codeInternal         = "INTERNAL"
	codeThirdPartyAuth   = "THIRD_PARTY_AUTH_ERROR"
)

// statusOf is the status that each code comes with.
func statusOf(code string) int {
	switch code {
	case codeInvalidArgument:
		return http.StatusBadRequest
	case codeUnregistered:
		return http.StatusNotFound
	case codeSenderIDMismatch:
		return http.StatusForbidden
	case codeQuotaExceeded:
		return http.StatusTooManyRequests
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeInternal:
		return http.StatusInternalServerError
	case codeThirdPartyAuth:
		return http.StatusUnauthorized
	}
	return 0
}

// result is what one request came to: an answer, or the error because of which there is none.
type result struct {
	status     int
	code       string        // of the FcmError; "" = the answer has none
	state      string        // Google's general word for the error, as PERMISSION_DENIED; "" = none
	cause      string        // Google's particular word, as SERVICE_DISABLED; "" = none
	field      string        // what the answer calls wrong in the message; "" = nothing
	aboutToken bool          // the answer calls the registration token itself invalid
	aboutSize  bool          // the answer calls the message too big
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
	switch r.meaning() {
	case http.StatusOK:
		return push.Outcome{Disposition: push.Delivered, Answer: r.answer()}
	case http.StatusBadRequest:
		switch {
		case r.aboutToken:
			return outcome(push.DropToken, push.ReasonBadToken, push.ScopeDevice)
		case r.aboutSize:
			return outcome(push.Dead, push.ReasonTooLarge, push.ScopeDevice)
		}
		return outcome(push.Dead, push.ReasonPayloadRejected, push.ScopeDevice)
	case http.StatusUnauthorized:
		if r.code == codeThirdPartyAuth { // what the project lacks is for this kind of device alone
			return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeDevice)
		}
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case http.StatusForbidden:
		if r.code == codeSenderIDMismatch {
			return outcome(push.DropToken, push.ReasonSenderMismatch, push.ScopeDevice)
		}
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case http.StatusNotFound:
		if r.code == codeUnregistered {
			return outcome(push.DropToken, push.ReasonUnregistered, push.ScopeDevice)
		}
		return outcome(push.Park, push.ReasonCredentialRefused, push.ScopeCredential) // the project, not the device
	case http.StatusRequestEntityTooLarge:
		return outcome(push.Dead, push.ReasonTooLarge, push.ScopeDevice)
	case http.StatusTooManyRequests:
		if r.retryAfter == 0 {
			r.retryAfter = throttlePause
		}
		if r.aboutQuota {
			return outcome(push.Retry, push.ReasonDeviceThrottled, push.ScopeDevice)
		}
		return outcome(push.Retry, push.ReasonProviderThrottled, push.ScopeCredential)
	default: // 5xx, and what only something between FCM and us can have answered
		o := outcome(push.Retry, push.ReasonProviderUnavailable, push.ScopeProvider)
		// Who answers so waited for somebody in vain who may have had the message.
		o.Ambiguous = r.status == http.StatusGatewayTimeout
		return o
	}
}

// meaning is the status that the answer stands for. Where it is a client's error, FCM's own code is the more precise
// word; a server's error is not one of ours, whatever else it says.
func (r result) meaning() int {
	if of := statusOf(r.code); of != 0 && r.status >= 400 && r.status < 500 {
		return of
	}
	return r.status
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
	switch {
	case r.field != "":
		return errors.New("FCM refuses the field " + r.field)
	case r.cause != "":
		return errors.New("FCM says " + r.cause)
	case r.code == codeThirdPartyAuth:
		return errors.New("the project lacks a valid APNs key, or Web Push key, for this device")
	}
	return nil
}

// What may be taken over from an answer: never free text, which can quote the message.
var (
	errorWord = regexp.MustCompile(`^[A-Za-z_]{1,64}$`)
	fieldPath = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]{1,128}$`)

	// invalidToken is FCM's message where the token itself is at fault, and not, say, a token next to a topic.
	invalidToken = regexp.MustCompile(`(?i)registration token is not (a )?valid|invalid registration`)
	tooBig       = regexp.MustCompile(`(?i)message (is )?too (big|large)`)
	// deviceQuota is what a quota's violation calls the one of a device. Its subject is the device, or the project.
	deviceQuota = regexp.MustCompile(`(?i)^device\b|\bdevice message rate\b`)
)

// readAnswer takes from an answer other than 200 what classify needs. A body that is not FCM's leaves the status alone.
func readAnswer(status int, header http.Header, body []byte, now time.Time) result {
	r := result{status: status, retryAfter: retryAfter(header.Get("Retry-After"), now)}
	var answer struct {
		Error answerError `json:"error"`
	}
	// What is not FCM's shape stays empty, and the status decides.
	_ = json.Unmarshal(bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("[")), []byte("]")), &answer)
	r.state = only(errorWord, answer.Error.Status)
	for _, detail := range answer.Error.Details {
		r.read(detail)
	}
	if r.code == codeInvalidArgument {
		r.aboutToken = r.aboutToken || invalidToken.MatchString(answer.Error.Message)
		r.aboutSize = tooBig.MatchString(answer.Error.Message)
	}
	return r
}

// answerError is Google's shape of an error. Some of its servers put it into an array of one.
type answerError struct {
	Status  string         `json:"status"`
	Message string         `json:"message"`
	Details []answerDetail `json:"details"`
}

// answerDetail is one of several types, with the fields of all.
type answerDetail struct {
	Type            string `json:"@type"`
	ErrorCode       string `json:"errorCode"`
	Reason          string `json:"reason"`
	RetryDelay      string `json:"retryDelay"`
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"`
	Violations []struct {
		Subject     string `json:"subject"`
		Description string `json:"description"`
	} `json:"violations"`
}

// read takes over what a detail says.
func (r *result) read(detail answerDetail) {
	switch strings.TrimPrefix(detail.Type, "type.googleapis.com/") {
	case "google.firebase.fcm.v1.FcmError":
		r.code = only(errorWord, detail.ErrorCode)
	case "google.rpc.ErrorInfo":
		r.cause = only(errorWord, detail.Reason)
	case "google.rpc.RetryInfo":
		if wait, err := time.ParseDuration(detail.RetryDelay); err == nil && r.retryAfter == 0 {
			r.retryAfter = min(max(wait, 0), maxRetryAfter)
		}
	case "google.rpc.BadRequest":
		for _, violation := range detail.FieldViolations {
			r.field = only(fieldPath, violation.Field)
			r.aboutToken = r.aboutToken || violation.Field == "message.token"
		}
	case "google.rpc.QuotaFailure":
		for _, violation := range detail.Violations {
			r.aboutQuota = r.aboutQuota || deviceQuota.MatchString(violation.Subject) || deviceQuota.MatchString(violation.Description)
		}
	}
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
