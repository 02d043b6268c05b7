package apns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sideshow/apns2"
	"golang.org/x/net/http2"

	"github.com/pushfleet/pushfleet/pkg/h2"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// answer is what came of one request.
type answer struct {
	status     int           // 0 = none came
	reason     string        // Apple's word; "" = none, or nothing that looks like one
	since      time.Time     // with 410: when the token was known to be dead; zero = not said
	retryAfter time.Duration // 0 = not said
	ahead      time.Duration // how far the server's clock is before ours, of an error; 0 = not said
	err        error         // where status is 0
	sent       bool          // the payload may have left
}

// Reasons that apns2 does not name.
const (
	reasonUnrelatedKeyID = "UnrelatedKeyIdInToken"
)

// maxAhead is how far clocks may differ before a provider token is called expired because of it.
const maxAhead = time.Minute

// classify says what an answer means, over status, reason and error, and nothing else. A reason that is not listed
// counts by its status.
func classify(a answer) push.Outcome {
	if a.status == 0 {
		return classifyError(a)
	}
	o := push.Outcome{Answer: a.text(), RetryAfter: a.retryAfter}
	set := func(d push.Disposition, r push.Reason, s push.Scope) push.Outcome {
		o.Disposition, o.Reason, o.Scope = d, r, s
		return o
	}
	switch a.status {
	case http.StatusOK:
		return set(push.Delivered, "", push.ScopeDevice)
	case http.StatusBadRequest:
		switch a.reason {
		case apns2.ReasonIdleTimeout:
			return set(push.Retry, push.ReasonNetwork, push.ScopeDevice)
		case apns2.ReasonBadDeviceToken:
			return set(push.DropToken, push.ReasonBadToken, push.ScopeDevice)
		case apns2.ReasonDeviceTokenNotForTopic:
			return set(push.DropToken, push.ReasonWrongTopic, push.ScopeDevice)
		}
		return set(push.Dead, push.ReasonPayloadRejected, push.ScopeDevice)
	case http.StatusForbidden:
		if a.reason == apns2.ReasonExpiredProviderToken && a.ahead.Abs() > maxAhead {
			o.Err = fmt.Errorf("apns: this machine's clock differs from Apple's by %s", a.ahead.Round(time.Second))
		}
		return set(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
	case http.StatusGone:
		o.InvalidSince = a.since
		return set(push.DropToken, push.ReasonUnregistered, push.ScopeDevice)
	case http.StatusRequestEntityTooLarge:
		return set(push.Dead, push.ReasonTooLarge, push.ScopeDevice)
	case http.StatusTooManyRequests:
		if a.reason == apns2.ReasonTooManyProviderTokenUpdates {
			return set(push.Park, push.ReasonCredentialRefused, push.ScopeCredential)
		}
		return set(push.Retry, push.ReasonDeviceThrottled, push.ScopeDevice)
	}
	if a.status >= 400 && a.status < 500 {
		return set(push.Dead, push.ReasonPayloadRejected, push.ScopeDevice)
	}
	return set(push.Retry, push.ReasonProviderUnavailable, push.ScopeProvider)
}

func classifyError(a answer) push.Outcome {
	o := push.Outcome{Disposition: push.Retry, Ambiguous: a.sent, Err: a.err, Scope: push.ScopeProvider}
	switch {
	case errors.Is(a.err, context.DeadlineExceeded):
		o.Reason = push.ReasonTimeout
	case errors.Is(a.err, context.Canceled), errors.Is(a.err, errClosed): // the fleet's own doing
		o.Reason, o.Scope = push.ReasonTimeout, push.ScopeDevice
	case errors.Is(a.err, errSign), errors.Is(a.err, errCertificate), refusesCertificate(a.err):
		o.Disposition, o.Reason, o.Scope, o.Ambiguous = push.Park, push.ReasonCredentialRefused, push.ScopeCredential, false
	case a.unprocessed():
		o.Reason, o.Scope, o.Ambiguous = push.ReasonNetwork, push.ScopeDevice, false
	case a.sent:
		o.Reason = push.ReasonAmbiguous
	default:
		o.Reason = push.ReasonNetwork
	}
	return o
}

// unprocessed says whether the server has told that it will not look at the request: a stream refused, or above the
// last one that a connection's end takes in.
func (a answer) unprocessed() bool {
	var stream http2.StreamError
	if errors.As(a.err, &stream) { // net/http's own type fills it
		return stream.Code == http2.ErrCodeRefusedStream
	}
	var end h2.GoAwayError
	if errors.As(a.err, &end) {
		return errors.Is(a.err, h2.ErrNotProcessed)
	}
	// net/http keeps this error to itself. Should its text change, the outcome is ambiguous, which is safe.
	return a.err != nil && strings.Contains(a.err.Error(), "graceful shutdown GOAWAY")
}

// aboutStream says whether an error ends one request only, and not its connection.
func aboutStream(err error) bool {
	var stream http2.StreamError
	return errors.As(err, &stream)
}

// ended says whether the caller or the driver ended the request.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, errClosed)
}

// text is the answer as "410 Unregistered".
func (a answer) text() string {
	switch {
	case a.reason != "":
		return strconv.Itoa(a.status) + " " + a.reason
	case a.status == http.StatusOK: // what nearly every push gets is made once
		return "200"
	}
	return strconv.Itoa(a.status)
}
