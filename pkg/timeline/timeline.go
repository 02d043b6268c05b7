// Package timeline keeps the way of every message, for people who ask why a phone got a push or got none. Events flow in,
// batch by batch ([Timeline.Append]); the events of one message flow out ([Timeline.Read]).
//
// It lives in Redis, in the registry's or in one of its own, and may be lost: nothing but people depends on it. It
// promises that it stays within its budget of bytes, the oldest giving way, and within a bound for each message; that a
// message which is not part of the sample is left out whole, but for its failures; that failures give way to nothing
// routine, since they have half of every bound to themselves; and that an event which is appended twice shows once.
//
// All methods are safe for concurrent use.
package timeline

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushfleet/pushfleet/pkg/registry"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Entry is one step of a message's way.
type Entry = *schemasv1.Event

// Options are the timeline's bounds. A zero value means the default, but for Sample.
type Options struct {
	Now          func() time.Time // the clock; default time.Now
	TTL          time.Duration    // how long a message's timeline lives after its last event, at most; default 24 h
	Bytes        int64            // of all timelines together; default 256 MiB
	MessageBytes int              // of one message's; default 256 KiB: half of it holds about 400 devices
	Sample       float64          // share of the messages whose every event is kept, 0 to 1; of the others failures alone
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.TTL = cmp.Or(o.TTL, 24*time.Hour)
	o.Bytes = cmp.Or(o.Bytes, 256<<20)
	o.MessageBytes = cmp.Or(o.MessageBytes, 256<<10)
	return o
}

// Timeline keeps events in Redis.
type Timeline struct {
	client redis.UniversalClient
	opts   Options

	mu    sync.Mutex
	stats Stats
}

// Stats counts events since the Timeline was made.
type Stats struct {
	Kept    uint64
	Sampled uint64 // left out: not in the sample
	Full    uint64 // left out: no room in their message's timeline
	Late    uint64 // left out: older than a timeline lives

	Bytes   int64  // of all timelines in Redis, as of the last call
	Evicted uint64 // timelines, routine or failures of a message, that gave way to newer ones
}

// Open returns a timeline on the Redis of cfg. It connects when the first call needs it. Nothing is retried inside.
func Open(cfg registry.Config, opts Options) (*Timeline, error) {
	client, err := registry.Connect(cfg)
	if err != nil {
		return nil, err
	}
	return &Timeline{client: client, opts: opts.withDefaults()}, nil
}

// Close ends the connections. Running calls fail.
func (t *Timeline) Close() error { return t.client.Close() }

// Stats returns the counts.
func (t *Timeline) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// line is what one call appends to a message's timeline of one class.
type line struct {
	key    string // of Redis
	name   name
	class  class
	values [][]byte
}

// Append adds events to the timelines of their messages, in order. Events without app or message key are left out. After
// an error the same call may be repeated.
func (t *Timeline) Append(ctx context.Context, entries []Entry) error {
	var count Stats
	lines, err := t.lines(entries, &count)
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		if err := t.write(ctx, lines, &count); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Kept += count.Kept
	t.stats.Sampled += count.Sampled
	t.stats.Full += count.Full
	t.stats.Late += count.Late
	t.stats.Evicted += count.Evicted
	if len(lines) > 0 {
		t.stats.Bytes = count.Bytes
	}
	return nil
}

// lines sorts events by message and class, without those that are not to be kept.
func (t *Timeline) lines(entries []Entry, count *Stats) ([]*line, error) {
	type message struct{ app, key string }
	type place struct {
		message message
		class   class
	}
	var lines []*line
	names, places := make(map[message]name), make(map[place]*line)
	oldest := t.opts.Now().Add(-t.opts.TTL).UnixMilli()
	for _, e := range entries {
		if e.GetApp() == "" || e.GetMsgKey() == "" {
			continue
		}
		if e.GetTimeMs() < oldest {
			count.Late++
			continue
		}
		at := place{message{e.GetApp(), e.GetMsgKey()}, classOf(e)}
		n, known := names[at.message]
		if !known {
			n = nameOf(at.message.app, at.message.key)
			names[at.message] = n
		}
		if at.class == routine && n.share() >= t.opts.Sample {
			count.Sampled++
			continue
		}
		value, err := encode(e)
		if err != nil {
			return nil, fmt.Errorf("timeline: %w", err)
		}
		l := places[at]
		if l == nil {
			l = &line{key: n.key(at.class), name: n, class: at.class}
			places[at], lines = l, append(lines, l)
		}
		l.values = append(l.values, value)
	}
	return lines, nil
}

