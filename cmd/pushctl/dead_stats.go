package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/workers/operate"
)

func (p *program) deadStats() *cobra.Command {
	var s selection
	var by []string
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count dead letters, those that were sent back or discarded apart",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(p.now()); err != nil {
				return err
			}
			for _, field := range by {
				if !slices.Contains(operate.GroupFields(), field) {
					return command.Usagef("--by is some of %s", strings.Join(operate.GroupFields(), ","))
				}
			}
			cluster, letters, _, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			counts, all, err := letters.Stats(cmd.Context(), s.filter, by)
			if err != nil {
				return err
			}
			return p.counts(counts, all)
		},
	}
	s.filters(cmd)
	cmd.Flags().StringSliceVar(&by, "by", operate.GroupFields(), "what is counted apart")
	return cmd
}

// counts shows counts, and in a table all of them together below.
func (p *program) counts(counts []operate.Count, all operate.Count) error {
	t := p.table("TOPIC", "REASON", "APP", "PLATFORM", "CREDENTIAL", "LETTERS", "OPEN", "REDRIVEN", "DISCARDED", "OLDEST", "NEWEST")
	row := func(c operate.Count, topic string) error {
		oldest, newest := "", ""
		if c.Letters > 0 {
			oldest, newest = c.Oldest.UTC().Format(time.RFC3339), c.Newest.UTC().Format(time.RFC3339)
		}
		return t.row(c, topic, c.Reason, c.App, c.Platform, c.Credential, c.Letters, c.Open, c.Redriven, c.Discarded, oldest, newest)
	}
	for _, c := range counts {
		if err := row(c, c.Topic); err != nil {
			return err
		}
	}
	if p.output == "table" {
		if err := row(all, "all"); err != nil {
			return err
		}
	}
	return t.end()
}
