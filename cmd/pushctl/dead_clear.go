package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/operate"
)

// clearing is one call of redrive or discard.
type clearing struct {
	selection
	action      operate.Action
	all, dryRun bool
	perSecond   float64
	note        string
}

func (p *program) deadRedrive() *cobra.Command {
	c := &clearing{action: operate.Redriven}
	cmd := p.deadClear(c, "redrive [TOPIC/PARTITION/OFFSET]", "Send dead letters back where they came from: one, those that filters choose, or --all")
	c.discarded(cmd)
	return cmd
}

func (p *program) deadDiscard() *cobra.Command {
	c := &clearing{action: operate.Discarded}
	cmd := p.deadClear(c, "discard [TOPIC/PARTITION/OFFSET]", "Take dead letters off the list without sending them: one, those that filters choose, or --all")
	cmd.Flags().StringVar(&c.note, "note", "", "why, for those who look at them later")
	return cmd
}

func (p *program) deadClear(c *clearing, use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := c.check(cmd.Name(), args, p.now())
			if err != nil {
				return err
			}
			return p.clear(cmd, c, at)
		},
	}
	c.filters(cmd)
	c.redriven(cmd)
	c.limited(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&c.all, "all", false, "every dead letter")
	flags.BoolVar(&c.dryRun, "dry-run", false, "list what is chosen, and change nothing")
	flags.Float64Var(&c.perSecond, "rate", 0, "letters a second at most; 0 = as fast as it goes")
	return cmd
}

// check returns the position that the arguments name, nil where filters choose.
func (c *clearing) check(name string, args []string, now time.Time) (*operate.Position, error) {
	if err := c.selection.check(now); err != nil {
		return nil, err
	}
	filtered := !c.filter.All()
	switch {
	case c.perSecond < 0:
		return nil, command.Usagef("--rate is not negative")
	case c.action == operate.Discarded && c.note == "" && !c.dryRun:
		return nil, command.Usagef("discard needs --note, which says why")
	case len(args) == 1 && (filtered || c.all):
		return nil, command.Usagef("%s takes a position or filters, not both", name)
	case len(args) == 1:
		at, err := operate.ParsePosition(args[0])
		if err != nil {
			return nil, command.Usagef("%w", err)
		}
		return &at, nil
	case !filtered && !c.all:
		return nil, command.Usagef("%s needs a position, a filter or --all", name)
	}
	return nil, nil //nolint:nilnil // filters choose
}

// pick calls fn for the letter at a position, or for those that the filters choose.
func (c *clearing) pick(ctx context.Context, letters *operate.DeadLetters, at *operate.Position, fn func(operate.Letter) error) error {
	if at == nil {
		return c.each(ctx, letters, fn)
	}
	l, err := letters.Get(ctx, *at)
	if err != nil {
		return err
	}
	switch {
	case l.Discarded && c.action == operate.Discarded:
		return fmt.Errorf("%s was discarded already", *at)
	case l.Discarded && !c.filter.Discarded:
		return fmt.Errorf("%s was discarded; --discarded sends it back all the same", *at)
	case l.Redriven > 0 && !l.Discarded && !c.filter.Redriven && c.action == operate.Discarded:
		return fmt.Errorf("%s was sent back; --redriven discards it all the same", *at)
	case l.Redriven > 0 && !l.Discarded && !c.filter.Redriven:
		return fmt.Errorf("%s was sent back already; --redriven sends it again", *at)
	}
	return fn(l)
}

// publisherGrace is how long the publisher may write what is queued when a command ends early.
const publisherGrace = 5 * time.Second

// clear deals with what is chosen, and keeps a record of that in the control topic.
func (p *program) clear(cmd *cobra.Command, c *clearing, at *operate.Position) error {
	ctx := cmd.Context()
	cluster, letters, topics, err := p.deadLetters()
	if err != nil {
		return err
	}
	defer cluster.Close()
	if c.dryRun {
		t := p.letterTable()
		return errors.Join(c.pick(ctx, letters, at, t.letter), t.end())
	}
	if _, err := cluster.Partitions(ctx, topics.Control()); err != nil {
		return noControl(topics.Control(), err)
	}
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	audit := control.Audit{ID: uuid.NewString(), Began: p.now(), By: operator(), Command: commandLine(cmd)}
	if err = written(ctx, pub, control.AuditMessage(topics, audit)); err == nil {
		err = c.run(ctx, cmd.ErrOrStderr(), letters, c.clearing(letters, pub, audit.By), at, &audit)
		audit.Ended = p.now()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), publisherGrace)
		defer cancel()
		err = errors.Join(err, written(end, pub, control.AuditMessage(topics, audit)))
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), publisherGrace)
	defer cancel()
	t := p.table(strings.ToUpper(string(c.action)))
	return errors.Join(err, pub.Close(grace), t.row(map[operate.Action]int{c.action: audit.Letters}, audit.Letters), t.end())
}

func (c *clearing) clearing(letters *operate.DeadLetters, pub *stream.Publisher, by string) *operate.Clearing {
	if c.action == operate.Discarded {
		return letters.NewDiscard(pub, by, c.note, c.perSecond)
	}
	return letters.NewRedrive(pub, by, c.perSecond)
}

// run deals with what is picked, tells on stderr how far it is, and notes in the audit how many letters it were, after an
// error too.
func (c *clearing) run(ctx context.Context, stderr io.Writer, letters *operate.DeadLetters, do *operate.Clearing, at *operate.Position, audit *control.Audit) error {
	var now atomic.Pointer[string]
	stop := every(progressEvery, func() {
		if line := now.Load(); line != nil {
			fmt.Fprintln(stderr, *line)
		}
	})
	err := c.pick(ctx, letters, at, func(l operate.Letter) error {
		err := do.Add(ctx, l)
		line := fmt.Sprintf("%s %d, now at %s", c.action, do.Done(), l.Position)
		now.Store(&line)
		return err
	})
	if err == nil {
		err = do.Flush(ctx)
	}
	stop()
	if n := do.Passed(); n > 0 {
		fmt.Fprintf(stderr, "%d letters passed over: somebody else dealt with them meanwhile\n", n)
	}
	audit.Letters = do.Done()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		audit.Problem = "interrupted"
		return fmt.Errorf("interrupted; the same command goes on where it stopped: %w", ctx.Err())
	}
	audit.Problem = err.Error()
	return err
}

// progressEvery is how often a command says how far it is.
const progressEvery = 5 * time.Second

// every calls fn again and again until the function that it returns was called.
func every(d time.Duration, fn func()) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				fn()
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// auditFlags are the flags whose values an audit keeps: those that say which letters were meant, and why. Others say nothing
// of that, and may hold what is nobody's business.
var auditFlags = []string{
	"all", "reason", "app", "platform", "credential", "user", "msg-key", "topic", "since", "until", "redriven", "discarded",
	"limit", "rate", "note",
}

// commandLine is what was asked for, for the audit.
func commandLine(cmd *cobra.Command) string {
	line := []string{cmd.CommandPath()}
	for _, name := range auditFlags {
		switch f := cmd.Flags().Lookup(name); {
		case f == nil || !f.Changed:
		case f.Value.Type() == "bool" && f.Value.String() == "true":
			line = append(line, "--"+name)
		default:
			line = append(line, fmt.Sprintf("--%s=%s", name, f.Value))
		}
	}
	return strings.Join(append(line, cmd.Flags().Args()...), " ")
}

// written publishes one record and returns once it is durable.
func written(ctx context.Context, pub *stream.Publisher, m stream.Message) error {
	done := make(chan error, 1)
	pub.Publish(ctx, m, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
