package push

import "time"

// Disposition says what becomes of a notification after an attempt.
type Disposition uint8

// The dispositions. Retry is the zero value: a forgotten case loses nothing.
const (
	Retry     Disposition = iota // again later, one attempt charged
	Delivered                    // the provider accepted it
	Park                         // its credential cannot send now; no attempt charged
	DropToken                    // the token is dead: forget this version of the binding
	Dead                         // it can never be sent
	Filter                       // it must not be sent any more
)

func (d Disposition) String() string {
	switch d {
	case Retry:
		return "retry"
	case Delivered:
		return "delivered"
	case Park:
		return "park"
	case DropToken:
		return "drop_token"
	case Dead:
		return "dead"
	case Filter:
		return "filter"
	}
	return "unknown"
}

// Scope says what an answer is about, and so what has to wait.
type Scope uint8

// The scopes.
const (
	ScopeDevice Scope = iota
	ScopeCredential
	ScopeProvider
)

func (s Scope) String() string {
	switch s {
	case ScopeDevice:
		return "device"
	case ScopeCredential:
		return "credential"
	case ScopeProvider:
		return "provider"
	}
	return "unknown"
}

// Reason is one word of a closed list: a metric label, a header of a dead letter, a line of the timeline. Free text
// never becomes a Reason; it belongs in [Outcome.Answer] or [Outcome.Err].
type Reason string

// Why a device gets a push.
const (
	ReasonBackground Reason = "background"
	ReasonKilled     Reason = "killed"
)

// Why a device gets none.
const (
	ReasonForeground   Reason = "foreground"
	ReasonLoggedOut    Reason = "logged_out"
	ReasonInactive     Reason = "inactive"
	ReasonNoToken      Reason = "no_token"
	ReasonPushOff      Reason = "push_off"
	ReasonPushFlag     Reason = "push_flag"
	ReasonOnlineOnly   Reason = "online_only"
	ReasonNoText       Reason = "no_text"
	ReasonMuted        Reason = "muted"
	ReasonNotMentioned Reason = "not_mentioned"
	ReasonQuietHours   Reason = "quiet_hours"
	ReasonExpired      Reason = "expired"
	ReasonDuplicate    Reason = "duplicate"
	ReasonRead         Reason = "read"
	ReasonRecalled     Reason = "recalled"
	ReasonSuperseded   Reason = "superseded"
	ReasonStale        Reason = "stale"
)

// Why an attempt is repeated.
const (
	ReasonProviderUnavailable Reason = "provider_unavailable"
	ReasonProviderThrottled   Reason = "provider_throttled"
	ReasonDeviceThrottled     Reason = "device_throttled"
	ReasonNetwork             Reason = "network"
	ReasonTimeout             Reason = "timeout"
	ReasonAmbiguous           Reason = "ambiguous"
	ReasonLeased              Reason = "leased"
)

// Why a notification is parked.
const (
	ReasonCredentialRefused Reason = "credential_refused"
	ReasonCredentialShare   Reason = "credential_share"
	ReasonPaused            Reason = "paused" // by an operator
)

// Why a token is forgotten.
const (
	ReasonUnregistered   Reason = "unregistered"
	ReasonBadToken       Reason = "bad_token"
	ReasonWrongTopic     Reason = "wrong_topic"
	ReasonSenderMismatch Reason = "sender_mismatch"
)

// Why something can never be sent.
const (
	ReasonInvalidMessage    Reason = "invalid_message"
	ReasonTooManyRecipients Reason = "too_many_recipients"
	ReasonTooLarge          Reason = "too_large"
	ReasonPayloadRejected   Reason = "payload_rejected"
	ReasonUnknownApp        Reason = "unknown_app"
	ReasonUnknownCredential Reason = "unknown_credential"
	ReasonAttemptsExhausted Reason = "attempts_exhausted"
	ReasonCallbackRefused   Reason = "callback_refused" // by an app's receiver
	ReasonCallbackExpired   Reason = "callback_expired" // an app's receiver was down for too long
)

// Disposition is what a reason leads to; Delivered for "". ReasonBackground and ReasonKilled lead to a push, and so to
// no disposition: they give Delivered too.
func (r Reason) Disposition() Disposition {
	switch r {
	case "", ReasonBackground, ReasonKilled:
		return Delivered
	case ReasonProviderUnavailable, ReasonProviderThrottled, ReasonDeviceThrottled, ReasonNetwork, ReasonTimeout,
		ReasonAmbiguous, ReasonLeased:
		return Retry
	case ReasonCredentialRefused, ReasonCredentialShare, ReasonPaused:
		return Park
	case ReasonUnregistered, ReasonBadToken, ReasonWrongTopic, ReasonSenderMismatch:
		return DropToken
	case ReasonInvalidMessage, ReasonTooManyRecipients, ReasonTooLarge, ReasonPayloadRejected, ReasonUnknownApp,
		ReasonUnknownCredential, ReasonAttemptsExhausted, ReasonCallbackRefused, ReasonCallbackExpired:
		return Dead
	}
	return Filter
}

// Outcome is what became of one attempt to send one notification.
type Outcome struct {
	Disposition  Disposition
	Reason       Reason        // "" only where Disposition is Delivered
	Answer       string        // the provider's status and reason, as "410 Unregistered"; "" where none came
	RetryAfter   time.Duration // the provider's wish; 0 = none
	Scope        Scope         // what has to wait
	Ambiguous    bool          // it may have been delivered although no answer says so
	InvalidSince time.Time     // when the provider knew the token to be dead; a token bound later is spared
	Err          error         // for logs; never holds a token, a key or a message's text
}
