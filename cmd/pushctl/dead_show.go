package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/workers/operate"
)

func (p *program) deadShow() *cobra.Command {
	var reveal bool
	cmd := &cobra.Command{
		Use:   "show TOPIC/PARTITION/OFFSET",
		Short: "Show all of a dead letter but the token, and the text only with --reveal",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := operate.ParsePosition(args[0])
			if err != nil {
				return command.Usagef("%w", err)
			}
			cluster, letters, _, err := p.deadLetters()
			if err != nil {
				return err
			}
			defer cluster.Close()
			letter, err := letters.Get(cmd.Context(), at)
			if err != nil {
				return err
			}
			detail := letters.Detail(letter, reveal)
			if detail.Marks, err = letters.Marks(cmd.Context(), letter); err != nil {
				return err
			}
			return p.fields(detail)
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the message's text too")
	return cmd
}

// fields shows one object, a field a line.
func (p *program) fields(d operate.Detail) error {
	if p.output == "json" {
		return jsonLines(p.stdout).Encode(d)
	}
	t := p.table("FIELD", "VALUE")
	var failed error
	field := func(name, value string) {
		if failed == nil && value != "" {
			failed = t.row(nil, name, value)
		}
	}
	instant := func(name string, at *time.Time) {
		if at != nil {
			field(name, at.Format(time.RFC3339Nano))
		}
	}
	field("position", d.String())
	field("time", d.Time.Format(time.RFC3339Nano))
	instant("first seen", d.FirstSeen)
	field("reason", string(d.Reason))
	field("answer", d.Answer)
	field("attempts", number(d.Attempts))
	field("redriven", number(d.Redriven))
	field("discarded", yes(d.Discarded))
	for _, m := range d.Marks {
		field(string(m.Action)+" at", strings.TrimSpace(fmt.Sprintf("%s by %s %s", m.Time.Format(time.RFC3339), printable(m.By), m.Note)))
	}
	field("origin", d.Origin)
	field("id", d.ID)
	field("purpose", d.Purpose)
	field("app", d.App)
	field("user", d.User)
	field("device", d.Device)
	field("msg_key", d.MsgKey)
	field("platform", string(d.Platform))
	field("lane", string(d.Lane))
	field("credential", d.Credential)
	field("token hash", d.TokenHash)
	instant("received", d.Received)
	instant("expires", d.Expires)
	field("bytes", number(d.Bytes))
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		if !strings.HasPrefix(name, "pf-") {
			field("header "+name, d.Headers[name])
		}
	}
	if d.Text != nil {
		field("title", d.Text.Title)
		field("subtitle", d.Text.Subtitle)
		field("body", d.Text.Body)
		field("ext", d.Text.Ext)
	}
	field("message", d.Message)
	if failed != nil {
		return failed
	}
	return t.end()
}
