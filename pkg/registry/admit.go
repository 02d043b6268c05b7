package registry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// AdmitRequest asks, right before a send, whether a notification may still go.
type AdmitRequest struct {
	App, User, Device string
	ID                string        // of the notification
	Owner             string        // who sends: unique per worker and life of it
	Lease             time.Duration // how long nobody else may send it: the send time-out and a margin
	Attempt, Redrive  int           // of the record
	Platform          push.Platform // the record's
	Version           int64         // of the binding in the record
	MsgKey            string        // of the chat message, whole: what a receipt names
	Message           MessageRef    // the same for its recall; without a Key there can be none
	Purpose           string        // of the notification: a recall goes only where the first push was or may have been shown, a fallback only where it was not acknowledged
	First             string        // id of the first push, where Purpose is not push.PurposeFirst
	Type              push.Type     // a background push may show the number 0
	AnyForeground     bool          // the app's policy, as in DecideRequest
}

// Verdict is the answer to an [AdmitRequest].
type Verdict uint8

// The verdicts. Leased is the zero value: a forgotten case loses nothing.
const (
	Leased   Verdict = iota // another owner is sending it: look again after LeaseLeft
	Go                      // send it; the owner has the lease
	Moved                   // the device is on another platform now: hand it to that platform
	Done                    // it has its end already: say so again, acknowledge
	Filtered                // it must not be sent any more; marked as done, except where a newer attempt supersedes it
)

func (v Verdict) String() string {
	switch v {
	case Go:
		return "go"
	case Moved:
		return "moved"
	case Done:
		return "done"
	case Leased:
		return "leased"
	case Filtered:
		return "filtered"
	}
	return "unknown"
}

// Admission is the answer for one notification.
type Admission struct {
	Verdict   Verdict
	Reason    push.Reason   // Filtered: why. Done: what it ended with, "" = delivered
	Badge     int           // Go: the device's current number, 0 only for push.TypeBackground; push.NoBadge = leave the icon alone
	Binding   *push.Binding // Moved: the new binding. Go: the binding where it changed since the request's version
	LeaseLeft time.Duration // Leased
}

// Admit claims each notification for its owner and says whether it may be sent: one script per request, pipelined,
// atomic per request, and in the same pipeline one look at each message's recalls. Answers stand in the order of the
// requests. After an error nothing is known of any request; the same requests again get the same answers, except that a
// Filtered one is Done with the same reason. [ErrEmpty] = nothing was admitted where the marker is missing.
func (r *Registry) Admit(ctx context.Context, requests []AdmitRequest) ([]Admission, error) {
	now, activity, lease := r.clockArgs()
	markTTL := any(r.opts.MarkTTL.Milliseconds())
	calls, users := make([]*redis.StringCmd, len(requests)), make([]string, len(requests))
	for i := range requests {
		q := &requests[i]
		tag := userTag(q.App, q.User)
		users[i] = tag
		first := q.First
		if first == "" {
			first = q.ID
		}
		key := digest(q.MsgKey)
		calls[i] = r.scripts.admit.call(ctx,
			[]string{
				userKey(tag), markKey(tag, q.ID), r.markers.of(tag), settingsKey(tag), readKey(tag, key), markKey(tag, first),
				badgePrefix(tag),
			},
			now, activity, lease, r.endTTL(q.Redrive), markTTL,
			q.Device, q.Owner, q.Lease.Milliseconds(), q.Attempt, q.Redrive, string(q.Platform), q.Version,
			q.Purpose, string(q.Type), q.AnyForeground, key)
	}
	recalls := r.recallReads(ctx, requests)
	answers, err := r.runRenewing(ctx, "admit", append(calls, recalls.calls...), users)
	if err != nil {
		return nil, err
	}
	admissions := make([]Admission, len(requests))
	for i := range admissions {
		if admissions[i], err = parseAdmission(answers[i]); err != nil {
			return nil, err
		}
	}
	return admissions, r.withhold(ctx, requests, admissions, recalls, answers[len(requests):])
}

