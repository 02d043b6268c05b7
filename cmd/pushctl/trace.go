package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// traceEvent is an event of a timeline, as the API tells it.
type traceEvent struct {
	Time        time.Time `json:"time"`
	User        string    `json:"user,omitempty"`
	Device      string    `json:"device,omitempty"`
	Platform    string    `json:"platform,omitempty"`
	ID          string    `json:"id,omitempty"`
	Disposition string    `json:"disposition"`
	Reason      string    `json:"reason,omitempty"`
	Answer      string    `json:"answer,omitempty"`
	Attempt     int       `json:"attempt,omitempty"`
}

func (p *program) trace() *cobra.Command {
	var appFlag string
	cmd := &cobra.Command{
		Use:   "trace MSG_KEY",
		Short: "Show a message's way: what was decided for each device, and what became of it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := p.app(appFlag)
			if err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			var answer struct {
				Events []traceEvent `json:"events"`
			}
			path := "/v1/apps/" + segment(app) + "/messages/" + segment(args[0]) + "/timeline"
			if err := api.call(cmd.Context(), http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			if len(answer.Events) == 0 {
				return fmt.Errorf("nothing is known of %s in app %s", args[0], app)
			}
			t := p.table("TIME", "USER", "DEVICE", "PLATFORM", "DISPOSITION", "REASON", "ATTEMPT", "ANSWER", "ID")
			for _, e := range answer.Events {
				if err := t.row(e, e.Time.Format("2006-01-02T15:04:05.000Z07:00"), e.User, e.Device, e.Platform,
					e.Disposition, e.Reason, number(e.Attempt), e.Answer, e.ID); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
	cmd.Flags().StringVar(&appFlag, "app", "", "app (default: default_app of the configuration)")
	return cmd
}
