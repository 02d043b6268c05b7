package operate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Explanation tells an operator what a reason means and what to do about it.
type Explanation struct {
	Reason  push.Reason `json:"reason"`
	Leads   string      `json:"leads_to"` // what the reason leads to, as a push.Disposition
	Meaning string      `json:"meaning"`
	Remedy  string      `json:"remedy"`
}

// DeadReasons lists the reasons that dead letters have.
func DeadReasons() []push.Reason {
	var reasons []push.Reason
	for _, e := range Explanations() {
		if e.Reason.Disposition() == push.Dead {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// Explain explains one reason; false where the closed list has none of that name.
func Explain(reason push.Reason) (Explanation, bool) {
	all := Explanations()
	i := slices.IndexFunc(all, func(e Explanation) bool { return e.Reason == reason })
	if i < 0 {
		return Explanation{}, false
	}
	return all[i], true
}

// Explanations are those of every reason for which something was not, or not yet, pushed: first why letters are dead, then
// what an operator meets beside them and after a redrive.
func Explanations() []Explanation {
	all := slices.Concat(deadExplanations(), parkExplanations(), tokenExplanations(), retryExplanations(), filterExplanations())
	for i := range all {
		all[i].Leads = all[i].Reason.Disposition().String()
	}
	return all
}

// Markdown writes explanations as a part of a page, under a heading for what they lead to.
func Markdown(explanations []Explanation) string {
	headings := map[push.Disposition]string{push.Dead: "Why a letter is dead", push.Park: "Why a notification is parked",
		push.DropToken: "Why a token is forgotten", push.Retry: "Why an attempt is repeated", push.Filter: "Why a device gets none"}
	var b strings.Builder
	under := ""
	for _, e := range explanations {
		if heading := headings[e.Reason.Disposition()]; heading != under {
			under = heading
			fmt.Fprintf(&b, "\n## %s\n", heading)
		}
		escaped := strings.NewReplacer("<", `\<`).Replace
		fmt.Fprintf(&b, "\n**`%s`** %s\n\n*Remedy:* %s\n", e.Reason, escaped(e.Meaning), escaped(e.Remedy))
	}
	return b.String() + "\n"
}

func deadExplanations() []Explanation {
	return []Explanation{
		{
			Reason: push.ReasonInvalidMessage,
			Meaning: "A record could not be read: no JSON, a field of a wrong type or form, an id that is too long, a key that names something " +
				"else than the value. Or it could be read and not decided: a message to all members of a group that nobody knows; " +
				"a key in Redis that nobody can read (the answer then begins with registry).",
			Remedy: "The answer names the field. The producer has to be repaired, and produces the record anew; the same bytes die again. " +
				"Redrive where the bytes are good and the fleet was not: after the group's memberships were fed (with the times when the members joined), " +
				"after a damaged key was repaired or deleted, or after an upgrade that reads the record. " +
				"Recipients that were decided before a damaged key was met can get the message once more if 15 minutes have passed.",
		},
		{
			Reason:  push.ReasonTooManyRecipients,
			Meaning: "A one-to-one message names more than 500 accounts in To_Account.",
			Remedy:  "The producer has to divide it, or send it to a group. A redrive dies again: discard it.",
		},
		{
			Reason: push.ReasonTooLarge,
			Meaning: "What may not be cut is larger than the provider takes (APNs 4 KiB, calls 5 KiB; FCM 4 KiB), though the text was cut to nothing: " +
				"mostly Ext, or vendor settings. In im.messages.dead it is larger than any provider takes.",
			Remedy: "The IM service has to send less in OfflinePushInfo.Ext. A redrive dies again: discard it.",
		},
		{
			Reason: push.ReasonPayloadRejected,
			Meaning: "The provider refused the notification itself, not its token or credential: a 400 (or another 4xx) whose reason stands in the answer. " +
				"On APNs BadTopic or TopicDisallowed mean a bundle id that is not the key's; BadCollapseId, BadPriority or PayloadEmpty are this program's or a vendor field's.",
			Remedy: "Look at the answer. Redrive after the configuration (bundle_id, channels), the provider's side, or this program was repaired; " +
				"where a message's own field was refused, discard it and repair the producer.",
		},
		{
			Reason:  push.ReasonUnknownApp,
			Meaning: "The App of a message or event is not in the configuration that the role was started with.",
			Remedy:  "Add the app to the configuration, restart, and redrive. A mistyped App has to be repaired by its producer: discard it.",
		},
		{
			Reason: push.ReasonUnknownCredential,
			Meaning: "The app has no credential of that name on that platform. " +
				"In im.devices.dead it is a login that named such a credential: the device gets no push until it is known.",
			Remedy: "Add the credential (or give it the old name again), restart, and redrive: im.devices.dead first, then the notifications. " +
				"A device that logged in since under a known name goes with that one.",
		},
		{
			Reason: push.ReasonAttemptsExhausted,
			Meaning: "retry.max_attempts attempts failed, each for a cause that lies with this notification: an ambiguous answer, a time-out, a throttled device. " +
				"Outages of a provider and quotas charge no attempt, and end nothing here.",
			Remedy: "Look at the answer, and at what the provider or the network had at that time. Redrive when it is over, before the messages expire. " +
				"An ambiguous attempt may have been shown: a redrive replaces it on the screen, under the same id.",
		},
		{
			Reason:  push.ReasonCallbackRefused,
			Meaning: "In push.callbacks.dead: the app's receiver refused one event of its callbacks three times, with the status in the answer (400, 413, 415 or 422).",
			Remedy:  "The receiver has to take what docs/callbacks.md describes. Redrive when it does: the event is told again, with the id it had.",
		},
		{
			Reason: push.ReasonCallbackExpired,
			Meaning: "In push.callbacks.dead: the app's receiver could not be reached, or answered with an error, until the events of a callback were older " +
				"than callback.max_age of the app.",
			Remedy: "Repair the receiver, its address or its secret, and redrive: the events are told again, with the ids they had. Discard them where nobody wants them any more.",
		},
	}
}

func parkExplanations() []Explanation {
	return []Explanation{
		{
			Reason: push.ReasonCredentialRefused,
			Meaning: "The provider refuses the credential (an expired or revoked key, another team, a missing permission), its file cannot be used, " +
				"or so many of its tokens are rejected that its brake is on. Its notifications wait in push.<platform>.parked, and no attempt is charged.",
			Remedy: "pushctl credential list, then replace the file (docs/credentials.md). They come back by themselves when it works; pushctl resume --credential tries at once. " +
				"Where the brake is on, find out first why tokens are rejected (a wrong environment or bundle id).",
		},
		{
			Reason:  push.ReasonCredentialShare,
			Meaning: "The credential has more under way than its share of the process, or its quota is used up. Its notifications wait in push.<platform>.parked.",
			Remedy:  "Nothing: they come back when there is room. Where that happens all day, the credential needs a larger quota, or the role more replicas.",
		},
		{
			Reason:  push.ReasonPaused,
			Meaning: "An operator has stopped the app or the credential. Its notifications wait in push.<platform>.parked.",
			Remedy:  "pushctl pause --list says who, since when and why; pushctl resume lets them go on.",
		},
	}
}

func tokenExplanations() []Explanation {
	return []Explanation{
		{
			Reason:  push.ReasonUnregistered,
			Meaning: "The provider says that the token is not valid any more: the app was removed, or its token replaced. This version of the binding is forgotten.",
			Remedy:  "None: the device is pushed again when its app reports a token. On a retry, FCM has said so once and is asked again after retry.grace.",
		},
		{
			Reason:  push.ReasonBadToken,
			Meaning: "The token is none: cut, of another platform, or of APNs' other environment. This version of the binding is forgotten.",
			Remedy:  "Many at once: the credential's environment (production, development) is not that of the apps that log in. One: its app reports a wrong token.",
		},
		{
			Reason:  push.ReasonWrongTopic,
			Meaning: "The token belongs to an app with another bundle id than the credential's. This version of the binding is forgotten.",
			Remedy:  "Correct bundle_id of the credential, or the credential's name in the login. The devices are pushed again after their next login.",
		},
		{
			Reason:  push.ReasonSenderMismatch,
			Meaning: "The token was made for another Firebase project than the credential's. This version of the binding is forgotten.",
			Remedy:  "Give the app the service account of the project that its builds use. The devices are pushed again after their next login.",
		},
	}
}

func retryExplanations() []Explanation {
	return []Explanation{
		{push.ReasonProviderUnavailable, "", "The provider answered with an error of its own (5xx).", "None: no attempt is charged, and the provider's circuit opens where it lasts."},
		{push.ReasonProviderThrottled, "", "The credential's quota is used up (429).", "None; where it lasts, a higher quota at the provider, or a lower rate of the app."},
		{push.ReasonDeviceThrottled, "", "Too much was sent to one device (429).", "None: the device is left alone for a while. Where it lasts, the IM sends one user too many pushes."},
		{push.ReasonNetwork, "", "The request did not reach the provider.", "Look at the network, the proxy and DNS where it lasts; no attempt is charged."},
		{push.ReasonTimeout, "", "No answer came in time.", "None; where it lasts, look at the network and at the load of this machine."},
		{push.ReasonAmbiguous, "", "The connection was lost after the request had left: it may have been delivered.", "None: it goes again under the same id, which replaces what is shown."},
		{push.ReasonLeased, "", "Another process is sending this very notification.", "None: it looks again, and no attempt is charged."},
	}
}

func filterExplanations() []Explanation {
	return []Explanation{
		{push.ReasonForeground, "", "The app is open on the device (or, where the app's policy says so, on another of the user).", "None: the user sees the message."},
		{push.ReasonLoggedOut, "", "The user is logged out on the device, or was never logged in.", "None: a login brings pushes back, for new messages."},
		{push.ReasonInactive, "", "The device was not heard of for longer than presence.activity_limit.", "None: it is pushed again when it is heard of."},
		{push.ReasonNoToken, "", "The device has no push token now: none was reported, the provider rejected it, or its platform is none of this fleet any more.", "None: its app has to report one. A platform comes back with its configuration."},
		{push.ReasonPushOff, "", "The user has switched pushes off.", "None."},
		{push.ReasonPushFlag, "", "The message asked not to be pushed.", "None."},
		{push.ReasonOnlineOnly, "", "The message is for those who are online.", "None."},
		{push.ReasonNoText, "", "The message has nothing to show.", "None; where there should be text, look at the message with pushctl preview."},
		{push.ReasonMuted, "", "The user has muted the conversation.", "None."},
		{push.ReasonNotMentioned, "", "The user takes only mentions from the group.", "None."},
		{push.ReasonQuietHours, "", "The user wants no pushes at this time.", "None."},
		{push.ReasonExpired, "", "The message's lifetime (MsgLifeTime, at most 7 days) is over. A redrive makes it no longer.", "Redrive sooner; discard what is too old."},
		{push.ReasonDuplicate, "", "Another record of the same message was decided before.", "None."},
		{push.ReasonRead, "", "The user has read the message on another device.", "None."},
		{push.ReasonRecalled, "", "The message was taken back.", "None."},
		{push.ReasonSuperseded, "", "A newer attempt, or a newer redrive, of the same notification took its place.", "None."},
		{push.ReasonStale, "", "The record was older than kafka.max_age when route read it. What an operator sends back is never stale.", "Raise kafka.max_age where a long outage should be made up for."},
	}
}