func parseAdmission(answer string) (Admission, error) {
	a := Admission{Badge: push.NoBadge}
	ok := answer != ""
	if ok {
		switch rest := answer[1:]; answer[0] {
		case 'G':
			badge, packed, changed := strings.Cut(rest, unit)
			a.Verdict, a.Badge = Go, parseBadge(badge)
			if changed {
				a.Binding, ok = parseBindingPointer(packed)
			}
		case 'M':
			a.Verdict = Moved
			a.Binding, ok = parseBindingPointer(rest)
		case 'D':
			a.Verdict, a.Reason = Done, reasonOf(rest)
		case 'L':
			var ms int64
			var err error
			ms, err = strconv.ParseInt(rest, 10, 64)
			a.Verdict, a.LeaseLeft, ok = Leased, time.Duration(ms)*time.Millisecond, err == nil
		case 'F':
			a.Verdict, a.Reason = Filtered, reasonOf(rest)
		default:
			ok = false
		}
	}
	if !ok {
		return Admission{}, fmt.Errorf("registry: admit: an answer of %d bytes: %w", len(answer), ErrMalformed)
	}
	return a, nil
}

func parseBindingPointer(packed string) (*push.Binding, bool) {
	b, ok := parseBinding(packed)
	return &b, ok
}

// MarkState is what a notification's mark says after an attempt.
type MarkState uint8

// The states to settle with. MarkReleased is the zero value: a forgotten case loses nothing.
const (
	MarkReleased MarkState = iota // it was not tried: parked, or given up by a stop; no attempt charged
	MarkRetry                     // a record with the next attempt stands in a retry topic
	MarkDone                      // it has its end: delivered, dropped or filtered
	MarkDead                      // it stands in a dead-letter topic; only a later redrive may send it
)

// Mark settles one notification after [Registry.Admit] said Go.
type Mark struct {
	App, User        string
	ID               string
	Owner            string
	Attempt, Redrive int // of the record that was admitted
	State            MarkState
	Reason           push.Reason // MarkDone, MarkDead: told again by a later Done; "" = delivered
	MayShow          bool        // no answer says that the attempt was delivered, and none that it was not
}

// endTTL is how long an end is remembered, in milliseconds. That of a redriven notification lives longer: an operator goes on
// with a redrive that was interrupted, and what it had sent back already must not go out again.
func (r *Registry) endTTL(redrive int) int64 {
	if redrive > 0 {
		return max(r.opts.MarkTTL, r.opts.ReplayWindow).Milliseconds()
	}
	return r.opts.ReplayWindow.Milliseconds()
}

// Settle writes the marks, pipelined. A mark that another owner holds or that has come further (a later redrive or
// attempt, an end, an acknowledgement) stays as it is. MarkDone alone passes another owner's lease, because the
// provider's answer is the truth whoever asks; of an older attempt it passes where the notification was delivered. That an
// attempt may have been shown stays true whatever later ones bring. Call it after everything derived from the attempt is durable.
func (r *Registry) Settle(ctx context.Context, marks []Mark) error {
	markTTL := r.opts.MarkTTL.Milliseconds()
	calls := make([]*redis.StringCmd, len(marks))
	for i := range marks {
		m := &marks[i]
		state, ttl, attempt := "d", r.endTTL(m.Redrive), m.Attempt
		switch m.State {
		case MarkDone:
		case MarkDead:
			state = "x"
		case MarkRetry:
			state, ttl, attempt = "r", markTTL, m.Attempt+1
		case MarkReleased:
			state, ttl = "r", markTTL
		default:
			return fmt.Errorf("registry: settle: unknown mark state %d", m.State)
		}
		calls[i] = r.scripts.settle.call(ctx, []string{markKey(userTag(m.App, m.User), m.ID)},
			state, m.Owner, m.Attempt, m.Redrive, attempt, string(m.Reason), ttl, m.MayShow)
	}
	_, err := r.run(ctx, "settle", calls)
	return err
}
