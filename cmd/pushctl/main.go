// Command pushctl is the operator's command line: it sends messages, sets and shows devices, follows a message's way,
// reads lag and dead letters, redrives them, checks credentials, and stops and resumes sending. Results go to stdout,
// everything else to stderr. It exits with 0 when all went well, 1 when something failed, 2 when the command line is
// wrong.
package main

import (
	"context"
	"io"
	"time"
	_ "time/tzdata" // quiet hours in any time zone, where the host knows none

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
)

func main() { command.Main(run) }

// program is one execution: the flags that all commands share, and the process's surroundings.
type program struct {
	configFile string
	output     string
	apiURL     string
	tokenFile  string

	stdin  io.Reader
	stdout io.Writer
	now    func() time.Time
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, now: time.Now}
	return command.Execute(ctx, p.root(), args, stdin, stdout, stderr)
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pushctl",
		Short: "Operate a pushfleet",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if p.output != "table" && p.output != "json" {
				return command.Usagef("--output is table or json")
			}
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&p.configFile, "config", "c", "pushfleet.yaml", "configuration file, the same that pushfleet takes")
	flags.StringVarP(&p.output, "output", "o", "table", "table, or json: one object a line")
	flags.StringVar(&p.apiURL, "api-url", "", "address of the API (default: api.listen of the configuration)")
	flags.StringVar(&p.tokenFile, "token-file", "", "file whose first line is a bearer token (default: api.tokens_file)")
	root.AddCommand(p.send(), p.device(), p.trace(), p.topics(), p.dead(), p.pause(), p.resume(), p.credential(), p.registry(), p.preview())
	return root
}
