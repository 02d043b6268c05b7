package fcm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const fcmError = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"%"}`

// refusal is an answer's body in FCM's shape.
func refusal(state, message string, details ...string) string {
	return `{"error":{"code":1,"message":"` + message + `","status":"` + state + `","details":[` + strings.Join(details, ",") + `]}}`
}

func errorInfo(cause string) string {
	return `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + cause + `","domain":"googleapis.com"}`
}

func withCode(state, code string) string {
	return refusal(state, "m", strings.ReplaceAll(fcmError, "%", code))
}

func TestClassifyAnswers(t *testing.T) {
	t.Parallel()
	badRequest := `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"%","description":"secret text"}]}`
	quota := `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":"%","description":"exceeded"}]}`
	badField := func(field string) string { return strings.ReplaceAll(badRequest, "%", field) }
	invalid := strings.ReplaceAll(fcmError, "%", "INVALID_ARGUMENT")
	device, account, provider := push.ScopeDevice, push.ScopeCredential, push.ScopeProvider
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   push.Outcome
	}{
		{"accepted", 200, `{"name":"projects/p/messages/1"}`, push.Outcome{Disposition: push.Delivered, Answer: "200"}},

		{"400 about the message", 400, withCode("INVALID_ARGUMENT", "INVALID_ARGUMENT"), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT", Scope: device}},
		{"400 about a field", 400, refusal("INVALID_ARGUMENT", "m", badField("message.android.ttl")), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT", Scope: device, Err: errors.New("FCM refuses the field message.android.ttl")}},
		{"400 about the token, in words", 400, refusal("INVALID_ARGUMENT", "The registration token is not a valid FCM registration token", invalid), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Answer: "400 INVALID_ARGUMENT", Scope: device}},
		{"400 about the token, as a field", 400, refusal("INVALID_ARGUMENT", "m", invalid, badField("message.token")), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Answer: "400 INVALID_ARGUMENT", Scope: device, Err: errors.New("FCM refuses the field message.token")}},
		{"400 about two targets names tokens, but not this one", 400, refusal("INVALID_ARGUMENT", "Both a registration token and a topic are set", invalid), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT", Scope: device}},
		{"400 about the size", 400, refusal("INVALID_ARGUMENT", "Android message is too big", invalid), push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge, Answer: "400 INVALID_ARGUMENT", Scope: device}},
		{"400 in words alone is not FCM's word on the token", 400, refusal("INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT", Scope: device}},
		{"400 of the precondition", 400, refusal("FAILED_PRECONDITION", "m"), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 FAILED_PRECONDITION", Scope: device}},
		{"400 that is not FCM's", 400, `<html>`, push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400", Scope: device}},

		{"401", 401, refusal("UNAUTHENTICATED", "m"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "401 UNAUTHENTICATED", Scope: account}},
		{"401 of another service behind FCM stops no other device", 401, withCode("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "401 THIRD_PARTY_AUTH_ERROR", Scope: device, Err: errors.New("the project lacks a valid APNs key, or Web Push key, for this device")}},
		{"403 of another sender", 403, withCode("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonSenderMismatch, Answer: "403 SENDER_ID_MISMATCH", Scope: device}},
		{"403 of the account", 403, refusal("PERMISSION_DENIED", "m"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "403 PERMISSION_DENIED", Scope: account}},
		{"404 of the token", 404, withCode("NOT_FOUND", "UNREGISTERED"), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "404 UNREGISTERED", Scope: device}},
		{"403 of a service that is off", 403, refusal("PERMISSION_DENIED", "m", errorInfo("SERVICE_DISABLED")), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "403 PERMISSION_DENIED", Scope: account, Err: errors.New("FCM says SERVICE_DISABLED")}},
		{"403 of a proxy", 403, `<html>`, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "403", Scope: account}},
		{"404 in the general word alone", 404, refusal("UNREGISTERED", "NotRegistered"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "404 UNREGISTERED", Scope: account}},
		{"404 with a code of no meaning", 404, withCode("NOT_FOUND", "UNSPECIFIED_ERROR"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "404 UNSPECIFIED_ERROR", Scope: account}},
		{"404 that broke off", 404, withCode("NOT_FOUND", "UNREGISTERED")[:120], push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "404", Scope: account}},
		{"404 of the token, in an array", 404, "[" + withCode("NOT_FOUND", "UNREGISTERED") + "]\n", push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "404 UNREGISTERED", Scope: device}},
		{"404 of the token, among details of other shapes", 404, refusal("NOT_FOUND", "m", `"text"`, `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":{"field":7}}`, strings.ReplaceAll(fcmError, "%", "UNREGISTERED")), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "404 UNREGISTERED", Scope: device}},
		{"a code under another status", 400, withCode("INVALID_ARGUMENT", "UNREGISTERED"), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonUnregistered, Answer: "400 UNREGISTERED", Scope: device}},
		{"a mismatch under another status", 400, withCode("INVALID_ARGUMENT", "SENDER_ID_MISMATCH"), push.Outcome{Disposition: push.DropToken, Reason: push.ReasonSenderMismatch, Answer: "400 SENDER_ID_MISMATCH", Scope: device}},
		{"an outage under another status", 400, withCode("INVALID_ARGUMENT", "UNAVAILABLE"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "400 UNAVAILABLE", Scope: provider}},
		{"a server's error tells nothing of the token", 500, withCode("INTERNAL", "UNREGISTERED"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "500 UNREGISTERED", Scope: provider}},
		{"404 of the project", 404, refusal("NOT_FOUND", "m"), push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "404 NOT_FOUND", Scope: account}},
		{"404 of a proxy", 404, `not found`, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Answer: "404", Scope: account}},
		{"413", 413, ``, push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge, Answer: "413", Scope: device}},

		{"429 of the project", 429, withCode("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Answer: "429 QUOTA_EXCEEDED", Scope: account, RetryAfter: time.Minute}},
		{"429 of the device", 429, refusal("RESOURCE_EXHAUSTED", "m", strings.ReplaceAll(quota, "%", "device:x")), push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, Answer: "429 RESOURCE_EXHAUSTED", Scope: device, RetryAfter: time.Minute}},
		{"429 of a project with a device in its name", 429, refusal("RESOURCE_EXHAUSTED", "m", strings.ReplaceAll(quota, "%", "project:device-club")), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Answer: "429 RESOURCE_EXHAUSTED", Scope: account, RetryAfter: time.Minute}},
		{"429 of the device, in words", 429, refusal("RESOURCE_EXHAUSTED", "m", strings.ReplaceAll(fcmError, "%", "QUOTA_EXCEEDED"), strings.ReplaceAll(strings.ReplaceAll(quota, "%", "project:1"), "exceeded", "Device message rate exceeded.")), push.Outcome{Disposition: push.Retry, Reason: push.ReasonDeviceThrottled, Answer: "429 QUOTA_EXCEEDED", Scope: device, RetryAfter: time.Minute}},
		{"429 of Google's own quota, without FCM's word", 429, refusal("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Send requests'", errorInfo("RATE_LIMIT_EXCEEDED")), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Answer: "429 RESOURCE_EXHAUSTED", Scope: account, RetryAfter: time.Minute, Err: errors.New("FCM says RATE_LIMIT_EXCEEDED")}},
		{"429 with a wish in its details", 429, refusal("RESOURCE_EXHAUSTED", "m", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"26.5s"}`), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Answer: "429 RESOURCE_EXHAUSTED", Scope: account, RetryAfter: 26500 * time.Millisecond}},
		{"429 of a proxy", 429, `slow down`, push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderThrottled, Answer: "429", Scope: account, RetryAfter: time.Minute}},
		{"504 may have come through", 504, refusal("DEADLINE_EXCEEDED", "m"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "504 DEADLINE_EXCEEDED", Scope: provider, Ambiguous: true}},
		{"500", 500, withCode("INTERNAL", "INTERNAL"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "500 INTERNAL", Scope: provider}},
		{"502 of a proxy", 502, `<html>`, push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "502", Scope: provider}},
		{"503", 503, withCode("UNAVAILABLE", "UNAVAILABLE"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "503 UNAVAILABLE", Scope: provider}},
		{"a redirect", 302, ``, push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "302", Scope: provider}},
		{"a status without a meaning of its own", 418, ``, push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "418", Scope: provider}},
		{"words that are none stay out", 503, withCode("secret text", "secret text"), push.Outcome{Disposition: push.Retry, Reason: push.ReasonProviderUnavailable, Answer: "503", Scope: provider}},
		{"so do fields with content", 400, refusal("INVALID_ARGUMENT", "m", badField("secret text")), push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected, Answer: "400 INVALID_ARGUMENT", Scope: device}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := classify(readAnswer(c.status, http.Header{}, []byte(c.body), time.Now()))
			if diff := cmp.Diff(c.want, got, errorText); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClassifyFailures(t *testing.T) {
	t.Parallel()
	refused := &tokenError{refused: true, answer: "400 invalid_grant", err: errors.New("refused")}
	down := &tokenError{answer: "503", err: errors.New("refused")}
	lost := errors.New("connection lost")
	for _, c := range []struct {
		name string
		from result
		want push.Outcome
	}{
		{"no connection", result{err: lost}, push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeProvider}},
		{"connection lost after the message left", result{err: lost, sent: true}, push.Outcome{Reason: push.ReasonAmbiguous, Ambiguous: true, Scope: push.ScopeProvider}},
		{"out of time before", result{err: context.DeadlineExceeded}, push.Outcome{Reason: push.ReasonTimeout, Scope: push.ScopeProvider}},
		{"out of time after the message left", result{err: context.DeadlineExceeded, sent: true}, push.Outcome{Reason: push.ReasonTimeout, Ambiguous: true, Scope: push.ScopeProvider}},
		{"stopped before", result{err: context.Canceled}, push.Outcome{Reason: push.ReasonTimeout}},
		{"stopped after the message left", result{err: context.Canceled, sent: true}, push.Outcome{Reason: push.ReasonAmbiguous, Ambiguous: true}},
		{"a 200 that is not FCM's", result{status: 200, err: errNotFCM, sent: true}, push.Outcome{Reason: push.ReasonAmbiguous, Ambiguous: true, Scope: push.ScopeProvider, Answer: "200"}},
		{"no room in the project's quota", result{err: errQuota}, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialShare}},
		{"no access token: refused", result{err: refused}, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential, Answer: "400 invalid_grant"}},
		{"no access token: unavailable", result{err: down}, push.Outcome{Reason: push.ReasonProviderUnavailable, Scope: push.ScopeCredential, Answer: "503"}},
		{"the SDK refuses", result{err: errUnsendable}, push.Outcome{Disposition: push.Dead, Reason: push.ReasonPayloadRejected}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.Err = c.from.err
			if diff := cmp.Diff(c.want, classify(c.from), errorText); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"99999999999999":                24 * time.Hour,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Sun, 01 Mar 2099 11:00:00 GMT": 24 * time.Hour,
		"soon":                          0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
	header := http.Header{"Retry-After": {"7"}}
	for _, status := range []int{429, 500, 503} {
		if got := classify(readAnswer(status, header, nil, now)).RetryAfter; got != 7*time.Second {
			t.Errorf("%d: got %s, want 7s", status, got)
		}
	}
}

// errorText compares errors by what they say.
var errorText = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b error) bool {
		if a == nil || b == nil {
			return a == b
		}
		return a.Error() == b.Error()
	}),
}
