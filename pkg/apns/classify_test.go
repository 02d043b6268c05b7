package apns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/h2"
	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestClassifyAnswers(t *testing.T) {
	t.Parallel()
	const (
		device     = push.ScopeDevice
		credential = push.ScopeCredential
		provider   = push.ScopeProvider
	)
	for _, test := range []struct {
		status int
		reason string
		want   push.Disposition
		why    push.Reason
		scope  push.Scope
	}{
		{200, "", push.Delivered, "", device},

		{400, "BadCollapseId", push.Dead, push.ReasonPayloadRejected, device},
		{400, "BadExpirationDate", push.Dead, push.ReasonPayloadRejected, device},
		{400, "BadMessageId", push.Dead, push.ReasonPayloadRejected, device},
		{400, "BadPriority", push.Dead, push.ReasonPayloadRejected, device},
		{400, "BadTopic", push.Dead, push.ReasonPayloadRejected, device},
		{400, "DuplicateHeaders", push.Dead, push.ReasonPayloadRejected, device},
		{400, "InvalidPushType", push.Dead, push.ReasonPayloadRejected, device},
		{400, "MissingDeviceToken", push.Dead, push.ReasonPayloadRejected, device},
		{400, "MissingTopic", push.Dead, push.ReasonPayloadRejected, device},
		{400, "PayloadEmpty", push.Dead, push.ReasonPayloadRejected, device},
		{400, "TopicDisallowed", push.Dead, push.ReasonPayloadRejected, device},
		{400, "NeverHeardOf", push.Dead, push.ReasonPayloadRejected, device},
		{400, "", push.Dead, push.ReasonPayloadRejected, device},
		{400, "IdleTimeout", push.Retry, push.ReasonNetwork, device},
		{400, "BadDeviceToken", push.DropToken, push.ReasonBadToken, device},
		{400, "DeviceTokenNotForTopic", push.DropToken, push.ReasonWrongTopic, device},

		{403, "ExpiredProviderToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "InvalidProviderToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "MissingProviderToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "BadCertificate", push.Park, push.ReasonCredentialRefused, credential},
		{403, "BadCertificateEnvironment", push.Park, push.ReasonCredentialRefused, credential},
		{403, "Forbidden", push.Park, push.ReasonCredentialRefused, credential},
		{403, "BadEnvironmentKeyIdInToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "BadEnvironmentKeyInToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "UnrelatedKeyIdInToken", push.Park, push.ReasonCredentialRefused, credential},
		{403, "NeverHeardOf", push.Park, push.ReasonCredentialRefused, credential},

		{404, "BadPath", push.Dead, push.ReasonPayloadRejected, device},
		{405, "MethodNotAllowed", push.Dead, push.ReasonPayloadRejected, device},
		{410, "Unregistered", push.DropToken, push.ReasonUnregistered, device},
		{410, "ExpiredToken", push.DropToken, push.ReasonUnregistered, device},
		{410, "", push.DropToken, push.ReasonUnregistered, device},
		{413, "PayloadTooLarge", push.Dead, push.ReasonTooLarge, device},
		{418, "", push.Dead, push.ReasonPayloadRejected, device},
		{429, "TooManyRequests", push.Retry, push.ReasonDeviceThrottled, device},
		{429, "", push.Retry, push.ReasonDeviceThrottled, device},
		{429, "TooManyProviderTokenUpdates", push.Park, push.ReasonCredentialRefused, credential},

		{500, "InternalServerError", push.Retry, push.ReasonProviderUnavailable, provider},
		{503, "ServiceUnavailable", push.Retry, push.ReasonProviderUnavailable, provider},
		{503, "Shutdown", push.Retry, push.ReasonProviderUnavailable, provider},
		{502, "", push.Retry, push.ReasonProviderUnavailable, provider},
		{302, "", push.Retry, push.ReasonProviderUnavailable, provider},
		{204, "", push.Retry, push.ReasonProviderUnavailable, provider},
	} {
		since := time.UnixMilli(1789999999123)
		got := classify(answer{status: test.status, reason: test.reason, since: since, retryAfter: 3 * time.Second, sent: true})
		want := push.Outcome{Disposition: test.want, Reason: test.why, Scope: test.scope, RetryAfter: 3 * time.Second}
		want.Answer = fmt.Sprint(test.status)
		if test.reason != "" {
			want.Answer += " " + test.reason
		}
		if test.status == 410 {
			want.InvalidSince = since
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d %s (-want +got):\n%s", test.status, test.reason, diff)
		}
	}
}

func TestClassifyErrors(t *testing.T) {
	t.Parallel()
	refused := http2.StreamError{StreamID: 7, Code: http2.ErrCodeRefusedStream}
	reset := http2.StreamError{StreamID: 7, Code: http2.ErrCodeInternal}
	for name, test := range map[string]struct {
		err  error
		sent bool
		want push.Outcome
	}{
		"no connection": {io.EOF, false, push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeProvider}},
		"connection lost after the payload left": {
			io.ErrUnexpectedEOF, true, push.Outcome{Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true},
		},
		"stream reset":   {reset, true, push.Outcome{Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true}},
		"stream refused": {refused, true, push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeDevice}},
		"above the last stream of a connection that ends": {
			errors.New("http2: Transport received Server's graceful shutdown GOAWAY"), true,
			push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeDevice},
		},
		"below it": {
			h2.GoAwayError{LastStreamID: 9}, true,
			push.Outcome{Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true},
		},
		"deadline while waiting for a stream": {
			context.DeadlineExceeded, false, push.Outcome{Reason: push.ReasonTimeout, Scope: push.ScopeProvider},
		},
		"deadline after the payload left": {
			context.DeadlineExceeded, true,
			push.Outcome{Reason: push.ReasonTimeout, Scope: push.ScopeProvider, Ambiguous: true},
		},
		"the caller's end": {context.Canceled, true, push.Outcome{Reason: push.ReasonTimeout, Ambiguous: true}},
		"the driver's end": {errClosed, false, push.Outcome{Reason: push.ReasonTimeout}},
		"certificate refused at the set-up": {
			fmt.Errorf("%w: tls", errCertificate), false,
			push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential},
		},
		"certificate refused after it": {
			&net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")}, true,
			push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential},
		},
		"another alert": {
			&net.OpError{Op: "remote error", Err: errors.New("tls: internal error")}, true,
			push.Outcome{Reason: push.ReasonAmbiguous, Scope: push.ScopeProvider, Ambiguous: true},
		},
		"no provider token":    {errors.Join(errSign, io.EOF), false, push.Outcome{Disposition: push.Park, Reason: push.ReasonCredentialRefused, Scope: push.ScopeCredential}},
		"an error in wrapping": {fmt.Errorf("wrapped: %w", refused), true, push.Outcome{Reason: push.ReasonNetwork, Scope: push.ScopeDevice}},
	} {
		got := classify(answer{err: test.err, sent: test.sent})
		if diff := cmp.Diff(test.want, got, ignoreErr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !errors.Is(got.Err, test.err) {
			t.Errorf("%s: got the error %v, want %v", name, got.Err, test.err)
		}
	}
}

func TestAnExpiredTokenTellsOfAWrongClock(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]string{
		0: "", time.Minute: "", 2 * time.Hour: "2h0m0s", -2 * time.Hour: "-2h0m0s",
	} {
		got := classify(answer{status: 403, reason: "ExpiredProviderToken", ahead: ahead}).Err
		if (got != nil) != (want != "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("a server %s ahead: got %v, want %q", ahead, got, want)
		}
	}
}
