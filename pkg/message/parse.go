package message

import (
	"hash/crc32"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// maxLifeTime is both the longest MsgLifeTime and the one of messages without: 7 days.
const maxLifeTime = 604800 * time.Second

// maxAhead is how far a sender's clock may run before the record's. A MsgTimeStamp further ahead, as one in milliseconds,
// would keep a message alive for ever; the record's time then takes its place.
const maxAhead = 24 * time.Hour

// maxID is the longest id of an app, user, device or group, in bytes.
const maxID = 128

// Parse reads the value of an im.messages record. Its error is always an [*Invalid]. The Message does not refer to value.
func Parse(value []byte, env Envelope) (*Message, error) {
	if !isJSON(env.ContentType) {
		return nil, invalid("", "content-type is not JSON")
	}
	if len(value) > MaxRecord {
		return nil, invalid("", "larger than 1 MiB")
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		if !utf8.Valid(value) {
			return nil, invalid("", "not UTF-8")
		}
		return nil, unreadable(err, "")
	}
	m := &Message{
		App: r.App, From: r.From, Group: r.GroupID,
		Origin:     env.Topic + "/" + strconv.Itoa(int(env.Partition)) + "/" + strconv.FormatInt(env.Offset, 10),
		RecordTime: env.Time,
	}
	if m.App == "" {
		m.App = env.DefaultApp
	}
	if err := m.check(&r); err != nil {
		return nil, err
	}
	if err := m.address(&r.To); err != nil {
		return nil, err
	}
	m.schedule(&r)
	m.bodySum = crc32.ChecksumIEEE(value[r.Body.start:r.Body.end])
	m.identify(&r)
	m.present(&r)
	return m, nil
}

func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// check says what is missing or out of range.
func (m *Message) check(r *record) error {
	for _, id := range []struct {
		field, value string
		optional     bool
	}{
		{field: "App", value: m.App},
		{field: "GroupId", value: m.Group, optional: true},
		{field: "From_Account", value: m.From, optional: m.Group != ""},
	} {
		if id.value == "" && id.optional {
			continue
		}
		if problem := idProblem(id.value); problem != "" {
			return invalid(id.field, problem)
		}
	}
	switch {
	case !r.Body.present:
		return invalid("MsgBody", "missing")
	case r.TimeStamp != nil && *r.TimeStamp < 0:
		return invalid("MsgTimeStamp", "negative")
	case r.LifeTime != nil && *r.LifeTime < 0:
		return invalid("MsgLifeTime", "negative")
	}
	return nil
}

func idProblem(id string) string {
	switch {
	case id == "":
		return "missing"
	case len(id) > maxID:
		return "longer than 128 bytes"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "holds a control character"
	}
	return ""
}

// address fills Recipients.
func (m *Message) address(to *accounts) error {
	switch {
	case !to.present && m.Group == "":
		return invalid("To_Account", "missing")
	case !to.present:
		return nil
	case m.Group == "" && len(to.names) > MaxRecipients:
		return &Invalid{Reason: push.ReasonTooManyRecipients, Field: "To_Account", Problem: "more than 500 accounts"}
	}
	m.Recipients = to.names[:0]
	seen := make(map[string]struct{}, len(to.names))
	for i, name := range to.names {
		if problem := idProblem(name); problem != "" {
			return invalid("To_Account["+strconv.Itoa(i)+"]", problem)
		}
		if _, repeated := seen[name]; repeated || name == m.From {
			continue
		}
		seen[name] = struct{}{}
		m.Recipients = append(m.Recipients, name)
	}
	return nil
}

// schedule fills Time and Expires.
func (m *Message) schedule(r *record) {
	m.Time = m.RecordTime.Truncate(time.Second)
	if r.TimeStamp != nil && *r.TimeStamp <= m.RecordTime.Add(maxAhead).Unix() {
		m.Time = time.Unix(*r.TimeStamp, 0)
	}
	life := maxLifeTime
	if r.LifeTime != nil && *r.LifeTime < int64(maxLifeTime/time.Second) {
		life = time.Duration(*r.LifeTime) * time.Second
	}
	m.Expires = m.Time.Add(life)
	m.online = r.OnlineOnly == 1 || life == 0
}

// present fills what a phone shows and hears. An OfflinePushInfo, even an empty one, switches off the push settings inside
// the custom elements; their Desc stays text.
func (m *Message) present(r *record) {
	m.counts = !slices.Contains(r.Control, "NoUnread")
	m.alert.name = nameBefore(r)
	n := push.Notification{
		App: m.App, MsgKey: m.Key, Badge: push.NoBadge, Expires: m.Expires, Received: m.RecordTime,
		Ext: r.Body.ext, Sound: r.Body.sound, AndroidSound: r.Body.sound,
	}
	if m.Group != "" {
		n.Thread = "group:" + m.Group
	} else {
		n.Thread = "c2c:" + m.From
	}
	text := r.Body.text
	if p := r.Push; p != nil {
		m.silenced = p.PushFlag == 1
		m.counts = m.counts && p.Apns.BadgeMode != 1
		m.appleTitle = p.Apns.Title
		n.Title, n.Subtitle, n.Ext = p.Title, p.Apns.SubTitle, p.Ext
		n.Sound, n.AndroidSound, n.Channel = p.Apns.Sound, p.Android.Sound, p.Android.GoogleChannelID
		n.Image = p.Apns.Image
		n.Mutable = n.Image != "" || p.Apns.MutableContent == 1
		if p.Desc != "" {
			text = []segment{{literal: cut(p.Desc, maxText)}}
		}
	}
	m.template = n
	m.alert.setText(text)
}
