package registry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// SyncWait is how long after a [Sync] its push has to wait: it then brings the number as it is by then, and no other Sync
// is asked for in the meantime.
const SyncWait = 10 * time.Second

// Read takes the messages that read receipts name out of their users' numbers, on every device, and keeps them from being
// pushed where they still are on their way. It answers whose icons show too much by that: other devices, in the
// background or killed, on which the message may have been shown; each at most once in [SyncWait].
//
// A receipt that is repeated changes nothing and gets the same answer, so that what follows may be lost and made again. Of
// several devices that read a message the first counts. After an error read the same receipts again. [ErrEmpty] where
// the marker is missing.
func (r *Registry) Read(ctx context.Context, receipts []Receipt) ([]Sync, error) {
	now, activity, lease := r.clockArgs()
	calls := make([]*redis.StringCmd, len(receipts))
	for i := range receipts {
		q := &receipts[i]
		tag, key := userTag(q.App, q.User), digest(q.MsgKey)
		calls[i] = r.scripts.read.call(ctx, []string{userKey(tag), readKey(tag, key), r.markers.of(tag), badgePrefix(tag)},
			now, activity, lease, key, r.opts.ReceiptTTL.Milliseconds(), q.Device)
	}
	answers, err := r.run(ctx, "read", calls)
	if err != nil {
		return nil, err
	}
	var fell []Sync
	calls = calls[:0]
	for i, answer := range answers {
		if answer == "" {
			continue
		}
		q := &receipts[i] //nolint:gosec // one answer per receipt
		tag := userTag(q.App, q.User)
		for item := range strings.SplitSeq(answer[1:], record) {
			s := Sync{App: q.App, User: q.User, MsgKey: q.MsgKey}
			counted, err := s.parse(item)
			if err != nil {
				return nil, err
			}
			first := message.NotificationID(s.App, s.MsgKey, s.User, s.Device, push.PurposeFirst)
			forgotten := r.opts.Now().Sub(counted) > r.opts.ReplayWindow
			calls = append(calls, r.scripts.sync.call(ctx, []string{markKey(tag, first), syncPrefix(tag) + s.Device},
				now, digest(s.MsgKey), SyncWait.Milliseconds(), forgotten))
			fell = append(fell, s)
		}
	}
	answers, err = r.run(ctx, "sync", calls)
	if err != nil {
		return nil, err
	}
	syncs := fell[:0]
	for i, answer := range answers {
		if answer == "1" {
			syncs = append(syncs, fell[i])
		}
	}
	return syncs, nil
}

// parse reads the message's record time, which it returns, the number, the device and its binding.
func (s *Sync) parse(item string) (counted time.Time, err error) {
	at, rest, _ := strings.Cut(item, unit)
	badge, rest, _ := strings.Cut(rest, unit)
	device, packed, _ := strings.Cut(rest, unit)
	ms, err := strconv.ParseInt(at, 10, 64)
	binding, ok := parseBinding(packed)
	if err != nil || !ok {
		return time.Time{}, fmt.Errorf("registry: read: a device of %d bytes: %w", len(item), ErrMalformed)
	}
	s.Device, s.Binding, s.Badge = device, binding, max(parseBadge(badge), 0)
	return time.UnixMilli(ms), nil
}

// Acknowledge notes that devices' own services have taken messages: their first pushes are done, and their fallbacks are
// not sent any more, for as long as read receipts are remembered. It changes nothing for a device that has no such service:
// what it acknowledges did not come by one. It may be repeated. [ErrEmpty] where the marker is missing.
func (r *Registry) Acknowledge(ctx context.Context, receipts []Receipt) error {
	calls := make([]*redis.StringCmd, len(receipts))
	for i := range receipts {
		q := &receipts[i]
		tag := userTag(q.App, q.User)
		first := message.NotificationID(q.App, q.MsgKey, q.User, q.Device, push.PurposeFirst)
		calls[i] = r.scripts.acknowledge.call(ctx, []string{markKey(tag, first), r.markers.of(tag), userKey(tag)},
			r.opts.ReceiptTTL.Milliseconds(), q.Device)
	}
	_, err := r.run(ctx, "acknowledge", calls)
	return err
}