// write appends lines: one round trip asks how much there is, the next writes what has room, and where the budget is
// exceeded, more make room. Two processes that write to one message at the same moment may both take its last room.
func (t *Timeline) write(ctx context.Context, lines []*line, count *Stats) error {
	sizes := make([]*redis.IntCmd, len(lines))
	var books *redis.MapStringStringCmd
	_, err := t.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		books = pipe.HGetAll(ctx, booksKey)
		for i, l := range lines {
			sizes[i] = pipe.StrLen(ctx, l.key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("timeline: read what is there: %w", err)
	}
	b := openBooks(books.Val(), t.opts)
	_, err = t.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, l := range lines {
			t.put(ctx, pipe, b, l, int(sizes[i].Val()), count)
		}
		b.write(ctx, pipe)
		return nil
	})
	if err != nil {
		return fmt.Errorf("timeline: append: %w", err)
	}
	for c := range classes {
		evicted, err := b.evict(ctx, t.client, c)
		count.Evicted += evicted
		if err != nil {
			return fmt.Errorf("timeline: make room: %w", err)
		}
		count.Bytes += b.total(c)
	}
	return nil
}

// put appends what has room of one line; size is of what is there.
func (t *Timeline) put(ctx context.Context, pipe redis.Pipeliner, b *books, l *line, size int, count *Stats) {
	var value []byte
	left := 0
	for _, v := range l.values {
		if size+len(value)+len(v) > t.opts.MessageBytes/int(classes) {
			left++
			continue
		}
		value = append(value, v...)
	}
	count.Full += uint64(left)
	count.Kept += uint64(len(l.values) - left)
	if left > 0 {
		pipe.IncrBy(ctx, l.name.leftOut(), int64(left))
		pipe.PExpire(ctx, l.name.leftOut(), t.opts.TTL)
	}
	if len(value) > 0 {
		pipe.Append(ctx, l.key, string(value))
		pipe.PExpire(ctx, l.key, t.opts.TTL)
		b.add(l, len(value), size == 0)
	}
}

// Line is what is known of a message's way.
type Line struct {
	Entries []Entry // by time
	LeftOut int     // events for which there was no room
}

// Read returns what is known of a message's way; no entries = nothing is known.
func (t *Timeline) Read(ctx context.Context, app, msgKey string) (Line, error) {
	n := nameOf(app, msgKey)
	var values [classes]*redis.StringCmd
	var left *redis.StringCmd
	_, err := t.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for c := range classes {
			values[c] = pipe.Get(ctx, n.key(c))
		}
		left = pipe.Get(ctx, n.leftOut())
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return Line{}, fmt.Errorf("timeline: read: %w", err)
	}
	var out Line
	for _, cmd := range append(values[:], left) {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) { // that of the first alone is what the call returned
			return Line{}, fmt.Errorf("timeline: read: %w", err)
		}
		if cmd == left {
			out.LeftOut, _ = left.Int() // absent: none
			break
		}
		entries, err := decode([]byte(cmd.Val()))
		if err != nil {
			return Line{}, fmt.Errorf("timeline: read: %w", err)
		}
		out.Entries = append(out.Entries, entries...)
	}
	slices.SortStableFunc(out.Entries, func(a, b Entry) int { return cmp.Compare(a.GetTimeMs(), b.GetTimeMs()) })
	return out, nil
}

// encode writes an event behind its length.
func encode(e Entry) ([]byte, error) {
	value := binary.AppendUvarint(make([]byte, 0, e.SizeVT()+binary.MaxVarintLen32), uint64(e.SizeVT()))
	body, err := e.MarshalVT()
	if err != nil {
		return nil, err
	}
	return append(value, body...), nil
}

var errDamaged = errors.New("what is kept there is no timeline")

// decode reads events one behind the other, each once.
func decode(value []byte) ([]Entry, error) {
	var entries []Entry
	seen := make(map[string]bool)
	for len(value) > 0 {
		size, n := binary.Uvarint(value)
		if n <= 0 || size > uint64(len(value)-n) {
			return nil, errDamaged
		}
		body := value[n : n+int(size)]
		value = value[n+int(size):]
		if seen[string(body)] {
			continue
		}
		seen[string(body)] = true
		e := new(schemasv1.Event)
		if err := e.UnmarshalVT(body); err != nil {
			return nil, errDamaged
		}
		entries = append(entries, e)
	}
	return entries, nil
}
