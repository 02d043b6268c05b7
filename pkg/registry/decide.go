package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// DecideRequest asks what becomes of one message for one recipient.
type DecideRequest struct {
	App, User  string
	Origin     string // topic/partition/offset of the chat record
	Claim      Claim
	RecordTime time.Time // of the chat record: duplicates are told by it, not by when they are processed

	Type       push.Type
	Counts     bool   // each push of this message adds 1 to its device's badge
	MsgKey     string // the message key: what a receipt names
	ContentKey string // the message key with its content's checksum, which it gets under [Decision.OtherContent]

	Conversation  string // c2c:<sender> or group:<group>: the user may have a receive option for it
	Group         bool   // of a group: which default sound counts
	Mentioned     bool   // the message mentions the user, or everybody
	IgnoreOption  bool   // the sender overrides the user's receive option
	AnyForeground bool   // the app's policy: one device in the foreground silences the user's others
}

// Claim is what makes a message a duplicate of another.
type Claim struct {
	Key     string        // short stable hash of the fields that name a message, apart from its time
	Content string        // CRC32 of the content, hex; "" where any content is the same message (groups)
	MsgTime int64         // MsgTimeStamp: with other content and the same one, the message key alone is not unique
	Window  time.Duration // how far apart, in record time, two records are still one message
}

// ClaimStatus says whether a record is the first of its message.
type ClaimStatus uint8

// The claim's answers.
const (
	New       ClaimStatus = iota // decided now
	Replay                       // this very record was decided before: the same decision, with the current bindings
	Duplicate                    // another record was this message: nothing is to be done
)

func (s ClaimStatus) String() string {
	switch s {
	case New:
		return "new"
	case Replay:
		return "replay"
	case Duplicate:
		return "duplicate"
	}
	return "unknown"
}

// Decision is the answer for one recipient.
type Decision struct {
	Status       ClaimStatus
	Sound        string           // the user's default for this kind of conversation; "" = none
	OtherContent bool             // other content was seen under the same claim key and MsgTime: the message key needs its checksum
	Devices      []DeviceDecision // by device id; none for a Duplicate
}

// DeviceDecision is the answer for one device.
type DeviceDecision struct {
	Device  string
	Binding push.Binding
	Push    bool
	// Reason is why there is a push (background, killed) or none: first what the device says (foreground, logged_out,
	// no_token, inactive), then what its user says (foreground under AnyForeground, read, push_off, muted, not_mentioned,
	// quiet_hours).
	Reason push.Reason
	Badge  int // of a push: the number to show, 0 only for push.TypeBackground; push.NoBadge = leave the icon alone
}

// Decide claims each message for its recipient, decides every device and counts the badges: one script per request,
// pipelined, atomic per request. Answers stand in the order of the requests. After an error nothing is known of any
// request; the same requests again yield Replay for those that were decided. [ErrEmpty] = nothing was decided where the
// marker is missing.
//
// A message counts once in a device's badge, whatever becomes of its claim, and not at all where it is filtered, now or by
// [Registry.Admit], or where its record time is not after the device's newest unread report, which has it. What expires,
// dies or loses its token later stays counted: it is unread.
func (r *Registry) Decide(ctx context.Context, requests []DecideRequest) ([]Decision, error) {
	now, activity, lease := r.clockArgs()
	calls, users := make([]*redis.StringCmd, len(requests)), make([]string, len(requests))
	for i := range requests {
		q := &requests[i]
		tag := userTag(q.App, q.User)
		users[i] = tag
		conversation := q.Conversation
		if q.IgnoreOption {
			conversation = ""
		}
		key, contentKey := q.digests()
		read := readKey(tag, key)
		readContent := read
		if contentKey != key {
			readContent = readKey(tag, contentKey)
		}
		// A claim that died inside its own window would let a duplicate pass.
		ttl := max(r.opts.ReplayWindow, q.Claim.Window+claimMargin)
		calls[i] = r.scripts.decide.call(ctx,
			[]string{
				userKey(tag), claimKey(tag, q.Claim.Key), r.markers.of(tag), settingsKey(tag),
				read, readContent, badgePrefix(tag),
			},
			now, activity, lease, ttl.Milliseconds(), q.Origin, q.Claim.Content, q.Claim.MsgTime,
			q.Claim.Window.Milliseconds(), q.RecordTime.UnixMilli(), q.Counts, key, contentKey,
			conversation, q.Group, q.Mentioned, q.AnyForeground, string(q.Type))
	}
	answers, err := r.runRenewing(ctx, "decide", calls, users)
	if err != nil {
		return nil, err
	}
	return parseDecisions(answers)
}

