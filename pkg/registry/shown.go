package registry

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Shown says what was decided of messages that are taken back, and takes them out of the numbers of the devices that were
// to be pushed. Of a request only App, User, Origin, Claim, MsgKey and ContentKey count. The answer is a Replay, with the
// current bindings, and as the Badge of each device with Push the number now; push.NoBadge = leave the icon alone.
// Where the message was not decided for that user, or so long ago that its claim is forgotten, it is New, without
// devices. Answers stand in the order of the requests; the same requests may be repeated. [ErrEmpty] where the marker is
// missing.
func (r *Registry) Shown(ctx context.Context, requests []DecideRequest) ([]Decision, error) {
	now, activity, lease := r.clockArgs()
	calls := make([]*redis.StringCmd, len(requests))
	for i := range requests {
		q := &requests[i]
		tag := userTag(q.App, q.User)
		key, contentKey := q.digests()
		calls[i] = r.scripts.shown.call(ctx,
			[]string{userKey(tag), claimKey(tag, q.Claim.Key), r.markers.of(tag), badgePrefix(tag)},
			now, activity, lease, q.Origin, q.Claim.Content, key, contentKey)
	}
	answers, err := r.run(ctx, "shown", calls)
	if err != nil {
		return nil, err
	}
	return parseDecisions(answers)
}
