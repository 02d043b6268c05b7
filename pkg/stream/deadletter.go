package stream

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Origin is where a record stands, as topic/partition/offset: the pf-origin of what is derived from it.
func (r *Record) Origin() string {
	return r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)
}

// MessageKey is what push.events are partitioned by: app|message key.
func MessageKey(app, msgKey string) string {
	return escaper.Replace(app) + "|" + escaper.Replace(msgKey)
}

// answerLimit bounds the text of a pf-answer, in bytes.
const answerLimit = 500

// DeadInput is the dead letter of an im.* record: its key, bytes and headers untouched, and why, and from where.
// problem says what is wrong and never quotes a token or a message's text.
func DeadInput(topics Topics, rec *Record, reason push.Reason, problem string, now time.Time) Message {
	return Message{Topic: topics.InputDead(rec.Topic), Key: rec.Key, Value: rec.Value, Partition: ByKey,
		Headers: deadHeaders(rec, reason, problem, now)}
}

// DeadWork is the dead letter of a record of push.<p>.* that is no notification: its bytes untouched.
func DeadWork(topics Topics, p push.Platform, rec *Record, reason push.Reason, now time.Time) Message {
	return Message{Topic: topics.Dead(p), Key: rec.Key, Value: rec.Value, Partition: ByKey,
		Headers: deadHeaders(rec, reason, "", now)}
}

// deadHeaders are the record's own, with those of its death in the place of older ones.
func deadHeaders(rec *Record, reason push.Reason, problem string, now time.Time) []Header {
	headers := slices.DeleteFunc(slices.Clone(rec.Headers), func(h Header) bool {
		return h.Key == HeaderReason || h.Key == HeaderAnswer || h.Key == HeaderOrigin
	})
	if _, seen := rec.Header(HeaderFirstSeen); !seen {
		headers = append(headers, Header{Key: HeaderFirstSeen, Value: strconv.AppendInt(nil, now.UnixMilli(), 10)})
	}
	headers = append(headers, Header{Key: HeaderReason, Value: []byte(reason)}, Header{Key: HeaderOrigin, Value: []byte(rec.Origin())})
	if problem = Answer(problem); problem != "" {
		headers = append(headers, Header{Key: HeaderAnswer, Value: []byte(problem)})
	}
	return headers
}

// Answer cuts a provider's answer, or a problem, to what a header and an event hold.
func Answer(text string) string {
	if len(text) > answerLimit {
		text = strings.ToValidUTF8(text[:answerLimit], "")
	}
	return text
}

// DecodeWork reads a record of push.<p>.*: the notification and what its headers say. A missing lane is the normal one,
// a missing attempt the first.
func DecodeWork(rec *Record) (*push.Notification, Meta, error) {
	meta, err := ParseMeta(rec.Headers)
	if err != nil {
		return nil, meta, err
	}
	n, err := DecodeNotification(rec.Value)
	if err != nil {
		return nil, meta, err
	}
	if n.ID == "" || n.App == "" || n.User == "" || n.Device == "" {
		return nil, meta, errNoNotification
	}
	if !slices.Contains(push.Lanes, meta.Lane) {
		meta.Lane = push.LaneNormal
	}
	meta.Attempt = max(meta.Attempt, 1)
	meta.ID = n.ID
	return n, meta, nil
}

var errNoNotification = errors.New("notification record: id, app, user or device is missing")
