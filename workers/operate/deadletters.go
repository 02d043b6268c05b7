// Package operate is what an operator does to a fleet's topics: look for dead letters and count them, send them back or
// discard them, and see how far every group has read. Dead topics flow in; letters, and on redrive the records that they
// once were, flow out. It promises that a scan ends at the log's end as of its start and holds no more than a byte for each
// letter that was dealt with; that a letter leaves its topic by retention alone; and that a letter that was dealt with is
// marked in its own topic, so that nobody sends it back twice unless that is asked for. No token leaves it, only a hash; a
// message's text leaves it only where it is asked for.
package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Log reads topics; [stream.Cluster] is one.
type Log interface {
	Scan(ctx context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error
}

// Position is where a record stands.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p Position) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

// ParsePosition reads topic/partition/offset.
func ParsePosition(s string) (Position, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 && parts[0] != "" {
		partition, errP := strconv.ParseInt(parts[1], 10, 32)
		offset, errO := strconv.ParseInt(parts[2], 10, 64)
		if errP == nil && errO == nil && partition >= 0 && offset >= 0 {
			return Position{parts[0], int32(partition), offset}, nil
		}
	}
	return Position{}, fmt.Errorf("%q is not topic/partition/offset", s)
}

// Letter is a dead letter. What could not be read of it is empty.
type Letter struct {
	Position
	Time     time.Time     `json:"time"` // when it was written to the dead topic
	Reason   push.Reason   `json:"reason"`
	Answer   string        `json:"answer,omitempty"` // the provider's status and reason, or what is wrong with the record
	Attempts int           `json:"attempts,omitempty"`
	Platform push.Platform `json:"platform,omitempty"` // empty for a record of im.*
	Lane     push.Lane     `json:"lane,omitempty"`
	ID       string        `json:"id,omitempty"` // of the notification
	App      string        `json:"app,omitempty"`
	User     string        `json:"user,omitempty"` // whose device it was for; of a dead chat message, its sender
	Device   string        `json:"device,omitempty"`
	MsgKey   string        `json:"msg_key,omitempty"`
	Origin   string        `json:"origin,omitempty"` // topic/partition/offset of the record that died

	Credential string `json:"credential,omitempty"`
	Redriven   int    `json:"redriven,omitempty"`  // how often this letter was sent back
	Discarded  bool   `json:"discarded,omitempty"` // and not sent back since

	record       *stream.Record
	marks        *marks // of its topic
	meta         stream.Meta
	notification *push.Notification // nil for a record of im.*, and where it could not be read
	named        []string           // of a dead chat message: the recipients that it names
}

// ErrNoLetter says that no dead letter stands at a position, or not any more.
var ErrNoLetter = errors.New("no dead letter stands there")

// DeadLetters reads the dead topics of a fleet.
type DeadLetters struct {
	log    Log
	topics []deadTopic
}

// deadTopic is a dead topic and where its letters come from.
type deadTopic struct {
	name     string
	platform push.Platform // "" for one of im.*
	origin   string        // of im.*: the topic whose records died
	names    stream.Topics
}

// NewDeadLetters returns a reader of the dead topics of im.* and of every platform.
func NewDeadLetters(log Log, topics stream.Topics, platforms []push.Platform) *DeadLetters {
	d := &DeadLetters{log: log}
	for _, p := range platforms {
		d.topics = append(d.topics, deadTopic{name: topics.Dead(p), platform: p, names: topics})
	}
	for _, input := range topics.Inputs() {
		d.topics = append(d.topics, deadTopic{name: topics.InputDead(input), origin: input, names: topics})
	}
	return d
}

// Topics lists the dead topics.
func (d *DeadLetters) Topics() []string {
	names := make([]string, len(d.topics))
	for i, t := range d.topics {
		names[i] = t.name
	}
	return names
}

// Each calls fn for the letters that f chooses, topic by topic and each partition's in order, until fn returns false.
// Topics that do not exist hold none.
func (d *DeadLetters) Each(ctx context.Context, f Filter, fn func(Letter) bool) error {
	if f.Topic != "" && !slices.Contains(d.Topics(), f.Topic) {
		return fmt.Errorf("%s is no dead topic; they are %s", f.Topic, strings.Join(d.Topics(), ", "))
	}
	more := true
	for _, t := range d.topics {
		if f.Topic != "" && f.Topic != t.name || f.Platform != "" && f.Platform != t.platform || !more {
			continue
		}
		err := d.scan(ctx, t, nil, func(l Letter) bool {
			if f.matches(&l) {
				more = fn(l)
			}
			return more
		})
		if err != nil && !errors.Is(err, stream.ErrNoTopic) {
			return fmt.Errorf("read %s: %w", t.name, err)
		}
	}
	return nil
}

// Get returns the letter at a position; ErrNoLetter where there is none.
func (d *DeadLetters) Get(ctx context.Context, at Position) (Letter, error) {
	i := slices.IndexFunc(d.topics, func(t deadTopic) bool { return t.name == at.Topic })
	if i < 0 {
		return Letter{}, fmt.Errorf("%s is no dead topic; they are %s", at.Topic, strings.Join(d.Topics(), ", "))
	}
	var found *Letter
	err := d.scan(ctx, d.topics[i], []stream.Range{{Partition: at.Partition, From: at.Offset, To: -1}}, func(l Letter) bool {
		if l.Offset == at.Offset {
			found = &l
		}
		return false
	})
	switch {
	case err != nil:
		return Letter{}, fmt.Errorf("read %s: %w", at, err)
	case found == nil:
		return Letter{}, fmt.Errorf("%s: %w", at, ErrNoLetter)
	}
	return *found, nil
}

// scan reads the ranges twice: a mark stands behind the letter that it marks, so the marks come first.
func (d *DeadLetters) scan(ctx context.Context, t deadTopic, ranges []stream.Range, fn func(Letter) bool) error {
	known := newMarks(d.log, t.name)
	if err := known.read(ctx, ranges); err != nil {
		return err
	}
	return d.log.Scan(ctx, t.name, ranges, func(r *stream.Record) bool {
		if _, _, ok := parseMark(r); ok {
			return true
		}
		l := t.letter(r)
		l.marks = known
		marked := known.of(l.Position)
		l.Redriven, l.Discarded = marked.redriven(), marked.discarded()
		return fn(l)
	})
}

// Marks returns what was done to a letter, in order.
func (d *DeadLetters) Marks(ctx context.Context, l Letter) ([]Mark, error) {
	var found []Mark
	behind := []stream.Range{{Partition: l.Partition, From: l.Offset + 1, To: -1}}
	err := d.log.Scan(ctx, l.Topic, behind, func(r *stream.Record) bool {
		if mark, offset, ok := parseMark(r); ok && offset == l.Offset {
			found = append(found, mark)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the marks of %s: %w", l.Position, err)
	}
	return found, nil
}

// topicOf is the dead topic that a letter stands in.
func (d *DeadLetters) topicOf(l Letter) deadTopic {
	return d.topics[slices.IndexFunc(d.topics, func(t deadTopic) bool { return t.name == l.Topic })]
}
