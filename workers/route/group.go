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

// address finds out where the recipients are of messages that name none: their groups' members. A message to a big group is
// handed to push.fanout and ends here, as does one to a group that nobody knows.
func (r *Route) address(ctx context.Context, jobs []*job) []*job {
	var refs []registry.GroupRef
	for _, j := range jobs {
		if j.toGroup() {
			refs = append(refs, registry.GroupRef{App: j.msg.App, Group: j.msg.Group})
		}
	}
	if len(refs) == 0 {
		return jobs
	}
	sizes := ask(ctx, r, refs, r.reg.Groups)
	left := jobs[:0]
	for _, j := range jobs {
		if !j.toGroup() {
			left = append(left, j)
			continue
		}
		size, err := sizes[0].answer, sizes[0].err
		sizes = sizes[1:]
		switch {
		case err != nil:
			r.giveUp(ctx, j, err)
		case size.Buckets == 0:
			r.bury(ctx, j.source, j.pending, j.msg, &message.Invalid{Reason: push.ReasonInvalidMessage, Field: "To_Account",
				Problem: "is absent, and no membership of this group is known"})
		case r.deal(ctx, j, size):
			left = append(left, j)
			continue
		}
		j.pending.Done(nil)
	}
	return left
}

// toGroup says whether the message goes to all members of its group.
func (j *job) toGroup() bool { return j.msg.Group != "" && j.msg.Recipients == nil }

// deal says whether the members of a group are few enough to be decided right away; else it hands the message to
// push.fanout.
func (r *Route) deal(ctx context.Context, j *job, size registry.GroupSize) bool {
	if size.Members <= smallMembers && size.Buckets <= smallBuckets {
		j.group = part{0, size.Buckets - 1, size.Buckets}
		return true
	}
	for _, p := range divide(size, len(j.rec.Value)) {
		record := &stream.Fanout{Chat: j.rec, First: p.first, Last: p.last, Buckets: p.of, Purpose: j.purpose}
		r.pub.Publish(ctx, stream.Message{Topic: r.cfg.Topics.Fanout(), Partition: stream.ByKey,
			Key:   stream.MemberKey(j.msg.App, j.msg.Group, strconv.Itoa(p.first)),
			Value: stream.EncodeFanout(record)}, j.pending.Add())
	}
	return false
}

// gather takes all recipients of a job into a chunk, those of a group bucket by bucket.
func (r *Route) gather(ctx context.Context, c *chunk, j *job) {
	for _, user := range j.recipients {
		c.add(ctx, j, user)
	}
	if !j.toGroup() {
		return
	}
	for bucket := j.group.first; bucket <= j.group.last; bucket++ {
		members, err := r.members(ctx, j, bucket)
		if err != nil {
			r.giveUp(ctx, j, err)
			return
		}
		for _, user := range members {
			c.add(ctx, j, user)
		}
	}
}

// members lists who was in one bucket of the message's group at its time, the sender left out.
func (r *Route) members(ctx context.Context, j *job, bucket int) ([]string, error) {
	replies := ask(ctx, r, []int{bucket}, func(ctx context.Context, asked []int) ([][]string, error) {
		users, err := r.reg.Members(ctx, j.msg.App, j.msg.Group, asked[0], j.group.of, j.msg.Time)
		return [][]string{users}, err
	})
	isSender := func(user string) bool { return user == j.msg.From }
	return slices.DeleteFunc(replies[0].answer, isSender), replies[0].err
}

// part is a range of a group's buckets, first and last inclusive, of so many.
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
