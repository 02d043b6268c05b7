package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Publisher writes records; [stream.Publisher] is one.
type Publisher interface {
	Publish(ctx context.Context, m stream.Message, done func(error))
}

// A batch of letters is bounded by both. With a rate it holds a tenth of a second's letters, so that they leave evenly.
const (
	batchLetters = 500
	batchBytes   = 16 << 20
)

// settleTime is how long a batch that was begun may take after its caller gave up: what was sent back has to be marked.
const settleTime = 20 * time.Second

// Clearing deals with letters: it sends them back or discards them, and marks each when that is durable. Letters are
// added until their batch is full. Right before a batch it looks at what others have marked since the letters were read,
// and passes over those. It is not safe for concurrent use.
type Clearing struct {
	letters *DeadLetters
	pub     Publisher
	limit   *rate.Limiter
	size    int
	mark    Mark
	back    bool // send the letters back before they are marked

	batch  []Letter
	bytes  int
	done   int
	passed int
}

// NewRedrive returns a Clearing that sends letters back where they came from: a notification to the lane of its platform
// with its attempts at the first again, a record of im.* to its topic with its key, bytes and headers. by says who does it,
// as user@host. At most perSecond letters a second are sent; 0 means as fast as it goes.
func (d *DeadLetters) NewRedrive(pub Publisher, by string, perSecond float64) *Clearing {
	c := d.clearing(pub, perSecond)
	c.mark, c.back = Mark{Action: Redriven, By: by}, true
	return c
}

// NewDiscard returns a Clearing that sends nothing: its letters are off the list, and stay where they are. note says why.
func (d *DeadLetters) NewDiscard(pub Publisher, by, note string, perSecond float64) *Clearing {
	c := d.clearing(pub, perSecond)
	c.mark = Mark{Action: Discarded, By: by, Note: note}
	return c
}

func (d *DeadLetters) clearing(pub Publisher, perSecond float64) *Clearing {
	c := &Clearing{letters: d, pub: pub, limit: rate.NewLimiter(rate.Inf, 1), size: batchLetters}
	if perSecond > 0 {
		c.limit.SetLimit(rate.Limit(perSecond))
		c.size = min(batchLetters, max(1, int(perSecond/10)))
	}
	return c
}

// Add deals with a letter, now or with the next full batch.
func (c *Clearing) Add(ctx context.Context, l Letter) error {
	if err := c.limit.Wait(ctx); err != nil {
		return err
	}
	c.batch = append(c.batch, l)
	c.bytes += len(l.record.Value)
	if len(c.batch) < c.size && c.bytes < batchBytes {
		return nil
	}
	return c.Flush(ctx)
}

// Flush deals with what waits, and returns when all of it is durable and marked. A batch that was begun is ended although
// ctx ends. After an error of Kafka some letters may have been sent back without a mark; no others than those of the batch.
func (c *Clearing) Flush(ctx context.Context) error {
	batch, err := c.open(ctx)
	if err != nil {
		return fmt.Errorf("see which letters were dealt with meanwhile: %w", err)
	}
	c.batch, c.bytes = nil, 0
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	var lost, unmarked error
	if c.back {
		back := make([]stream.Message, len(batch))
		for i, l := range batch {
			back[i] = c.letters.back(l)
		}
		sent := batch[:0:0]
		for i, err := range publish(ctx, c.pub, back) {
			if err != nil {
				lost = fmt.Errorf("send %s back: %w", batch[i].Position, err)
				continue
			}
			sent = append(sent, batch[i])
		}
		batch = sent
	}
	marks := make([]stream.Message, len(batch))
	for i, l := range batch {
		marks[i] = c.mark.message(l)
	}
	for i, err := range publish(ctx, c.pub, marks) {
		switch {
		case err == nil:
			c.done++
		case unmarked == nil:
			unmarked = fmt.Errorf("mark %s as %s: %w", batch[i].Position, c.mark.Action, err)
		}
	}
	return errors.Join(lost, unmarked)
}

// open is the batch without what somebody else has dealt with since it was read.
func (c *Clearing) open(ctx context.Context) ([]Letter, error) {
	followed := map[Position]bool{}
	open := c.batch[:0:0]
	for _, l := range c.batch {
		partition := Position{Topic: l.Topic, Partition: l.Partition}
		if !followed[partition] {
			if err := l.marks.follow(ctx, l.Partition); err != nil {
				return nil, err
			}
			followed[partition] = true
		}
		if now := l.marks.of(l.Position); now.redriven() != l.Redriven || now.discarded() != l.Discarded {
			c.passed++
			continue
		}
		open = append(open, l)
	}
	return open, nil
}

// Done is how many letters were dealt with and marked.
func (c *Clearing) Done() int { return c.done }

// Passed is how many letters were passed over because somebody else dealt with them meanwhile.
func (c *Clearing) Passed() int { return c.passed }

// publish returns the end of each message, once all have ended or ctx has.
func publish(ctx context.Context, pub Publisher, messages []stream.Message) []error {
	type end struct {
		i   int
		err error
	}
	ends := make(chan end, len(messages)) // so large that a late answer finds room after ctx ended
	for i, m := range messages {
		pub.Publish(ctx, m, func(err error) { ends <- end{i, err} })
	}
	errs := make([]error, len(messages))
	ended := make([]bool, len(messages))
	for range messages {
		select {
		case e := <-ends:
			errs[e.i], ended[e.i] = e.err, true
		case <-ctx.Done():
			for i := range errs {
				if !ended[i] {
					errs[i] = ctx.Err()
				}
			}
			return errs
		}
	}
	return errs
}
