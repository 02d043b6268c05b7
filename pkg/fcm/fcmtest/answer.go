package fcmtest

import (
	"net/http"
	"strconv"
)

const (
	typeFcmError   = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
	typeBadRequest = "type.googleapis.com/google.rpc.BadRequest"
)

// FCM's own error codes.
const (
	codeInvalidArgument = "INVALID_ARGUMENT"
	codeUnregistered    = "UNREGISTERED"
)

// InvalidToken is the reason of a scripted 400 that gives FCM's answer to a registration token that is none; the reason
// INVALID_ARGUMENT stands for any other mistake in a message.
const InvalidToken = "INVALID_REGISTRATION_TOKEN"

// failure is an answer other than 200.
type failure struct {
	status     int
	state      string // Google's general word
	code       string // FcmError; "" = no such detail
	message    string
	field      string // BadRequest; "" = no such detail, unless violated
	violated   bool
	retryAfter int // s; 0 = none
}

type errorBody struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Status  string   `json:"status"`
	Details []detail `json:"details,omitempty"`
}

type detail struct {
	Type            string           `json:"@type"`
	ErrorCode       string           `json:"errorCode,omitempty"`
	FieldViolations []fieldViolation `json:"fieldViolations,omitempty"`
}

type fieldViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

func (f *failure) write(w http.ResponseWriter) {
	body := errorBody{Code: f.status, Message: f.message, Status: f.state}
	if f.code != "" {
		body.Details = append(body.Details, detail{Type: typeFcmError, ErrorCode: f.code})
	}
	if f.violated {
		body.Details = append(body.Details, detail{
			Type: typeBadRequest, FieldViolations: []fieldViolation{{Field: f.field, Description: f.message}},
		})
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	writeJSON(w, f.status, map[string]errorBody{"error": body})
}

// reason is the failure's word in the ledger.
func (f *failure) reason() string {
	if f.code != "" {
		return f.code
	}
	return f.state
}

// Google's general words by status.
func stateOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "INVALID_ARGUMENT"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusInternalServerError:
		return "INTERNAL"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	}
	return "UNKNOWN"
}

// The simulator's own answers.

func unauthenticated() *failure {
	return &failure{
		status: http.StatusUnauthorized, state: stateOf(http.StatusUnauthorized),
		message: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
	}
}

func forbidden(project string) *failure {
	return &failure{
		status: http.StatusForbidden, state: stateOf(http.StatusForbidden),
		message: "Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com/projects/" + project + "'.",
	}
}

func notFound() *failure {
	return &failure{status: http.StatusNotFound, state: stateOf(http.StatusNotFound), message: "Requested entity was not found."}
}

func unregistered() *failure {
	f := notFound()
	f.code = codeUnregistered
	f.message = "NotRegistered"
	return f
}

func invalidToken() *failure {
	return &failure{
		status: http.StatusBadRequest, state: stateOf(http.StatusBadRequest), code: codeInvalidArgument,
		message: "The registration token is not a valid FCM registration token",
	}
}

func rejected(v *violation) *failure {
	return &failure{
		status: http.StatusBadRequest, state: stateOf(http.StatusBadRequest),
		message: v.problem, field: v.field, violated: true,
	}
}

// scripted shapes an answer as FCM would: a reason is an FcmError unless it is one of Google's general words, which
// come without one.
func scripted(status int, reason string, retryAfter int) *failure {
	f := &failure{status: status, state: stateOf(status), code: reason, message: "scripted", retryAfter: retryAfter}
	switch {
	case reason == InvalidToken:
		f = invalidToken()
		f.status, f.retryAfter = status, retryAfter
	case reason != codeInvalidArgument && reason == f.state && reason != "UNAVAILABLE" && reason != "INTERNAL":
		f.code = ""
	}
	return f
}
