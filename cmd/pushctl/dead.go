package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/operate"
)

func (p *program) dead() *cobra.Command {
	cmd := &cobra.Command{Use: "dead", Short: "List, show and redrive dead letters"}
	cmd.AddCommand(p.deadList(), p.deadShow(), p.deadRedrive())
	return cmd
}

// deadLetters opens the configured cluster, which its caller closes, and its dead topics.
func (p *program) deadLetters() (*stream.Cluster, *operate.DeadLetters, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, nil, err
	}
	cluster := openCluster(cfg)
	return cluster, operate.NewDeadLetters(cluster, stream.Topics{Prefix: cfg.Kafka.Prefix}, fleet.Names()), nil
}

// openCluster opens the configured cluster. Its errors come back from each call, so it logs nothing.
func openCluster(cfg *config.Config) *stream.Cluster {
	return stream.OpenCluster(stream.ClusterConfig{Brokers: cfg.Kafka.Brokers, ClientID: "pushctl"})
}

// selection are the flags that choose letters.
type selection struct {
	filter operate.Filter
	limit  int
}

func (s *selection) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.filter.Topic, "topic", "", "only of this dead topic")
	flags.StringVar((*string)(&s.filter.Platform), "platform", "", "only of this platform")
	flags.StringVar(&s.filter.App, "app", "", "only of this app")
	flags.StringVar((*string)(&s.filter.Reason), "reason", "", "only of this reason")
	flags.BoolVar(&s.filter.Redriven, "redriven", false, "those too that were sent back already")
	flags.IntVar(&s.limit, "limit", 0, "at most so many; 0 = all")
}

func (s *selection) check() error {
	if s.limit < 0 {
		return command.Usagef("--limit is not negative")
	}
	if p := s.filter.Platform; p != "" && !slices.Contains(fleet.Names(), p) {
		return command.Usagef("--platform is one of %v", fleet.Names())
	}
	return nil
}

// each calls fn for the chosen letters, as many as the limit allows.
func (s *selection) each(ctx context.Context, letters *operate.DeadLetters, fn func(operate.Letter) error) error {
	count := 0
	var failed error
	err := letters.Each(ctx, s.filter, func(l operate.Letter) bool {
		failed = fn(l)
		count++
		return failed == nil && count != s.limit
	})
	return errors.Join(failed, err)
}

func (p *program) deadList() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, without those that were sent back",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			cluster, letters, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			t := p.letterTable()
			return errors.Join(s.each(cmd.Context(), letters, t.letter), t.end())
		},
	}
	s.flags(cmd)
	return cmd
}

// letterTable shows letters, one a row.
type letterTable struct{ *table }

func (p *program) letterTable() letterTable {
	return letterTable{p.table("POSITION", "TIME", "REASON", "ANSWER", "ATTEMPTS", "APP", "USER", "DEVICE", "MSG_KEY", "REDRIVEN")}
}

func (t letterTable) letter(l operate.Letter) error {
	return t.row(l, l.Position, l.Time.Format(time.RFC3339), l.Reason, l.Answer,
		number(l.Attempts), l.App, l.User, l.Device, l.MsgKey, number(l.Redriven))
}
