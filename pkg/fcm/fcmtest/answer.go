package fcmtest

import (
	"encoding/json"
	"net/http"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/provider"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

const (
	typeFcmError   = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
	typeBadRequest = "type.googleapis.com/google.rpc.BadRequest"
	typeQuota      = "type.googleapis.com/google.rpc.QuotaFailure"
)

// FCM's own error codes.
const (
	codeInvalidArgument = "INVALID_ARGUMENT"
	codeUnregistered    = "UNREGISTERED"
	codeQuotaExceeded   = "QUOTA_EXCEEDED"
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
	quota      string            // QuotaFailure: whose; "" = no such detail
	retryAfter hpack.HeaderField // no name = none
	// content replaces all of the above but the status, and contentType is what it claims to be.
	content     *string
	contentType string
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
	Violations      []quotaViolation `json:"violations,omitempty"`
}

type fieldViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

type quotaViolation struct {
	Subject     string `json:"subject"`
	Description string `json:"description"`
}

// shape makes the reply the failure.
func (f *failure) shape(reply *wire.Reply) {
	if f.retryAfter.Name != "" {
		reply.Header = append(reply.Header, f.retryAfter)
	}
	if f.content != nil {
		reply.Status, reply.Body = f.status, []byte(*f.content)
		if f.contentType != "" {
			reply.Header = append(reply.Header, hpack.HeaderField{Name: "content-type", Value: f.contentType})
		}
		return
	}
	body := errorBody{Code: f.status, Message: f.message, Status: f.state}
	if f.code != "" {
		body.Details = append(body.Details, detail{Type: typeFcmError, ErrorCode: f.code})
	}
	if f.violated {
		body.Details = append(body.Details, detail{
			Type: typeBadRequest, FieldViolations: []fieldViolation{{Field: f.field, Description: f.message}},
		})
	}
	if f.quota != "" {
		body.Details = append(body.Details, detail{Type: typeQuota, Violations: []quotaViolation{{Subject: f.quota, Description: f.message}}})
	}
	shapeJSON(reply, f.status, map[string]errorBody{"error": body})
}

// shapeJSON makes the reply a JSON object of strings, numbers and the like.
func shapeJSON(reply *wire.Reply, status int, v any) {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("fcmtest: an answer did not marshal: " + err.Error())
	}
	reply.Status, reply.Body = status, append(encoded, '\n')
	reply.Header = append(reply.Header, jsonType)
}

var jsonType = hpack.HeaderField{Name: "content-type", Value: "application/json; charset=UTF-8"}

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
	f := &failure{
		status: http.StatusBadRequest, state: stateOf(http.StatusBadRequest),
		message: v.problem, field: v.field, violated: true,
	}
	if v.meaning {
		f.code = codeInvalidArgument
	}
	return f
}

// scripted shapes an answer as FCM would: a reason is an FcmError unless it is one of Google's general words, which
// come without one.
func scripted(status int, reason string) *failure {
	f := &failure{status: status, state: stateOf(status), code: reason, message: "scripted"}
	switch {
	case reason == InvalidToken:
		f = invalidToken()
		f.status = status
	case reason == codeQuotaExceeded:
		f.quota = "scripted"
	case reason != codeInvalidArgument && reason == f.state && reason != "UNAVAILABLE" && reason != "INTERNAL":
		f.code = ""
	}
	return f
}

// faulty shapes an answer by a fault.
func faulty(f *faults.Fault, now time.Time) *failure {
	found := scripted(f.Status, f.Reason)
	found.retryAfter = provider.RetryAfter(time.Duration(f.RetryAfter), f.RetryAs == "date", now)
	found.content, found.contentType = f.Body, f.ContentType
	if f.Omits("body") {
		found.content = new("")
	}
	return found
}

// exceeded is the answer to what is above a quota or a rate.
func exceeded(whose, what string, wait time.Duration, now time.Time) *failure {
	return &failure{
		status: http.StatusTooManyRequests, state: stateOf(http.StatusTooManyRequests), code: codeQuotaExceeded,
		message: what, quota: whose, retryAfter: provider.RetryAfter(wait, false, now),
	}
}
