// Command pushsim runs the providers' simulators as a process of their own, and makes load for a fleet. It logs to
// stderr, and ends with 0 on SIGINT and SIGTERM, 1 on a failure, 2 on a wrong command line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

func main() { command.Main(run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{Use: "pushsim", Short: "Simulators of APNs and FCM, and load"}
	root.AddCommand(
		simulator("apns", "Simulate APNs", simulate.Config{APNs: true}, stdout),
		simulator("fcm", "Simulate FCM and its OAuth endpoint", simulate.Config{FCM: true}, stdout),
		simulator("both", "Simulate APNs and FCM", simulate.Config{APNs: true, FCM: true}, stdout),
		load(stdout),
	)
	return command.Execute(ctx, root, args, stdin, stdout, stderr)
}

// maxSpeed makes a year of a few minutes; beyond it the clock jumps too far between two requests.
const maxSpeed = 100_000

// ready is the ready line: where everything can be reached, and the files that a fleet's configuration names.
type ready struct {
	APNs               string `json:"apns,omitempty"`
	FCM                string `json:"fcm,omitempty"`
	Admin              string `json:"admin"`
	CAFile             string `json:"ca_file"`
	KeyFile            string `json:"key_file,omitempty"`
	CertificateFile    string `json:"certificate_file,omitempty"`
	ServiceAccountFile string `json:"service_account_file,omitempty"`
}

func simulator(use, short string, cfg simulate.Config, stdout io.Writer) *cobra.Command {
	var script string
	var speed float64
	cmd := &cobra.Command{
		Use:   use,
		Short: short + " until SIGINT or SIGTERM",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !(speed > 0 && speed <= maxSpeed) {
				return command.Usagef("--clock-speed is more than 0, and %d at most", maxSpeed)
			}
			if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
				return fmt.Errorf("--dir: %w", err)
			}
			if script != "" {
				content, err := os.ReadFile(script)
				if err != nil {
					return fmt.Errorf("--faults: %w", err)
				}
				if cfg.Faults, err = faults.Parse(content); err != nil {
					return fmt.Errorf("--faults %s: %w", script, err)
				}
			}
			cfg.Now = pushtest.Clock(speed)
			sim, err := simulate.Start(cfg)
			if err != nil {
				return err
			}
			line := ready{Admin: sim.Admin.URL(), CAFile: sim.CAFile}
			if sim.APNs != nil {
				line.APNs, line.KeyFile, line.CertificateFile = sim.APNs.URL(), sim.KeyFile, sim.CertificateFile
			}
			if sim.FCM != nil {
				line.FCM, line.ServiceAccountFile = sim.FCM.URL(), sim.ServiceAccountFile
			}
			if err := json.NewEncoder(stdout).Encode(line); err != nil {
				_ = sim.Close() // the first error says more
				return err
			}
			<-cmd.Context().Done()
			return sim.Close()
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Dir, "dir", "pushsim", "folder for the certificate authority, the p8 and the service account")
	flags.StringVar(&cfg.APNsAddr, "apns", "", "address of the APNs simulator (default: a free port)")
	flags.StringVar(&cfg.FCMAddr, "fcm", "", "address of the FCM simulator (default: a free port)")
	flags.StringVar(&cfg.AdminAddr, "admin", "", "address of the admin API (default: a free port)")
	flags.StringVar(&script, "faults", "", "fault script in YAML or JSON, as PUT /faults takes it")
	flags.BoolVar(&cfg.CountOnly, "count-only", false, "keep counts in place of ledger lines, for heavy load")
	flags.Float64Var(&speed, "clock-speed", 1, "how many times as fast as the true one the simulators' clock runs")
	return cmd
}
