package operate

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/time/rate"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Publisher writes records; [stream.Publisher] is one.
type Publisher interface {
	Publish(ctx context.Context, m stream.Message, done func(error))
}

// headerRedriven marks a record of a dead topic that is no letter: it says that the letter at this offset of the same
// partition was sent back. The mark has no value, and outlives its letter because it stands behind it.
const headerRedriven = "pf-redriven-offset"

// marked returns the letter that a record marks as sent back; false where the record is a letter itself.
func marked(r *stream.Record) (Position, bool) {
	value, ok := r.Header(headerRedriven)
	if !ok || r.Value != nil {
		return Position{}, false
	}
	offset, err := strconv.ParseInt(string(value), 10, 64)
	return Position{r.Topic, r.Partition, offset}, err == nil
}

func mark(l Letter) stream.Message {
	return stream.Message{Topic: l.Topic, Key: l.record.Key, Partition: l.Partition,
		Headers: []stream.Header{{Key: headerRedriven, Value: strconv.AppendInt(nil, l.Offset, 10)}}}
}

// A batch of letters on their way back is bounded by both.
const (
	batchLetters = 500
	batchBytes   = 16 << 20
)

// Redrive sends letters back where they came from: a notification to the lane of its platform with its attempts at the
// first again, a record of im.* to its topic with its bytes and headers as they were. It adds letters until their batch
// is full, and a letter is marked only when its record is durable. It is not safe for concurrent use.
type Redrive struct {
	letters *DeadLetters
	pub     Publisher
	limit   *rate.Limiter

	batch []Letter
	bytes int
	sent  int
}

// NewRedrive returns a Redrive that sends at most perSecond letters a second; 0 means as fast as it goes.
func (d *DeadLetters) NewRedrive(pub Publisher, perSecond float64) *Redrive {
	limit := rate.Limit(perSecond)
	if perSecond <= 0 {
		limit = rate.Inf
	}
	return &Redrive{letters: d, pub: pub, limit: rate.NewLimiter(limit, 1)}
}

// Add sends a letter back, now or with the next full batch.
func (r *Redrive) Add(ctx context.Context, l Letter) error {
	if err := r.limit.Wait(ctx); err != nil {
		return err
	}
	r.batch = append(r.batch, l)
	r.bytes += len(l.record.Value)
	if len(r.batch) < batchLetters && r.bytes < batchBytes {
		return nil
	}
	return r.Flush(ctx)
}

// Flush sends what waits, and returns when all of it is durable and marked. After an error some letters may have been
// sent back without a mark.
func (r *Redrive) Flush(ctx context.Context) error {
	back, marks := make([]stream.Message, len(r.batch)), make([]stream.Message, len(r.batch))
	for i, l := range r.batch {
		back[i], marks[i] = r.letters.back(l), mark(l)
	}
	if err := publish(ctx, r.pub, back); err != nil {
		return fmt.Errorf("send dead letters back: %w", err)
	}
	if err := publish(ctx, r.pub, marks); err != nil {
		return fmt.Errorf("mark dead letters as sent back (they were): %w", err)
	}
	r.sent += len(r.batch)
	r.batch, r.bytes = nil, 0
	return nil
}

// Sent is how many letters were sent back and marked.
func (r *Redrive) Sent() int { return r.sent }

// publish returns nil when all messages are durable, and the first error once all have ended or ctx has.
func publish(ctx context.Context, pub Publisher, messages []stream.Message) error {
	done := make(chan error, len(messages)) // so large that a late answer finds room after ctx ended
	for _, m := range messages {
		pub.Publish(ctx, m, func(err error) { done <- err })
	}
	var first error
	for range messages {
		select {
		case err := <-done:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}

// back is the record that a letter once was. Its redrive number grows with every time that it was sent back, so that
// admit takes it for a newer try and not for a repetition.
func (d *DeadLetters) back(l Letter) stream.Message {
	i := slices.IndexFunc(d.topics, func(t deadTopic) bool { return t.name == l.Topic })
	t := d.topics[i]
	m := stream.Message{Topic: t.origin, Key: l.record.Key, Value: l.record.Value, Partition: stream.ByKey}
	if t.platform == "" {
		m.Headers = slices.DeleteFunc(slices.Clone(l.record.Headers), func(h stream.Header) bool { return strings.HasPrefix(h.Key, "pf-") })
		return m
	}
	meta := stream.Meta{ID: l.meta.ID, Lane: l.meta.Lane, Attempt: 1, FirstSeen: l.meta.FirstSeen, Origin: l.meta.Origin,
		Traceparent: l.meta.Traceparent, Redrive: l.meta.Redrive + l.Redriven + 1}
	if !slices.Contains(push.Lanes, meta.Lane) {
		meta.Lane = push.LaneNormal
	}
	m.Topic, m.Headers = t.names.Work(t.platform, meta.Lane), meta.Headers()
	return m
}