// digests are those of the two keys that the message may turn out to have.
func (q *DecideRequest) digests() (key, contentKey string) {
	key = digest(q.MsgKey)
	if q.ContentKey == "" || q.ContentKey == q.MsgKey {
		return key, key
	}
	return key, digest(q.ContentKey)
}

// claimMargin lets a claim outlive its window although records of one time are not processed at one time.
const claimMargin = time.Minute

// clockArgs are the arguments that every script about presence starts with, converted once per batch.
func (r *Registry) clockArgs() (now, activity, lease any) {
	return r.opts.Now().UnixMilli(), r.opts.ActivityLimit.Milliseconds(), r.opts.ForegroundLease.Milliseconds()
}

func parseDecisions(answers []string) (decisions []Decision, err error) {
	decisions = make([]Decision, len(answers))
	for i, answer := range answers {
		if decisions[i], err = parseDecision(answer); err != nil {
			return nil, err
		}
	}
	return decisions, nil
}

// parseDecision reads "<N|R|D><0|1>", the user's sound and, per device, record separator, reason code and badge, device,
// binding.
func parseDecision(answer string) (Decision, error) {
	malformed := func() (Decision, error) {
		return Decision{}, fmt.Errorf("registry: decide: an answer of %d bytes: %w", len(answer), ErrMalformed)
	}
	if len(answer) < 2 {
		return malformed()
	}
	var d Decision
	switch answer[0] {
	case 'N':
	case 'R':
		d.Status = Replay
	case 'D':
		d.Status = Duplicate
	default:
		return malformed()
	}
	d.OtherContent = answer[1] == '1'
	sound, rest, ok := strings.Cut(answer[2:], record)
	d.Sound = sound
	if !ok {
		return d, nil
	}
	d.Devices = make([]DeviceDecision, 0, strings.Count(rest, record)+1)
	for item := range strings.SplitSeq(rest, record) {
		head, tail, _ := strings.Cut(item, unit)
		device, packed, _ := strings.Cut(tail, unit)
		binding, ok := parseBinding(packed)
		if head == "" || !ok {
			return malformed()
		}
		reason := reasonOf(head[:1])
		one := DeviceDecision{Device: device, Binding: binding, Reason: reason, Badge: parseBadge(head[1:])}
		one.Push = reason == push.ReasonBackground || reason == push.ReasonKilled
		d.Devices = append(d.Devices, one)
	}
	slices.SortFunc(d.Devices, func(a, b DeviceDecision) int { return strings.Compare(a.Device, b.Device) })
	return d, nil
}

func parseBadge(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return push.NoBadge
	}
	return n
}

// reasonOf reads a script's one-letter reason; anything longer is a reason already.
func reasonOf(code string) push.Reason {
	switch code {
	case "f":
		return push.ReasonForeground
	case "b":
		return push.ReasonBackground
	case "k":
		return push.ReasonKilled
	case "o":
		return push.ReasonLoggedOut
	case "n":
		return push.ReasonNoToken
	case "i":
		return push.ReasonInactive
	case "s":
		return push.ReasonSuperseded
	case "r":
		return push.ReasonRead
	case "c":
		return push.ReasonRecalled
	case "p":
		return push.ReasonPushOff
	case "m":
		return push.ReasonMuted
	case "t":
		return push.ReasonNotMentioned
	case "q":
		return push.ReasonQuietHours
	}
	return push.Reason(code)
}
