package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Membership is one record of the groups topic: a user joined a group, or left it.
type Membership struct {
	App, Group, User string
	Joined           time.Time // zero = the user left
	Left             time.Time // zero = the user joined
}

// leftLife is how long a group remembers who left it: by then no message is pushed any more that was sent before.
const leftLife = 25 * time.Hour

// membershipCalls bounds what one pipeline writes before buckets that became too full are split.
const membershipCalls = 256

// ApplyMemberships applies memberships in order. Late and repeated ones are harmless: a user who joined before they left,
// as far as is known, stays away; one who joined at the same time or later is back. Joining once more changes nothing, or
// lets the stay begin earlier. After an error apply the same memberships again. [ErrEmpty] = the view has to be rebuilt
// first.
func (r *Registry) ApplyMemberships(ctx context.Context, memberships []Membership) error {
	now := r.opts.Now()
	for i := range memberships {
		if err := memberships[i].Validate(now); err != nil {
			return fmt.Errorf("registry: apply memberships: membership %d: %w", i, err)
		}
	}
	return r.applyMemberships(ctx, memberships, false)
}

// RestoreMemberships writes memberships that were lost, as [Registry.ApplyMemberships] does, but without the epoch marker.
// It may run next to it and be repeated. One that could not have been applied is logged and left out: one bad record must
// not keep the registry empty for ever.
func (r *Registry) RestoreMemberships(ctx context.Context, memberships []Membership) error {
	now := r.opts.Now()
	good := make([]Membership, 0, len(memberships))
	for i := range memberships {
		if err := memberships[i].Validate(now); err != nil {
			r.opts.Logger.Error("membership left out of the restored registry", zap.Error(err))
			continue
		}
		good = append(good, memberships[i])
	}
	return r.applyMemberships(ctx, good, true)
}

func (r *Registry) applyMemberships(ctx context.Context, memberships []Membership, restoring bool) error {
	for chunk := range slices.Chunk(memberships, membershipCalls) {
		grow, err := r.writeMembers(ctx, chunk, restoring)
		if err != nil {
			return err
		}
		if err := r.splitBuckets(ctx, grow); err != nil {
			return err
		}
	}
	return nil
}

// mostRounds bounds how often a pipeline is repeated because buckets were split meanwhile. Only another writer of the same
// group does that, once in a hundred new members.
const mostRounds = 16

// writeMembers writes each membership into its user's bucket. It returns the groups that have to grow, with their buckets.
func (r *Registry) writeMembers(ctx context.Context, memberships []Membership, restoring bool) (map[GroupRef]int, error) {
	layout, err := r.buckets(ctx, memberships)
	if err != nil {
		return nil, err
	}
	grow := make(map[GroupRef]int)
	pending := memberships
	for range mostRounds {
		calls := make([]*redis.StringCmd, len(pending))
		for i := range pending {
			m := &pending[i]
			calls[i] = r.memberCall(ctx, m, layout[GroupRef{m.App, m.Group}], restoring)
		}
		answers, err := r.run(ctx, "apply memberships", calls)
		if err != nil {
			return nil, err
		}
		var stale []Membership
		for i, answer := range answers {
			m := &pending[i]
			of := GroupRef{m.App, m.Group}
			verdict, buckets, err := parseGrowth(answer)
			if err != nil {
				return nil, fmt.Errorf("registry: apply memberships: %w", err)
			}
			switch verdict {
			case 'S':
				layout[of] = buckets
				stale = append(stale, *m)
			case 'G':
				grow[of] = buckets
			}
		}
		if len(stale) == 0 {
			return grow, nil
		}
		pending = stale
	}
	return nil, errors.New("registry: apply memberships: a group was split too often meanwhile")
}

// buckets reads how many buckets the groups have.
func (r *Registry) buckets(ctx context.Context, memberships []Membership) (map[GroupRef]int, error) {
	layout := make(map[GroupRef]int)
	var groups []GroupRef
	var calls []*redis.StringCmd
	for i := range memberships {
		of := GroupRef{memberships[i].App, memberships[i].Group}
		if _, known := layout[of]; known {
			continue
		}
		layout[of] = 1
		groups = append(groups, of)
		calls = append(calls, redis.NewStringCmd(ctx, "getrange", groupKey(userTag(of.App, of.Group)), 0, maxPackedGroup))
	}
	answers, err := r.run(ctx, "read groups", calls)
	if err != nil {
		return nil, err
	}
	for i, answer := range answers {
		if answer == "" {
			continue
		}
		packed, _, _ := strings.Cut(answer, ",")
		n, err := strconv.Atoi(packed)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("registry: read groups: a group of %d bytes: %w", len(answer), ErrMalformed)
		}
		layout[groups[i]] = n
	}
	return layout, nil
}

// maxPackedGroup bounds in bytes what is read of a group's own record.
const maxPackedGroup = 128

func (r *Registry) memberCall(ctx context.Context, m *Membership, buckets int, restoring bool) *redis.StringCmd {
	tag := userTag(m.App, m.Group)
	return r.scripts.member.call(ctx,
		[]string{groupKey(tag), bucketKey(tag, bucketOf(hashOf(m.User), buckets)), r.markers.of(tag)},
		buckets, bucketLoad, r.opts.Now().UnixMilli(), leftLife.Milliseconds(), restoring,
		m.User, m.time().UnixMilli(), !m.Joined.IsZero())
}

// splitBuckets lets groups grow until their members fit, one bucket a script.
func (r *Registry) splitBuckets(ctx context.Context, grow map[GroupRef]int) error {
	for range mostRounds {
		var groups []GroupRef
		var calls []*redis.StringCmd
		for of, buckets := range grow {
			groups = append(groups, of)
			calls = append(calls, r.splitCall(ctx, of, buckets))
		}
		answers, err := r.run(ctx, "split buckets", calls)
		if err != nil {
			return err
		}
		for i, answer := range answers {
			verdict, buckets, err := parseGrowth(answer)
			if err != nil {
				return fmt.Errorf("registry: split buckets: %w", err)
			}
			if verdict == 'G' {
				grow[groups[i]] = buckets
			} else {
				delete(grow, groups[i])
			}
		}
		if len(grow) == 0 {
			return nil
		}
	}
	return nil // the next membership of the group goes on
}

func (r *Registry) splitCall(ctx context.Context, of GroupRef, buckets int) *redis.StringCmd {
	tag := userTag(of.App, of.Group)
	return r.scripts.split.call(ctx,
		[]string{groupKey(tag), bucketKey(tag, parentOf(buckets)), bucketKey(tag, buckets)},
		buckets, bucketLoad, r.opts.Now().UnixMilli(), leftLife.Milliseconds(), 2*topBit(buckets))
}

// parseGrowth reads a verdict and, for S and G, how many buckets there are.
func parseGrowth(answer string) (verdict byte, buckets int, err error) {
	if answer == "W" {
		return 'W', 0, nil
	}
	if answer != "" && (answer[0] == 'S' || answer[0] == 'G') {
		if n, err := strconv.Atoi(answer[1:]); err == nil && n > 0 {
			return answer[0], n, nil
		}
	}
	return 0, 0, fmt.Errorf("an answer of %d bytes: %w", len(answer), ErrMalformed)
}
