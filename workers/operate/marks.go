package operate

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// The headers of a mark: a record of a dead topic that is no letter. It has no value, and says that the letter at an
// offset of the same partition was sent back, or discarded, and by whom. It outlives its letter because it stands behind it.
const (
	headerRedriven  = "pf-redriven-offset"
	headerDiscarded = "pf-discarded-offset"
	headerBy        = "pf-by"
	headerNote      = "pf-note"
)

// Action is what an operator did to a letter.
type Action string

// The actions.
const (
	Redriven  Action = "redriven"
	Discarded Action = "discarded"
)

// Mark is what one mark says.
type Mark struct {
	Action Action    `json:"action"`
	Time   time.Time `json:"time"`
	By     string    `json:"by,omitempty"`   // as user@host
	Note   string    `json:"note,omitempty"` // why, of a letter that was discarded
}

// parseMark returns what a record marks, and the offset of its letter; false where the record is a letter itself.
func parseMark(r *stream.Record) (Mark, int64, bool) {
	if r.Value != nil {
		return Mark{}, 0, false
	}
	m := Mark{Action: Redriven, Time: r.Time}
	value, ok := r.Header(headerRedriven)
	if !ok {
		m.Action = Discarded
		if value, ok = r.Header(headerDiscarded); !ok {
			return Mark{}, 0, false
		}
	}
	offset, err := strconv.ParseInt(string(value), 10, 64)
	by, _ := r.Header(headerBy)
	note, _ := r.Header(headerNote)
	m.By, m.Note = string(by), string(note)
	return m, offset, err == nil && offset >= 0 && offset < r.Offset // it stands behind its letter
}

// message is the record that marks a letter.
func (m Mark) message(l Letter) stream.Message {
	key := headerRedriven
	if m.Action == Discarded {
		key = headerDiscarded
	}
	headers := []stream.Header{{Key: key, Value: strconv.AppendInt(nil, l.Offset, 10)}}
	for _, h := range []struct{ key, value string }{{headerBy, m.By}, {headerNote, m.Note}} {
		if h.value != "" {
			headers = append(headers, stream.Header{Key: h.key, Value: []byte(h.value)})
		}
	}
	return stream.Message{Topic: l.Topic, Key: l.record.Key, Partition: l.Partition, Headers: headers}
}

// state is what the marks of one letter come to: how often it was sent back, and whether it was discarded after that.
type state uint8

const (
	discardedBit state = 1 << 7
	redrivenBits       = discardedBit - 1 // more redrives than fit count as so many
)

func (s state) after(a Action) state {
	if a == Discarded {
		return s | discardedBit
	}
	return min(s&^discardedBit+1, redrivenBits)
}

func (s state) redriven() int   { return int(s & redrivenBits) }
func (s state) discarded() bool { return s&discardedBit != 0 }

// pageOffsets is how many offsets share one page of states.
const pageOffsets = 4096

type pageID struct {
	partition int32
	page      int64
}

// marks is what the marks of one dead topic say. It takes a byte for each offset of the pages that have a mark: a million
// letters, all marked, are 1 MB. It is not safe for concurrent use.
type marks struct {
	log   Log
	topic string
	next  map[int32]int64 // the first offset of a partition that was not read yet
	pages map[pageID]*[pageOffsets]state
}

func newMarks(log Log, topic string) *marks {
	return &marks{log: log, topic: topic, next: map[int32]int64{}, pages: map[pageID]*[pageOffsets]state{}}
}

func (m *marks) of(at Position) state {
	page := m.pages[pageID{at.Partition, at.Offset / pageOffsets}]
	if page == nil {
		return 0
	}
	return page[at.Offset%pageOffsets]
}

// read takes in the marks in some ranges of the topic, nil = all of it. Every mark stands behind its letter.
func (m *marks) read(ctx context.Context, ranges []stream.Range) error {
	return m.log.Scan(ctx, m.topic, ranges, func(r *stream.Record) bool {
		m.next[r.Partition] = r.Offset + 1
		if mark, offset, ok := parseMark(r); ok {
			id := pageID{r.Partition, offset / pageOffsets}
			if m.pages[id] == nil {
				m.pages[id] = new([pageOffsets]state)
			}
			at := &m.pages[id][offset%pageOffsets]
			*at = at.after(mark.Action)
		}
		return true
	})
}

// follow takes in what was written to a partition since it was read last.
func (m *marks) follow(ctx context.Context, partition int32) error {
	err := m.read(ctx, []stream.Range{{Partition: partition, From: m.next[partition], To: -1}})
	if errors.Is(err, stream.ErrNoTopic) {
		return nil
	}
	return err
}
