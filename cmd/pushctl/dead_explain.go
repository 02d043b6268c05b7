package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/workers/operate"
)

func (p *program) deadExplain() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "explain [REASON]",
		Short: "Say what a reason means and what to do about it; without a reason, list them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			chosen := operate.Explanations()
			if len(args) == 1 {
				e, ok := operate.Explain(push.Reason(args[0]))
				if !ok {
					return command.Usagef("%q is no reason; dead explain lists them", args[0])
				}
				chosen = []operate.Explanation{e}
			}
			switch {
			case markdown:
				_, err := fmt.Fprint(p.stdout, operate.Markdown(chosen))
				return err
			case len(args) == 1:
				return p.explanation(chosen[0])
			}
			t := p.table("REASON", "LEADS_TO", "MEANING")
			for _, e := range chosen {
				if err := t.row(e, e.Reason, e.Leads, e.Meaning); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "as docs/dead-letters.md shows them")
	return cmd
}

func (p *program) explanation(e operate.Explanation) error {
	if p.output == "json" {
		return jsonLines(p.stdout).Encode(e)
	}
	t := p.table("FIELD", "VALUE")
	return errors.Join(t.row(nil, "reason", e.Reason), t.row(nil, "leads to", e.Leads), t.row(nil, "meaning", e.Meaning),
		t.row(nil, "remedy", e.Remedy), t.end())
}
