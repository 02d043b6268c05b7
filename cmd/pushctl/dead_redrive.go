package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/operate"
)

// redrive is one call of the command.
type redrive struct {
	selection
	all, dryRun bool
	perSecond   float64
}

func (p *program) deadRedrive() *cobra.Command {
	var r redrive
	cmd := &cobra.Command{
		Use:   "redrive [TOPIC/PARTITION/OFFSET]",
		Short: "Send dead letters back where they came from: one, those that filters choose, or --all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := r.check(args)
			if err != nil {
				return err
			}
			cluster, letters, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			if r.dryRun {
				t := p.letterTable()
				return errors.Join(r.pick(cmd.Context(), letters, at, t.letter), t.end())
			}
			sent, err := r.run(cmd.Context(), cluster, letters, at)
			t := p.table("REDRIVEN")
			return errors.Join(err, t.row(map[string]int{"redriven": sent}, sent), t.end())
		},
	}
	r.flags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&r.all, "all", false, "every dead letter")
	flags.BoolVar(&r.dryRun, "dry-run", false, "list what would be sent back, and send nothing")
	flags.Float64Var(&r.perSecond, "rate", 0, "letters a second at most; 0 = as fast as it goes")
	return cmd
}

// check returns the position that the arguments name, nil where filters choose.
func (r *redrive) check(args []string) (*operate.Position, error) {
	filtered := r.filter != operate.Filter{Redriven: r.filter.Redriven}
	switch {
	case r.perSecond < 0:
		return nil, command.Usagef("--rate is not negative")
	case len(args) == 1 && (filtered || r.all):
		return nil, command.Usagef("redrive takes a position or filters, not both")
	case len(args) == 1:
		at, err := operate.ParsePosition(args[0])
		if err != nil {
			return nil, command.Usagef("%w", err)
		}
		return &at, nil
	case !filtered && !r.all:
		return nil, command.Usagef("redrive needs a position, a filter or --all")
	}
	return nil, r.selection.check()
}

// pick calls fn for the letter at a position, or for those that the filters choose.
func (r *redrive) pick(ctx context.Context, letters *operate.DeadLetters, at *operate.Position, fn func(operate.Letter) error) error {
	if at == nil {
		return r.each(ctx, letters, fn)
	}
	l, err := letters.Get(ctx, *at)
	if err != nil {
		return err
	}
	if l.Redriven > 0 && !r.filter.Redriven {
		return fmt.Errorf("%s was sent back already; --redriven sends it again", *at)
	}
	return fn(l)
}

// publisherGrace is how long the publisher may write what is queued when redrive ends early.
const publisherGrace = 5 * time.Second

// run sends back what is picked, and says how many, after an error too.
func (r *redrive) run(ctx context.Context, cluster *stream.Cluster, letters *operate.DeadLetters, at *operate.Position) (int, error) {
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	back := letters.NewRedrive(pub, r.perSecond)
	err := r.pick(ctx, letters, at, func(l operate.Letter) error { return back.Add(ctx, l) })
	if err == nil {
		err = back.Flush(ctx)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), publisherGrace)
	defer cancel()
	return back.Sent(), errors.Join(err, pub.Close(grace))
}
