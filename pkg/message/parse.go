package message

import (
	"cmp"
	"hash/crc32"
	"math"
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
		App: r.App, From: r.From, Group: r.GroupID, Seq: uint32(r.Seq.value),
		Origin:     origin(env),
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
	if err := m.classify(&r); err != nil {
		return nil, err
	}
	m.schedule(&r)
	m.bodySum = crc32.ChecksumIEEE(value[r.Body.start:r.Body.end])
	m.identify(&r, cmp.Or(env.First, m.Origin))
	m.present(&r)
	return m, nil
}

// origin names a record for headers, keys and traces.
func origin(env Envelope) string {
	b := append(make([]byte, 0, 64), env.Topic...)
	b = strconv.AppendInt(append(b, '/'), int64(env.Partition), 10)
	b = strconv.AppendInt(append(b, '/'), env.Offset, 10)
	return string(b)
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
	for _, number := range []struct {
		field   string
		value   int64
		largest int64
	}{
		{"MsgSeq", r.Seq.value, math.MaxUint32},
		{"MsgRandom", r.MsgRandom.value, math.MaxUint32},
		{"Random", r.Random.value, math.MaxUint32},
		{"MsgTimeStamp", r.TimeStamp.value, math.MaxInt64},
		{"MsgLifeTime", r.LifeTime.value, math.MaxInt64},
	} {
		if number.value < 0 {
			return invalid(number.field, "negative")
		}
		if number.value > number.largest {
			return invalid(number.field, "larger than 4294967295")
		}
	}
	if !r.Body.present {
		return invalid("MsgBody", "missing")
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
	seen := map[string]struct{}{}
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

// classify fills what decides who gets a push, of which type and how soon.
func (m *Message) classify(r *record) error {
	m.priority = r.Priority
	m.ignoresOption = m.Group == "" && !r.Control.honorsMute
	if m.Group != "" {
		m.mentionsAll, m.mentioned = r.Mentions.everybody, r.Mentions.accounts
		slices.Sort(m.mentioned)
	}
	if r.Push == nil {
		return nil
	}
	var err error
	if m.template.Type, err = pushType(r.Push.Apns.PushType); err != nil {
		return err
	}
	m.template.Interruption = r.Push.Apns.Interruption
	return checkInterruption(r.Push.Apns.Interruption)
}

// schedule fills Time and Expires.
func (m *Message) schedule(r *record) {
	m.Time = m.RecordTime.Truncate(time.Second)
	if r.TimeStamp.present && r.TimeStamp.value <= m.RecordTime.Add(maxAhead).Unix() {
		m.Time = time.Unix(r.TimeStamp.value, 0)
	}
	life := maxLifeTime
	switch {
	case !r.LifeTime.present && m.Type() == push.TypeVoIP:
		life = callLifeTime
	case r.LifeTime.present:
		life = time.Duration(min(r.LifeTime.value, int64(maxLifeTime/time.Second))) * time.Second
	}
	m.Expires = m.Time.Add(life)
	m.online = r.OnlineOnly.value == 1 || life == 0
}

// present fills what a phone shows and hears. An OfflinePushInfo, even an empty one, switches off the push settings inside
// the custom elements; their Desc stays text.
func (m *Message) present(r *record) {
	m.counts = m.Type() != push.TypeBackground && !r.Control.noUnread
	m.alert.name = nameOf(r)
	n := &m.template
	n.App, n.MsgKey, n.Thread = m.App, m.Key, m.Conversation()
	n.Sender, n.Seq = m.From, m.Seq
	n.Badge, n.Expires, n.Received = push.NoBadge, m.Expires, m.RecordTime
	n.Ext, n.Sound, n.AndroidSound = r.Body.ext, r.Body.sound, r.Body.sound
	text := r.Body.text
	if p := r.Push; p != nil {
		m.silenced = p.PushFlag.value == 1
		m.counts = m.counts && p.Apns.BadgeMode.value != 1
		m.appleTitle = p.Apns.Title
		n.Title, n.Subtitle, n.Ext = p.Title, p.Apns.SubTitle, p.Ext
		n.Sound, n.AndroidSound, n.Channel = p.Apns.Sound, p.Android.Sound, p.Android.GoogleChannelID
		m.mutable = p.Apns.MutableContent.value == 1
		n.Image = p.Apns.Image
		n.Mutable = n.Image != "" || m.mutable
		m.vendor.whole = string(p.Android.Vendor)
		n.Vendor = m.vendor.whole
		if p.Desc != "" {
			text = []segment{{literal: cut(p.Desc, maxText)}}
		}
	}
	if n.Type == push.TypeBackground {
		n.Title, n.Subtitle, n.Image, n.Sound, n.AndroidSound, n.Channel, n.Interruption = "", "", "", "", "", "", ""
		n.Mutable, m.mutable = false, false
	}
	m.alert.setText(text)
}
