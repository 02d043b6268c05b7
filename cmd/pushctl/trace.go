package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// traceEvent is an event of a timeline, as the API tells it.
type traceEvent struct {
	Time        time.Time  `json:"time"`
	User        string     `json:"user,omitempty"`
	Device      string     `json:"device,omitempty"`
	Platform    string     `json:"platform,omitempty"`
	ID          string     `json:"id,omitempty"`
	Purpose     string     `json:"purpose,omitempty"`
	Disposition string     `json:"disposition"`
	Reason      string     `json:"reason,omitempty"`
	Answer      string     `json:"answer,omitempty"`
	Attempt     int        `json:"attempt,omitempty"`
	Redrive     int        `json:"redrive,omitempty"`
	Admitted    *time.Time `json:"admitted,omitempty"`
	Due         *time.Time `json:"due,omitempty"`
}

func (p *program) trace() *cobra.Command {
	var appFlag, user, device string
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
				Events  []traceEvent `json:"events"`
				LeftOut int          `json:"left_out"`
			}
			path := "/v1/apps/" + segment(app) + "/messages/" + segment(args[0]) + "/timeline"
			if err := api.call(cmd.Context(), http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			events := slices.DeleteFunc(answer.Events, func(e traceEvent) bool {
				return user != "" && e.User != user || device != "" && e.Device != device
			})
			if answer.LeftOut > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d events had no room in the timeline\n", answer.LeftOut)
			}
			if len(events) == 0 {
				return fmt.Errorf("nothing is known of %s in app %s", args[0], app)
			}
			return p.showWay(events)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&appFlag, "app", "", "app (default: default_app of the configuration)")
	flags.StringVar(&user, "user", "", "only of this recipient")
	flags.StringVar(&device, "device", "", "only of this device")
	return cmd
}

// showWay shows each recipient's and each device's way, one after the other.
func (p *program) showWay(events []traceEvent) error {
	slices.SortStableFunc(events, func(a, b traceEvent) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Device, b.Device))
	})
	t := p.table("TIME", "USER", "DEVICE", "PLATFORM", "STEP", "REASON", "ATTEMPT", "ANSWER", "DUE", "ID")
	for _, e := range events {
		if e.Admitted != nil && t.json == nil { // a step of its own, for people
			admitted := traceEvent{Time: *e.Admitted, User: e.User, Device: e.Device, Platform: e.Platform, ID: e.ID, Purpose: e.Purpose,
				Disposition: "admitted", Attempt: e.Attempt, Redrive: e.Redrive}
			if err := t.row(admitted, admitted.cells()...); err != nil {
				return err
			}
		}
		if err := t.row(e, e.cells()...); err != nil {
			return err
		}
	}
	return t.end()
}

// inMillis is how a table shows a time.
const inMillis = "2006-01-02T15:04:05.000Z07:00"

func (e traceEvent) cells() []any {
	step, attempt, due := e.Disposition, number(e.Attempt), ""
	if e.Purpose != "" {
		step += " (" + e.Purpose + ")"
	}
	if e.Redrive > 0 {
		attempt += fmt.Sprintf(" (redrive %d)", e.Redrive)
	}
	if e.Due != nil {
		due = e.Due.Format(inMillis)
	}
	return []any{e.Time.Format(inMillis), e.User, e.Device, e.Platform, step, e.Reason, attempt, e.Answer, due, e.ID}
}
