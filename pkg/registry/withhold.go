package registry

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// recallReads are the looks at the recalls of the messages of one batch: one per message key, however many notifications
// it has.
type recallReads struct {
	calls []*redis.StringCmd
	at    []int // by request: its call; -1 = a recall does not concern it
}

// recallReads are the calls that say which of the requests' messages are recalled.
func (r *Registry) recallReads(ctx context.Context, requests []AdmitRequest) recallReads {
	type message struct{ app, key string }
	reads := recallReads{at: make([]int, len(requests))}
	known := make(map[message]int)
	for i := range requests {
		q := &requests[i]
		reads.at[i] = -1
		shows := q.Purpose == push.PurposeFirst || q.Purpose == push.PurposeFallback
		if !shows || q.Message.Key == "" {
			continue
		}
		m := message{q.Message.App, q.Message.Key}
		at, ok := known[m]
		if !ok {
			at = len(reads.calls)
			known[m] = at
			reads.calls = append(reads.calls, recallsCall(ctx, &q.Message))
		}
		reads.at[i] = at
	}
	return reads
}

// withhold turns the admissions of recalled messages into refusals. The scripts could not know: a message's recall is
// not in its recipient's slot. It takes the messages out of the devices' numbers, if [Registry.Shown] has not yet, and then
// settles what the scripts leased, so that a repeat is Done.
func (r *Registry) withhold(ctx context.Context, requests []AdmitRequest, admissions []Admission, reads recallReads, answers []string) error {
	var marks []Mark
	var counts []*redis.StringCmd
	for i := range requests {
		q := &requests[i]
		if admissions[i].Verdict != Go || reads.at[i] < 0 || !q.Message.recalledIn(answers[reads.at[i]]) {
			continue
		}
		admissions[i] = Admission{Verdict: Filtered, Reason: push.ReasonRecalled, Badge: push.NoBadge}
		tag := userTag(q.App, q.User)
		counts = append(counts, r.scripts.uncount.call(ctx, []string{userKey(tag), badgePrefix(tag) + q.Device}, q.Device, digest(q.MsgKey)))
		marks = append(marks, Mark{
			App: q.App, User: q.User, ID: q.ID, Owner: q.Owner, Attempt: q.Attempt, Redrive: q.Redrive,
			State: MarkDone, Reason: push.ReasonRecalled,
		})
	}
	if len(marks) == 0 {
		return nil
	}
	if _, err := r.run(ctx, "uncount", counts); err != nil {
		return err
	}
	return r.Settle(ctx, marks)
}
