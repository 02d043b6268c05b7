package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// shownDevice is what the table shows of a device.
type shownDevice struct {
	Device     string `json:"device"`
	Platform   string `json:"platform"`
	TokenHash  string `json:"token_hash"`
	Credential string `json:"credential"`
	Service    bool   `json:"service"`
	Language   string `json:"language"`
	Version    int64  `json:"version"`
	Presence   string `json:"presence"`
	Push       bool   `json:"push"`
	Filter     string `json:"filter"`
	Badge      int    `json:"badge"`
}

func (p *program) deviceShow() *cobra.Command {
	var appFlag string
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show a user's devices: binding, presence, badge, and whether a message would be pushed now",
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
				Devices []json.RawMessage `json:"devices"`
			}
			path := "/v1/apps/" + segment(app) + "/users/" + segment(args[0]) + "/devices"
			if err := api.call(cmd.Context(), http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			t := p.table("DEVICE", "PLATFORM", "PRESENCE", "PUSH", "BADGE", "CREDENTIAL", "SERVICE", "LANGUAGE", "VERSION", "TOKEN_HASH")
			for _, told := range answer.Devices {
				var d shownDevice
				if err := json.Unmarshal(told, &d); err != nil {
					return fmt.Errorf("a device of the answer: %w", err)
				}
				push, service := "yes", ""
				if !d.Push {
					push = d.Filter
				}
				if d.Service {
					service = "yes"
				}
				if err := t.row(told, d.Device, d.Platform, d.Presence, push, d.Badge, d.Credential, service, d.Language, number(d.Version), d.TokenHash); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
	cmd.Flags().StringVar(&appFlag, "app", "", "app (default: default_app of the configuration)")
	return cmd
}
