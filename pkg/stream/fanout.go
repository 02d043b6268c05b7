package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Fanout is a message to a big group and the part of its members that it goes to next.
type Fanout struct {
	Chat        *Record // the message as it stood in its topic; of its headers content-type, traceparent and those of a redrive alone
	First, Last int     // parts of its recipients, both inclusive: buckets of the group's members, or runs of the accounts that it names
	Buckets     int     // how many there were when the message was divided; 0 = it is not divided yet, nor First and Last meant
	Purpose     string  // push.PurposeFirst or push.PurposeRecall
}

// headerContentType says how the value of a record of an im.* topic is written.
const headerContentType = "content-type"

// ContentType is the record's content-type header, whose name producers write in any case; "" where there is none.
func (r *Record) ContentType() string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, headerContentType) {
			return string(h.Value)
		}
	}
	return ""
}

// EncodeFanout returns the value of a fan-out record.
func EncodeFanout(f *Fanout) []byte {
	traceparent, _ := f.Chat.Header(HeaderTraceparent)
	m := schemasv1.Fanout{
		Message: f.Chat.Value, ContentType: f.Chat.ContentType(), Traceparent: string(traceparent),
		Topic: f.Chat.Topic, Partition: f.Chat.Partition, Offset: f.Chat.Offset, TimeMs: millis(f.Chat.Time),
		FirstBucket: int32(f.First), LastBucket: int32(f.Last), Buckets: int32(f.Buckets),
		Purpose: f.Purpose,
	}
	if first, origin, ok := f.Chat.SentBack(); ok {
		m.FirstSeenMs, m.FirstOrigin = first.UnixMilli(), origin
	}
	b := make([]byte, m.SizeVT())
	used, err := m.MarshalToSizedBufferVT(b)
	if err != nil { // the generated code fails only on a buffer that is too small
		panic(fmt.Sprintf("encoding a fan-out into %d bytes: %v", len(b), err))
	}
	return b[len(b)-used:]
}

// maxBuckets is far above what a group of a million members has: a record that claims more was not written by route, and
// would keep its reader busy for ever.
const maxBuckets = 1 << 20

var (
	errFanoutChat    = errors.New("fan-out record: the message's place is missing")
	errFanoutBuckets = errors.New("fan-out record: no such buckets")
	errFanoutPurpose = errors.New("fan-out record: unknown purpose")
)

// DecodeFanout reads the value of a fan-out record. Its error quotes nothing of the message.
func DecodeFanout(value []byte) (*Fanout, error) {
	var m schemasv1.Fanout
	if err := m.UnmarshalVT(value); err != nil {
		return nil, fmt.Errorf("fan-out record: %w", err)
	}
	switch {
	case m.Topic == "" || m.Partition < 0 || m.Offset < 0:
		return nil, errFanoutChat
	case m.FirstBucket < 0 || m.LastBucket < m.FirstBucket || m.LastBucket >= max(m.Buckets, 1) || m.Buckets < 0 || m.Buckets > maxBuckets:
		return nil, errFanoutBuckets
	case m.Purpose != push.PurposeFirst && m.Purpose != push.PurposeRecall:
		return nil, errFanoutPurpose
	}
	chat := &Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: fromMillis(m.TimeMs), Value: m.Message}
	if m.ContentType != "" {
		chat.Headers = append(chat.Headers, Header{Key: headerContentType, Value: []byte(m.ContentType)})
	}
	if m.Traceparent != "" {
		chat.Headers = append(chat.Headers, Header{Key: HeaderTraceparent, Value: []byte(m.Traceparent)})
	}
	if m.FirstOrigin != "" {
		chat.Headers = append(chat.Headers, header(HeaderOrigin, m.FirstOrigin), millisHeader(HeaderFirstSeen, fromMillis(m.FirstSeenMs)))
	}
	return &Fanout{Chat: chat, First: int(m.FirstBucket), Last: int(m.LastBucket), Buckets: int(m.Buckets), Purpose: m.Purpose}, nil
}
