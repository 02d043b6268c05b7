package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
)

// deviceEvent is a device event as it stands in im.devices.
type deviceEvent struct {
	App        string  `json:"App,omitempty"`
	User       string  `json:"User"`
	Device     string  `json:"Device"`
	Event      string  `json:"Event"`
	EventTime  int64   `json:"EventTime"` // ms
	Platform   string  `json:"Platform,omitempty"`
	Token      *string `json:"Token,omitempty"`
	Credential string  `json:"Credential,omitempty"`
	Language   string  `json:"Language,omitempty"`
	VoIPToken  *string `json:"VoIPToken,omitempty"`
	Service    *bool   `json:"Service,omitempty"`
	Unread     *int    `json:"Unread,omitempty"`
	State      string  `json:"State,omitempty"`
}

func (p *program) device() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Set and show devices, their presence, and what their users have set"}
	cmd.AddCommand(p.deviceSet(), p.devicePresence(), p.deviceShow(), p.deviceSettings())
	return cmd
}

// eventFlags are the flags that every device event has.
func eventFlags(cmd *cobra.Command, e *deviceEvent) {
	cmd.Flags().StringVar(&e.App, "app", "", "app (default: default_app of the configuration)")
	cmd.Flags().Int64Var(&e.EventTime, "event-time", 0, "when it happened, in ms (default: now)")
}

func (p *program) deviceSet() *cobra.Command {
	var e deviceEvent
	var token, voipToken string
	var service bool
	cmd := &cobra.Command{
		Use:   "set USER DEVICE",
		Short: "Bind a token to a device: a login, or a new token with --event token",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.User, e.Device = args[0], args[1]
			if e.Event != "login" && e.Event != "token" {
				return command.Usagef("--event is login or token")
			}
			if token == "-" {
				text, err := p.input("-")
				if err != nil {
					return err
				}
				token = strings.TrimSpace(string(text))
			}
			if cmd.Flags().Changed("token") {
				e.Token = &token
			}
			if cmd.Flags().Changed("voip-token") {
				e.VoIPToken = &voipToken
			}
			if cmd.Flags().Changed("service") {
				e.Service = &service
			}
			return p.postEvent(cmd, e)
		},
	}
	eventFlags(cmd, &e)
	flags := cmd.Flags()
	flags.StringVar(&e.Event, "event", "login", "login (the device is in the foreground) or token")
	flags.StringVar(&e.Platform, "platform", "", "apns, fcm, service")
	flags.StringVar(&token, "token", "", `push token; "-" reads it from stdin, "" turns push off`)
	flags.StringVar(&voipToken, "voip-token", "", `token for calls; "" = calls come as alerts`)
	flags.BoolVar(&service, "service", false, "the device's own service takes offline messages; the token is the fallback")
	flags.StringVar(&e.Credential, "credential", "", "name of the credential in the configuration")
	flags.StringVar(&e.Language, "language", "", "BCP 47, as en or zh-Hans")
	return cmd
}

func (p *program) devicePresence() *cobra.Command {
	var e deviceEvent
	var unread int
	cmd := &cobra.Command{
		Use:   "presence USER DEVICE foreground|background|killed|heartbeat|logout|kicked",
		Short: "Report what became of a device",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.User, e.Device, e.Event = args[0], args[1], args[2]
			switch e.Event {
			case "foreground", "background", "killed", "heartbeat", "logout", "kicked":
			default:
				return command.Usagef("presence is foreground, background, killed, heartbeat, logout or kicked")
			}
			if cmd.Flags().Changed("unread") {
				e.Unread = &unread
			}
			return p.postEvent(cmd, e)
		},
	}
	eventFlags(cmd, &e)
	cmd.Flags().IntVar(&unread, "unread", 0, "unread messages, from which the badge goes on")
	cmd.Flags().StringVar(&e.State, "state", "", "of a heartbeat: foreground or background")
	return cmd
}

func (p *program) postEvent(cmd *cobra.Command, e deviceEvent) error {
	if e.EventTime == 0 {
		e.EventTime = p.now().UnixMilli()
	}
	var err error
	if e.App, err = p.app(e.App); err != nil {
		return err
	}
	if err := p.post(cmd, "/v1/devices/events", e); err != nil {
		return err
	}
	t := p.table("USER", "DEVICE", "EVENT")
	if err := t.row(struct {
		User   string `json:"user"`
		Device string `json:"device"`
		Event  string `json:"event"`
	}{e.User, e.Device, e.Event}, e.User, e.Device, e.Event); err != nil {
		return err
	}
	return t.end()
}

// post sends one record to the API and waits until it is accepted.
func (p *program) post(cmd *cobra.Command, path string, record any) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var answer struct {
		Accepted int `json:"accepted"`
	}
	return api.call(cmd.Context(), http.MethodPost, path, body, &answer)
}

// app is the app named by a flag, or the configuration's default.
func (p *program) app(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	cfg, err := p.config()
	if err != nil {
		return "", fmt.Errorf("no --app given: %w", err)
	}
	return cfg.DefaultApp, nil
}
