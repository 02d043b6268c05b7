package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

func (p *program) credential() *cobra.Command {
	cmd := &cobra.Command{Use: "credential", Short: "See which credentials there are, and check one before it is used"}
	cmd.AddCommand(p.credentialList(), p.credentialCheck())
	return cmd
}

// credentialLine is one credential of the configuration.
type credentialLine struct {
	App         string     `json:"app"`
	Name        string     `json:"name"`
	Platform    string     `json:"platform"`
	Kind        string     `json:"kind,omitempty"`
	KeyID       string     `json:"key_id,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Source      string     `json:"source"`
	Expires     *time.Time `json:"expires,omitempty"`
	Days        *int       `json:"days,omitempty"` // until then
	State       string     `json:"state"`          // ok, or what is wrong
}

func (p *program) credentialList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the credentials of the configuration, as their files are on this machine",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			drivers, err := fleet.Drivers(cfg, p.now)
			if err != nil {
				return fmt.Errorf("configuration %s:\n%w", p.configFile, err)
			}
			t := p.table("APP", "NAME", "PLATFORM", "KIND", "KEY", "EXPIRES", "DAYS", "STATE")
			for _, platform := range fleet.Names() {
				keeper, ok := drivers[platform].(push.CredentialKeeper)
				if !ok {
					continue
				}
				for _, s := range keeper.RefreshCredentials() {
					line := p.credentialLine(s)
					expires := date(line.Expires)
					if line.Kind == "" {
						expires = ""
					}
					if err := t.row(line, line.App, line.Name, line.Platform, line.Kind, line.KeyID, expires, days(line.Days), line.State); err != nil {
						return err
					}
				}
			}
			for _, d := range drivers {
				_ = d.Close() // nothing was sent
			}
			return t.end()
		},
	}
}

func (p *program) credentialLine(s push.CredentialState) credentialLine {
	line := credentialLine{App: s.App, Name: s.Name, Platform: string(s.Platform), Kind: s.Kind, KeyID: s.KeyID,
		Fingerprint: s.Fingerprint, Source: s.Source, State: "ok"}
	line.Expires, line.Days = p.expiry(s.Expires)
	if s.Problem != "" {
		line.State = strings.ReplaceAll(s.Problem, "\n", "; ")
	}
	return line
}

// expiry is nil where there is none.
func (p *program) expiry(at time.Time) (*time.Time, *int) {
	if at.IsZero() {
		return nil, nil
	}
	at = at.UTC()
	left := int(at.Sub(p.now()).Hours() / 24)
	return &at, &left
}

// date is "never" where there is none.
func date(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.Format(time.DateOnly)
}

func days(n *int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

// credentialReport is what a file is.
type credentialReport struct {
	File         string     `json:"file"`
	Kind         string     `json:"kind"`
	KeyID        string     `json:"key_id,omitempty"`
	Fingerprint  string     `json:"fingerprint"`
	TeamID       string     `json:"team_id,omitempty"`
	Topics       []string   `json:"topics,omitempty"`
	Environments string     `json:"environments,omitempty"`
	Project      string     `json:"project,omitempty"`
	Account      string     `json:"account,omitempty"`
	Expires      *time.Time `json:"expires,omitempty"`
	Days         *int       `json:"days,omitempty"`
}

func (p *program) credentialCheck() *cobra.Command {
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "check FILE [--password-file FILE]",
		Short: "Say what a p8, a p12 or a service account is, and what is wrong with it; exit 1 where it cannot be used",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			report, wrong := credential.Inspect(credential.Source{File: file, PasswordFile: passwordFile}, p.now())
			if report.Kind != "" {
				if err := p.reportCredential(args[0], report); err != nil {
					return err
				}
			}
			if wrong != nil {
				return fmt.Errorf("%s: %w", args[0], wrong)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file with the password of a p12")
	return cmd
}

func (p *program) reportCredential(file string, r credential.Report) error {
	shown := credentialReport{File: file, Kind: r.Kind, KeyID: r.KeyID, Fingerprint: r.Fingerprint, TeamID: r.TeamID, Topics: r.Topics,
		Environments: r.Environments, Project: r.Project, Account: r.Account}
	shown.Expires, shown.Days = p.expiry(r.Expires)
	if p.output == "json" {
		return jsonLines(p.stdout).Encode(shown)
	}
	t := p.table("FILE", file)
	for _, line := range [][2]string{
		{"kind", r.Kind}, {"key id", r.KeyID}, {"fingerprint", r.Fingerprint}, {"team id", r.TeamID}, {"topics", strings.Join(r.Topics, ", ")},
		{"environments", r.Environments}, {"project", r.Project}, {"account", r.Account}, {"expires", date(shown.Expires)}, {"days", days(shown.Days)},
	} {
		if line[1] == "" {
			continue
		}
		if err := t.row(nil, line[0], line[1]); err != nil {
			return err
		}
	}
	return t.end()
}
