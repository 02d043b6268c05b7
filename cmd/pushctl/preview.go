package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/route"
)

func (p *program) preview() *cobra.Command {
	var messageFile, devicesFile string
	var now int64
	cmd := &cobra.Command{
		Use:   "preview --message FILE --devices FILE [--now SECONDS]",
		Short: "Show what a message would send to which device; opens no broker, no Redis and no key",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if messageFile == "" || devicesFile == "" {
				return command.Usagef("preview needs --message and --devices")
			}
			cfg, err := p.config()
			if err != nil {
				return err
			}
			message, err := p.input(messageFile)
			if err != nil {
				return err
			}
			events, err := os.Open(devicesFile)
			if err != nil {
				return err
			}
			defer func() { _ = events.Close() }()
			at := p.now()
			if cmd.Flags().Changed("now") {
				at = time.Unix(now, 0)
			}
			drivers, err := fleet.Drivers(cfg, func() time.Time { return at })
			if err != nil {
				return fmt.Errorf("configuration %s:\n%w", p.configFile, err)
			}
			defer func() {
				for _, d := range drivers {
					_ = d.Close()
				}
			}()
			question := route.Preview{
				Message: message, Events: events, Now: at, DefaultApp: cfg.DefaultApp, Drivers: drivers,
				Apps: fleet.Policies(cfg), MaxAge: cfg.Kafka.MaxAge, Registry: fleet.RegistryOptions(cfg),
				Say: func(problem string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), problem) },
			}
			return question.Run(cmd.Context(), p.stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&messageFile, "message", "m", "", "file with the message as it stands in im.messages; - = stdin")
	flags.StringVarP(&devicesFile, "devices", "d", "", "file with device events, one a line, in the order in which they apply")
	flags.Int64Var(&now, "now", 0, "the record's time, in seconds (default: the clock)")
	return cmd
}
