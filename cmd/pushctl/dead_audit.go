package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/workers/control"
)

func (p *program) deadAudit() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who redrove and discarded dead letters, when, which and how many",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return command.Usagef("--limit is not negative")
			}
			cluster, _, topics, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			audits, err := control.Audits(cmd.Context(), cluster, topics)
			if err != nil {
				return noControl(topics.Control(), err)
			}
			if limit > 0 && len(audits) > limit {
				audits = audits[len(audits)-limit:]
			}
			t := p.table("BEGAN", "ENDED", "BY", "LETTERS", "COMMAND", "PROBLEM")
			for _, a := range audits {
				ended, problem := "", a.Problem
				if a.Ended.IsZero() {
					problem = "has not ended: it is under way, or was killed"
				} else {
					ended = a.Ended.UTC().Format(time.RFC3339)
				}
				if err := t.row(a, a.Began.UTC().Format(time.RFC3339), ended, a.By, a.Letters, a.Command, problem); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "the last so many; 0 = all")
	return cmd
}
