package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// recallLife is how long after its receipt a recall holds: no message lives longer, so nothing of it can be queued then.
const recallLife = 7 * 24 * time.Hour

// A content's checksum is 8 hex digits, or empty.
var checksum = regexp.MustCompile(`^([0-9a-f]{8})?$`)

// validate keeps what would break the packed record of a message key out of Redis.
func (m *MessageRef) validate() error {
	for _, f := range []struct {
		name, value string
		least, most int
	}{
		{"app", m.App, 1, maxID},
		{"key", m.Key, 1, maxMsgKey},
		{"origin", m.Origin, 0, maxMsgKey},
	} {
		if what := wrongText(f.value, f.least, f.most); what != "" {
			return fmt.Errorf("%s: %s", f.name, what)
		}
	}
	if !checksum.MatchString(m.Content) || !checksum.MatchString(m.Body) {
		return errors.New("content and body: not the checksum of a content")
	}
	return nil
}

// Messages notes where each message stands in the log, for a recall to find it, and says which are recalled already, so
// that a recall may come before its message. It has to come before [Registry.Decide] of the same messages: what a recall
// then does not find is not decided yet. Answers stand in the order of the refs; the same refs again get the same
// answers, unless a recall came meanwhile.
func (r *Registry) Messages(ctx context.Context, refs []MessageRef) (recalled []bool, err error) {
	calls := make([]*redis.StringCmd, len(refs))
	for i := range refs {
		m := &refs[i]
		if err := m.validate(); err != nil {
			return nil, fmt.Errorf("registry: messages: message %d: %w", i, err)
		}
		tag := messageTag(m.App, m.Key)
		calls[i] = r.scripts.register.call(ctx, []string{messageKey(tag), r.markers.of(tag)},
			m.Body, m.Origin, r.opts.ReplayWindow.Milliseconds())
	}
	answers, err := r.run(ctx, "messages", calls)
	if err != nil {
		return nil, err
	}
	recalled = make([]bool, len(answers))
	for i, answer := range answers {
		recalled[i] = answer == "1"
	}
	return recalled, nil
}

// Recall takes a message back, at the time of the receipt that says so. It returns the origins of the message's records
// that are known, in the order in which they were routed; none where the message was not routed yet, or longer ago than the
// replay window. From then on [Registry.Messages] and [Registry.Admit] know of the recall, for seven days after at. It
// may be repeated.
func (r *Registry) Recall(ctx context.Context, ref MessageRef, at time.Time) (origins []string, err error) {
	if err := ref.validate(); err != nil {
		return nil, fmt.Errorf("registry: recall: %w", err)
	}
	life := at.Add(recallLife).Sub(r.opts.Now())
	if life < time.Millisecond {
		return nil, nil
	}
	tag := messageTag(ref.App, ref.Key)
	answers, err := r.run(ctx, "recall", []*redis.StringCmd{
		r.scripts.recall.call(ctx, []string{messageKey(tag), r.markers.of(tag)}, ref.Content, life.Milliseconds()),
	})
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(answers[0], "R")
	if !ok {
		return nil, fmt.Errorf("registry: recall: %w", ErrMalformed)
	}
	if rest == "" {
		return nil, nil
	}
	return strings.Split(rest[len(unit):], unit), nil
}

// recallsCall reads which contents of a message key are recalled, for [MessageRef.recalledIn]. It fits into a pipeline of
// scripts; one call serves all notifications of the same App and Key.
func recallsCall(ctx context.Context, ref *MessageRef) *redis.StringCmd {
	return redis.NewStringCmd(ctx, "getrange", messageKey(messageTag(ref.App, ref.Key)), 0, mostRecalls-1)
}

// mostRecalls bounds in bytes what recalled contents take at the beginning of a message key's record: 17 checksums, each
// with a comma behind it.
const mostRecalls = 17 * 9

// recalledIn says whether the message is recalled, by the answer to recallsCall.
func (m *MessageRef) recalledIn(answer string) bool {
	codes, _, _ := strings.Cut(answer, record)
	code := m.Content
	if code == "" {
		code = "-"
	}
	return strings.Contains(","+codes, ","+code+",")
}
