// Command pushfleet runs the fleet: the roles of a real deployment, or a whole fleet with everything that it needs in
// one process. It logs to stderr, and ends with 0 on SIGINT and SIGTERM, 1 on a failure, 2 on a wrong command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	_ "time/tzdata" // quiet hours in any time zone, where the host knows none

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/workers/dev"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

func main() { command.Main(run) }

// program is one execution.
type program struct {
	configFile string
	stdout     io.Writer
	stderr     io.Writer
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr}
	root := &cobra.Command{Use: "pushfleet", Short: "Offline push for instant messaging"}
	root.PersistentFlags().StringVarP(&p.configFile, "config", "c", "pushfleet.yaml", "configuration file")
	topics := &cobra.Command{Use: "topics", Short: "The fleet's Kafka topics"}
	topics.AddCommand(p.topicsApply())
	cfg := &cobra.Command{Use: "config", Short: "The configuration"}
	cfg.AddCommand(p.configCheck())
	root.AddCommand(p.run(), p.dev(), topics, cfg, p.healthcheck())
	return command.Execute(ctx, root, args, stdin, stdout, stderr)
}

// config loads the configuration file.
func (p *program) config() (*config.Config, error) {
	cfg, err := config.Load(p.configFile, fleet.Names())
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", p.configFile, err)
	}
	return cfg, nil
}

func (p *program) run() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run roles of the fleet until SIGINT or SIGTERM",
		RunE: func(cmd *cobra.Command, _ []string) error {
			parsed, err := fleet.ParseRoles(roles)
			if err != nil {
				return command.Usagef("--roles: %w", err)
			}
			cfg, err := p.config()
			if err != nil {
				return err
			}
			log := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
			defer func() { _ = log.Sync() }() // stderr of a terminal cannot be synced, and need not
			return fleet.Run(cmd.Context(), fleet.Options{Config: cfg, Roles: parsed, Logger: log})
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", nil, fmt.Sprintf("roles to run, separated by commas (default: all of %v)", fleet.Roles()))
	return cmd
}

func (p *program) dev() *cobra.Command {
	opts := dev.Options{Out: p.stdout}
	var output, level string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole fleet with its own Kafka, Redis and simulators in this process",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return command.Usagef("--output is table or json")
			}
			opts.JSON = output == "json"
			opts.Logger = telemetry.NewLogger(level, "console")
			defer func() { _ = opts.Logger.Sync() }() // stderr of a terminal cannot be synced, and need not
			return dev.Run(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.DataDir, "data-dir", "data", "folder for messages, offsets, devices, keys and the configuration")
	flags.StringVarP(&output, "output", "o", "table", "the ready line: table, or json")
	flags.StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	flags.StringVar(&opts.KafkaAddr, "kafka", "", "address of the embedded Kafka (default: a free port)")
	flags.StringVar(&opts.RedisAddr, "redis", "", "address of the embedded Redis (default: a free port)")
	flags.StringVar(&opts.APIAddr, "api", "", "address of the HTTP API (default: a free port)")
	flags.StringVar(&opts.APNsAddr, "apns", "", "address of the APNs simulator (default: a free port)")
	flags.StringVar(&opts.FCMAddr, "fcm", "", "address of the FCM simulator (default: a free port)")
	flags.StringVar(&opts.AdminAddr, "admin", "", "address of the simulators' admin API (default: a free port)")
	return cmd
}

func (p *program) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say every mistake of the configuration, each with its path, missing and wrong key files included",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			drivers, err := fleet.Drivers(cfg, time.Now)
			if err != nil {
				return fmt.Errorf("configuration %s:\n%w", p.configFile, err)
			}
			var errs []error
			for _, d := range drivers {
				errs = append(errs, d.Check(), d.Close())
			}
			errs = append(errs, fleet.CheckFiles(cfg))
			if err := errors.Join(errs...); err != nil {
				return fmt.Errorf("configuration %s:\n%w", p.configFile, err)
			}
			_, err = fmt.Fprintf(p.stdout, "%s: ok\n", p.configFile)
			return err
		},
	}
}

func (p *program) topicsApply() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Create the topics that are missing, and say where existing ones differ",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: cfg.Kafka.Brokers})
			defer cluster.Close()
			applied, err := cluster.Apply(ctx, fleet.Layout(cfg))
			if err != nil {
				return err
			}
			for _, topic := range applied.Created {
				fmt.Fprintf(p.stdout, "created %s\n", topic)
			}
			for _, d := range applied.Differences {
				fmt.Fprintf(p.stdout, "differs %s: %s is %s, not %s\n", d.Topic, d.Setting, d.Have, d.Want)
			}
			fmt.Fprintf(p.stdout, "%d topics created, %d settings differ\n", len(applied.Created), len(applied.Differences))
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the brokers")
	return cmd
}

func (p *program) healthcheck() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running process whether it is alive, for containers without a shell",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				cfg, err := p.config()
				if err != nil {
					return err
				}
				if url, err = fleet.HealthURL(cmd.Context(), cfg); err != nil {
					return err
				}
			}
			return probe(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "what to ask (default: /healthz of api.listen, or of health.listen)")
	return cmd
}

// probe asks url, and fails unless it answers 200 within two seconds.
func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return command.Usagef("--url: %w", err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}
