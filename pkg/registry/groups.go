package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// GroupRef names a group.
type GroupRef struct{ App, Group string }

// GroupSize says how many users a group has and in how many buckets they are kept.
type GroupSize struct {
	Members int // at most: those who left lately count too
	Buckets int // 0 = no member was ever known
}

// Groups returns the sizes of groups, in their order. [ErrEmpty] = nothing is known where the marker is missing.
func (r *Registry) Groups(ctx context.Context, refs []GroupRef) ([]GroupSize, error) {
	now, life := any(r.opts.Now().UnixMilli()), any(leftLife.Milliseconds())
	calls := make([]*redis.StringCmd, len(refs))
	for i, ref := range refs {
		tag := userTag(ref.App, ref.Group)
		calls[i] = r.scripts.size.call(ctx, []string{groupKey(tag), r.markers.of(tag)}, now, life)
	}
	answers, err := r.run(ctx, "groups", calls)
	if err != nil {
		return nil, err
	}
	sizes := make([]GroupSize, len(refs))
	for i, answer := range answers {
		if answer == "" {
			continue
		}
		members, buckets, _ := strings.Cut(answer, ",")
		var wrong [2]error
		sizes[i].Members, wrong[0] = strconv.Atoi(members)
		sizes[i].Buckets, wrong[1] = strconv.Atoi(buckets)
		if wrong != [2]error{} {
			return nil, fmt.Errorf("registry: groups: an answer of %d bytes: %w", len(answer), ErrMalformed)
		}
	}
	return sizes, nil
}

// part is the users of one bucket, as it was when there were so many.
type part struct{ bucket, buckets int }

// Members returns who was in a group at a message's time, which counts in whole seconds: whoever joined or left within
// that second belongs to it. bucket is one of the buckets that [Registry.Groups] told; whoever asks for each of them
// meets everybody exactly once, although the group may meanwhile grow, or be lost and restored with another number of
// buckets. One bucket has some hundred users at most, and as many more as joined since Groups told. [ErrEmpty] = nothing
// is known where the marker is missing.
func (r *Registry) Members(ctx context.Context, app, group string, bucket, buckets int, at time.Time) ([]string, error) {
	if bucket < 0 || bucket >= buckets {
		return nil, fmt.Errorf("registry: members: there is no bucket %d of %d", bucket, buckets)
	}
	tag := userTag(app, group)
	var users []string
	wanted := []part{{bucket, buckets}}
	keys := []int{bucket} // where the users of each part are
	for range mostRounds {
		calls := make([]*redis.StringCmd, len(wanted))
		for i, key := range keys {
			calls[i] = r.scripts.members.call(ctx, []string{groupKey(tag), bucketKey(tag, key), r.markers.of(tag)})
		}
		answers, err := r.run(ctx, "members", calls)
		if err != nil {
			return nil, err
		}
		var next []part
		var nextKeys []int
		for i, answer := range answers {
			now, rest, _ := strings.Cut(answer, unit)
			count, err := strconv.Atoi(now)
			if err != nil || count < 1 {
				return nil, fmt.Errorf("registry: members: an answer of %d bytes: %w", len(answer), ErrMalformed)
			}
			p := wanted[i]
			if key := bucketNow(p.bucket, count); key != keys[i] {
				next, nextKeys = append(next, p), append(nextKeys, key)
				continue
			}
			if users, err = p.append(users, rest, count, at); err != nil {
				return nil, err
			}
			// What was split off the bucket since is read as it was when this was read: so nobody is met twice.
			for b := p.buckets; b < count; b++ {
				if bucketNow(b, p.buckets) == p.bucket {
					next, nextKeys = append(next, part{b, count}), append(nextKeys, b)
				}
			}
		}
		if len(next) == 0 {
			return users, nil
		}
		wanted, keys = next, nextKeys
	}
	return nil, errors.New("registry: members: the group was split too often meanwhile")
}

// append adds those of a bucket's fields and values who belong to the part and were members at a time. now is how many
// buckets there were when they were read.
func (p part) append(users []string, packed string, now int, at time.Time) ([]string, error) {
	for packed != "" {
		var user, value string
		user, packed, _ = strings.Cut(packed, unit)
		value, packed, _ = strings.Cut(packed, unit)
		if user == "" || now < p.buckets && bucketOf(hashOf(user), p.buckets) != p.bucket {
			continue
		}
		member, err := memberAt(value, at)
		if err != nil {
			return nil, err
		}
		if member {
			users = append(users, user)
		}
	}
	return users, nil
}

// memberAt reads a user's stays (see scripts/group.lua).
func memberAt(stays string, at time.Time) (bool, error) {
	second := at.Unix() * 1000
	for stays != "" {
		var joined, left string
		joined, stays, _ = strings.Cut(stays, ",")
		left, stays, _ = strings.Cut(stays, ",")
		from, err := strconv.ParseInt(joined, 10, 64)
		if err != nil {
			return false, fmt.Errorf("registry: members: the stays of a member: %w", ErrMalformed)
		}
		if from >= second+1000 {
			continue
		}
		if left == "" {
			return true, nil
		}
		until, err := strconv.ParseInt(left, 10, 64)
		if err != nil {
			return false, fmt.Errorf("registry: members: the stays of a member: %w", ErrMalformed)
		}
		if until > second && until > from {
			return true, nil
		}
	}
	return false, nil
}
