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
	cmd := &cobra.Command{Use: "dead", Short: "List, show, count, redrive and discard dead letters"}
	cmd.AddCommand(p.deadList(), p.deadShow(), p.deadStats(), p.deadExplain(), p.deadRedrive(), p.deadDiscard(), p.deadAudit())
	return cmd
}

// deadLetters opens the configured cluster, which its caller closes, and its dead topics.
func (p *program) deadLetters() (*stream.Cluster, *operate.DeadLetters, stream.Topics, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, nil, stream.Topics{}, err
	}
	cluster, topics := openCluster(cfg), stream.Topics{Prefix: cfg.Kafka.Prefix}
	return cluster, operate.NewDeadLetters(cluster, topics, fleet.Names()), topics, nil
}

// openCluster opens the configured cluster. Its errors come back from each call, so it logs nothing.
func openCluster(cfg *config.Config) *stream.Cluster {
	return stream.OpenCluster(stream.ClusterConfig{Brokers: cfg.Kafka.Brokers, ClientID: "pushctl"})
}

// selection are the flags that choose letters.
type selection struct {
	filter       operate.Filter
	since, until string
	limit        int
}

// filters registers what letters may have in common.
func (s *selection) filters(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar((*string)(&s.filter.Reason), "reason", "", "only of this reason; dead explain lists them")
	flags.StringVar(&s.filter.App, "app", "", "only of this app")
	flags.StringVar((*string)(&s.filter.Platform), "platform", "", "only of this platform")
	flags.StringVar(&s.filter.Credential, "credential", "", "only of this credential")
	flags.StringVar(&s.filter.User, "user", "", "only for this user; of chat messages those from or to this user")
	flags.StringVar(&s.filter.MsgKey, "msg-key", "", "only of this chat message")
	flags.StringVar(&s.filter.Topic, "topic", "", "only of this dead topic")
	flags.StringVar(&s.since, "since", "", "only those that died then or later: a time (RFC 3339), or an age as 24h")
	flags.StringVar(&s.until, "until", "", "only those that died before: a time, or an age")
}

func (s *selection) redriven(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.filter.Redriven, "redriven", false, "those too that were sent back already")
}

func (s *selection) discarded(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.filter.Discarded, "discarded", false, "those too that were discarded")
}

func (s *selection) limited(cmd *cobra.Command) {
	cmd.Flags().IntVar(&s.limit, "limit", 0, "at most so many; 0 = all")
}

// check says what is wrong with the flags, and takes in those of time.
func (s *selection) check(now time.Time) (err error) {
	if s.limit < 0 {
		return command.Usagef("--limit is not negative")
	}
	if p := s.filter.Platform; p != "" && !slices.Contains(fleet.Names(), p) {
		return command.Usagef("--platform is one of %v", fleet.Names())
	}
	if r := s.filter.Reason; r != "" && !slices.Contains(operate.DeadReasons(), r) {
		return command.Usagef("--reason is one of %v", operate.DeadReasons())
	}
	if s.filter.Since, err = instant("--since", s.since, now); err != nil {
		return err
	}
	s.filter.Until, err = instant("--until", s.until, now)
	return err
}

// instant reads a time, or an age; zero where the flag is not set.
func instant(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, command.Usagef("%s is a time, as 2026-01-31T15:04:05Z, or an age, as 90m or 24h", flag)
	}
	return at, nil
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
		Short: "List dead letters, without those that were sent back or discarded",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(p.now()); err != nil {
				return err
			}
			cluster, letters, _, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			t := p.letterTable()
			return errors.Join(s.each(cmd.Context(), letters, t.letter), t.end())
		},
	}
	s.filters(cmd)
	s.redriven(cmd)
	s.discarded(cmd)
	s.limited(cmd)
	return cmd
}

// letterTable shows letters, one a row.
type letterTable struct{ *table }

func (p *program) letterTable() letterTable {
	return letterTable{p.table("POSITION", "TIME", "REASON", "ANSWER", "ATTEMPTS", "APP", "USER", "DEVICE", "MSG_KEY", "REDRIVEN", "DISCARDED")}
}

func (t letterTable) letter(l operate.Letter) error {
	return t.row(l, l.Position, l.Time.Format(time.RFC3339), l.Reason, l.Answer,
		number(l.Attempts), l.App, l.User, l.Device, l.MsgKey, number(l.Redriven), yes(l.Discarded))
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}
