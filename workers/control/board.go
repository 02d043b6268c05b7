// Package control is what the parts of a fleet tell each other to do. An operator's stops and deliver's word that a
// credential can send again flow in as records of the compacted control topic; every process follows all of it, and
// what is paused now, and every change, flow out. It promises that a stop is durable, survives restarts, and reaches
// every process within a few seconds; and that a process sends nothing before it knows what is stopped. The same topic keeps
// what operators did to dead letters, which tells no process anything.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// followEvery is how often the topic's end is looked at: a stop takes about that long.
const followEvery = time.Second

// Reader reads a topic without a group; *stream.Cluster is one.
type Reader interface {
	Partitions(ctx context.Context, topic string) (int, error)
	Scan(ctx context.Context, topic string, ranges []stream.Range, fn func(*stream.Record) bool) error
}

// ChangeKind says what happened to a target.
type ChangeKind int

// The changes.
const (
	Paused  ChangeKind = iota
	Resumed            // by an operator, whether it was paused or not
	Ready              // deliver says that the credential can send again
)

// Change is one change of the board.
type Change struct {
	Kind ChangeKind
	Target
}

// Board is what the control topic says, as of a second ago. It is safe for concurrent use; Run must be running.
type Board struct {
	reader  Reader
	topic   string
	log     *zap.Logger
	watch   []func(Change)
	next    map[int32]int64 // offset to go on at, by partition
	current atomic.Pointer[map[Target]Pause]
}

// NewBoard returns a board that knows nothing yet.
func NewBoard(reader Reader, topics stream.Topics, log *zap.Logger) *Board {
	return &Board{reader: reader, topic: topics.Control(), log: log, next: map[int32]int64{}}
}

// OnChange has fn called with every change that comes after the first reading, in order, by one goroutine. To be called
// before Run.
func (b *Board) OnChange(fn func(Change)) { b.watch = append(b.watch, fn) }

var errNotRead = errors.New("what an operator has stopped is not known yet")

// Ready says why the board knows nothing; nil when it was read once.
func (b *Board) Ready(context.Context) error {
	if b.current.Load() == nil {
		return errNotRead
	}
	return nil
}

// PlatformPaused says whether nothing of a platform may be sent. So it is until the board was read once.
func (b *Board) PlatformPaused(p push.Platform) bool {
	pauses := b.current.Load()
	if pauses == nil {
		return true
	}
	_, paused := (*pauses)[Target{Platform: p}]
	return paused
}

// Paused says whether an app or its credential is paused.
func (b *Board) Paused(app, credential string) bool {
	pauses := b.current.Load()
	if pauses == nil || len(*pauses) == 0 {
		return false
	}
	if _, paused := (*pauses)[Target{App: app}]; paused {
		return true
	}
	_, paused := (*pauses)[Target{App: app, Credential: credential}]
	return paused && credential != ""
}

// Pauses lists what is paused, in the order of platforms, apps and credentials.
func (b *Board) Pauses() []Pause {
	pauses := b.current.Load()
	if pauses == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(*pauses), func(x, y Pause) int {
		return cmp.Or(cmp.Compare(x.Platform, y.Platform), cmp.Compare(x.App, y.App), cmp.Compare(x.Credential, y.Credential))
	})
}

// Run follows the topic until ctx ends. A Kafka that is away, or a topic that does not exist, is waited for.
func (b *Board) Run(ctx context.Context) {
	failed := false
	for {
		err := b.Read(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			b.log.Warn("the control topic cannot be read; what is known stays", zap.Error(err))
		}
		failed = err != nil
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return
		}
	}
}

// Read reads what came since the last time, once. Run calls it; a program that only wants to know calls it instead.
func (b *Board) Read(ctx context.Context) error {
	n, err := b.reader.Partitions(ctx, b.topic)
	if err != nil {
		return fmt.Errorf("%s: %w", b.topic, err)
	}
	ranges := make([]stream.Range, n)
	for id := range ranges {
		ranges[id] = stream.Range{Partition: int32(id), From: b.next[int32(id)], To: -1}
	}
	before := b.current.Load()
	pauses := map[Target]Pause{}
	if before != nil {
		pauses = maps.Clone(*before)
	}
	var changes []Change
	err = b.reader.Scan(ctx, b.topic, ranges, func(r *stream.Record) bool {
		b.next[r.Partition] = r.Offset + 1
		if _, ok := auditID(r.Key); ok {
			return true
		}
		change, err := apply(pauses, r)
		if err != nil {
			b.log.Error("unreadable record of the control topic", zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset), zap.Error(err))
			return true
		}
		changes = append(changes, change)
		return true
	})
	if err != nil && before == nil {
		clear(b.next) // half of it is not known: from the start again
		return err
	}
	b.current.Store(&pauses)
	if before != nil {
		for _, c := range changes {
			b.tell(c)
		}
	}
	return err
}

// apply takes one record into what is paused.
func apply(pauses map[Target]Pause, r *stream.Record) (Change, error) {
	target, ready, err := parseKey(r.Key)
	switch {
	case err != nil:
		return Change{}, err
	case ready:
		return Change{Ready, target}, nil
	case r.Value == nil:
		delete(pauses, target)
		return Change{Resumed, target}, nil
	}
	p := Pause{Target: target, Since: r.Time}
	var v pauseValue
	if json.Unmarshal(r.Value, &v) == nil { // a stop is a stop, whatever else the record says
		p.By, p.Note = v.By, v.Note
		if v.Time > 0 {
			p.Since = time.UnixMilli(v.Time)
		}
	}
	pauses[target] = p
	return Change{Paused, target}, nil
}

func (b *Board) tell(c Change) {
	switch c.Kind {
	case Paused:
		b.log.Warn("paused by an operator", zap.Stringer("target", c.Target))
	case Resumed:
		b.log.Info("resumed by an operator", zap.Stringer("target", c.Target))
	case Ready:
		b.log.Info("credential sends again", zap.Stringer("target", c.Target))
	}
	for _, fn := range b.watch {
		fn(c)
	}
}
