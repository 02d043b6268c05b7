package stream

import (
	"errors"
	"regexp"
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

// SentBack tells of an input record that an operator sent back from its dead topic when, in milliseconds, and where the
// record that died stood first; ok is false of any other record.
func (r *Record) SentBack() (first time.Time, origin string, ok bool) {
	seen, _ := r.Header(HeaderFirstSeen)
	place, _ := r.Header(HeaderOrigin)
	ms, err := strconv.ParseInt(string(seen), 10, 64)
	if first = time.UnixMilli(ms); err != nil || ms <= 0 || first.After(r.Time) || len(place) > originLimit || !originForm.Match(place) {
		return time.Time{}, "", false
	}
	return first, string(place), true
}

// originForm is what [Record.Origin] writes, and originLimit more than it ever has: a topic's name is at most 249 bytes.
var originForm = regexp.MustCompile(`^[^/]+/\d{1,10}/\d{1,19}$`)

const originLimit = 300

// answerLimit bounds the text of a pf-answer, in bytes.
const answerLimit = 500

// DeadInput is the dead letter of an im.* record: its key, bytes and headers untouched, and why, and from where.
// Its pf-first-seen is the record's time, now where it has none; of a record that was sent back and died again, that and
// pf-origin stay. problem says what is wrong and never quotes a token or a message's text.
func DeadInput(topics Topics, rec *Record, reason push.Reason, problem string, now time.Time) Message {
	seen, origin := now, rec.Origin()
	if !rec.Time.IsZero() {
		seen = rec.Time
	}
	if first, place, ok := rec.SentBack(); ok {
		seen, origin = first, place
	}
	return letter(topics.InputDead(rec.Topic), rec, reason, problem, header(HeaderOrigin, origin), millisHeader(HeaderFirstSeen, seen))
}

// DeadWork is the dead letter of a record of push.<p>.* that is no notification: its bytes untouched.
func DeadWork(topics Topics, p push.Platform, rec *Record, reason push.Reason, now time.Time) Message {
	died := []Header{header(HeaderOrigin, rec.Origin())}
	if _, seen := rec.Header(HeaderFirstSeen); !seen {
		died = append(died, millisHeader(HeaderFirstSeen, now))
	}
	return letter(topics.Dead(p), rec, reason, "", died...)
}

// letterLimit bounds what a letter takes of its record: what a dead topic takes, less what a letter's own headers need.
const letterLimit = deadRecordBytes - 4<<10

// letter is a record with the headers of its death in the place of older ones. A record that was compressed may be larger
// than any topic takes: then its value is cut, and the letter says from what size.
func letter(topic string, rec *Record, reason push.Reason, problem string, died ...Header) Message {
	m := Message{Topic: topic, Key: rec.Key, Value: rec.Value, Partition: ByKey}
	own := func(h Header) bool {
		return h.Key == HeaderReason || h.Key == HeaderAnswer || slices.ContainsFunc(died, func(d Header) bool { return d.Key == h.Key })
	}
	m.Headers = slices.DeleteFunc(slices.Clone(rec.Headers), own)
	if whole := m.size(); whole > letterLimit {
		problem = "cut from " + strconv.Itoa(whole) + " bytes: " + problem
		if whole-len(m.Value) > letterLimit/2 {
			m.Key, m.Headers = nil, nil
		}
		m.Value = m.Value[:min(len(m.Value), letterLimit-(m.size()-len(m.Value)))]
	}
	m.Headers = append(m.Headers, died...)
	m.Headers = append(m.Headers, header(HeaderReason, string(reason)))
	if problem = Answer(problem); problem != "" {
		m.Headers = append(m.Headers, header(HeaderAnswer, problem))
	}
	return m
}

func header(key, value string) Header { return Header{Key: key, Value: []byte(value)} }

func millisHeader(key string, t time.Time) Header {
	return Header{Key: key, Value: strconv.AppendInt(nil, t.UnixMilli(), 10)}
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
