package route

import (
	"context"
	"slices"
	"strconv"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// A group up to these sizes is decided together with the messages around it; a bigger one goes through push.fanout. The
// second bound is on the round trips to Redis: a group that shrank keeps its buckets.
const (
	smallMembers = 500
	smallBuckets = 16
)

// A message to a big group is divided into records of about partMembers members, which spread over the partitions and
// replicas; all records of one message together take at most about partBytes of the log, however large it is.
const (
	partMembers = 1000
	partBytes   = 16 << 20
)

// address finds out where the recipients of messages are, and returns, in order, those that have few enough to be decided
// right away. A message to many is handed to push.fanout and ends here, as does one to a group that nobody knows. Where
// memberships are behind, messages to whole groups are handed over without being looked at.
func (r *Route) address(ctx context.Context, jobs []*job, behind bool) []*job {
	var refs []registry.GroupRef
	for _, j := range jobs {
		if j.toGroup() && !behind {
			refs = append(refs, registry.GroupRef{App: j.msg.App, Group: j.msg.Group})
		}
	}
	sizes := ask(ctx, r, refs, r.reg.Groups)
	left := jobs[:0]
	for _, j := range jobs {
		n := len(j.msg.Recipients)
		size := registry.GroupSize{Members: n, Buckets: max(1, (n+smallMembers-1)/smallMembers)}
		switch {
		case j.toGroup() && behind:
			r.handOver(ctx, j, part{})
			j.pending.Done(nil)
			continue
		case j.toGroup() && sizes[0].err != nil:
			r.giveUp(ctx, j, sizes[0].err)
			j.pending.Done(nil)
			sizes = sizes[1:]
			continue
		case j.toGroup():
			size, sizes = sizes[0].answer, sizes[1:]
		}
		if r.deal(ctx, j, size) {
			left = append(left, j)
			continue
		}
		j.pending.Done(nil)
	}
	return left
}

// deal says whether the recipients of a message are few enough to be decided right away; else it divides the message, or
// ends it where nobody knows its group.
func (r *Route) deal(ctx context.Context, j *job, size registry.GroupSize) bool {
	switch {
	case size.Buckets == 0:
		if j.purpose == push.PurposeFirst {
			r.bury(ctx, j.source, j.pending, j.msg, &message.Invalid{Reason: push.ReasonInvalidMessage, Field: "To_Account",
				Problem: "is absent, and no membership of this group is known"})
		}
		return false
	case size.Members <= smallMembers && size.Buckets <= smallBuckets:
		j.part = part{0, size.Buckets - 1, size.Buckets}
		return true
	}
	for _, p := range divide(size, len(j.rec.Value)) {
		r.handOver(ctx, j, p)
	}
	return false
}

// toGroup says whether the message goes to all members of its group.
func (j *job) toGroup() bool { return j.msg.Group != "" && j.msg.Recipients == nil }

// handOver writes one part of a message, or a message that is not divided yet, to push.fanout.
func (r *Route) handOver(ctx context.Context, j *job, p part) {
	to := j.msg.Group
	if to == "" {
		to = j.msg.From
	}
	record := &stream.Fanout{Chat: j.rec, First: p.first, Last: p.last, Buckets: p.of, Purpose: j.purpose}
	r.pub.Publish(ctx, stream.Message{Topic: r.cfg.Topics.Fanout(), Partition: stream.ByKey,
		Key: stream.MemberKey(j.msg.App, to, strconv.Itoa(p.first)), Value: stream.EncodeFanout(record)}, j.pending.Add())
}

// gather takes the recipients of a job's part into a chunk, bucket by bucket.
func (r *Route) gather(ctx context.Context, c *chunk, j *job) {
	for bucket := j.part.first; bucket <= j.part.last; bucket++ {
		users, err := r.bucket(ctx, j, bucket)
		if err != nil {
			r.giveUp(ctx, j, err)
			return
		}
		for _, user := range users {
			c.add(ctx, j, user)
		}
	}
}

// bucket lists the recipients in one bucket: of a group, who was in it at the message's time, the sender left out.
func (r *Route) bucket(ctx context.Context, j *job, bucket int) ([]string, error) {
	if !j.toGroup() {
		n := len(j.msg.Recipients)
		return j.msg.Recipients[bucket*n/j.part.of : (bucket+1)*n/j.part.of], nil
	}
	replies := ask(ctx, r, []int{bucket}, func(ctx context.Context, asked []int) ([][]string, error) {
		users, err := r.reg.Members(ctx, j.msg.App, j.msg.Group, asked[0], j.part.of, j.msg.Time)
		return [][]string{users}, err
	})
	isSender := func(user string) bool { return user == j.msg.From }
	return slices.DeleteFunc(replies[0].answer, isSender), replies[0].err
}

// part is a range of buckets, first and last inclusive, of so many.
type part struct{ first, last, of int }

// divide cuts the buckets of a group into ranges, one a record, for a message of so many bytes.
func divide(size registry.GroupSize, bytes int) []part {
	n := (size.Members + partMembers - 1) / partMembers
	n = max(1, min(n, partBytes/max(bytes, 1), size.Buckets))
	parts := make([]part, n)
	for i := range parts {
		parts[i] = part{i * size.Buckets / n, (i+1)*size.Buckets/n - 1, size.Buckets}
	}
	return parts
}
