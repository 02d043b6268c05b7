package callback

import "github.com/pushfleet/pushfleet/pkg/push"

// other is the code of a reason that has none of its own.
const other = 9999

// Codes are the numbers of ErrCode by reason. A number never changes its meaning, and new reasons get new numbers.
func Codes() map[push.Reason]int {
	return map[push.Reason]int{
		push.ReasonForeground: 1001, push.ReasonLoggedOut: 1002, push.ReasonInactive: 1003, push.ReasonNoToken: 1004,
		push.ReasonPushOff: 1005, push.ReasonPushFlag: 1006, push.ReasonOnlineOnly: 1007, push.ReasonNoText: 1008,
		push.ReasonMuted: 1009, push.ReasonNotMentioned: 1010, push.ReasonQuietHours: 1011, push.ReasonExpired: 1012,
		push.ReasonDuplicate: 1013, push.ReasonRead: 1014, push.ReasonRecalled: 1015, push.ReasonStale: 1016,

		push.ReasonUnregistered: 2001, push.ReasonBadToken: 2002, push.ReasonWrongTopic: 2003, push.ReasonSenderMismatch: 2004,

		push.ReasonInvalidMessage: 3001, push.ReasonTooManyRecipients: 3002, push.ReasonTooLarge: 3003,
		push.ReasonPayloadRejected: 3004, push.ReasonUnknownApp: 3005, push.ReasonUnknownCredential: 3006,
		push.ReasonAttemptsExhausted: 3007,
	}
}

func codeOf(r push.Reason) int {
	if code, ok := Codes()[r]; ok {
		return code
	}
	return other
}
