package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/control"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

// targetFlags name what is paused or resumed.
type targetFlags struct{ platform, app, credential string }

func (f *targetFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.platform, "platform", "", "a whole platform")
	flags.StringVar(&f.app, "app", "", "an app; with --credential the app that has it")
	flags.StringVar(&f.credential, "credential", "", "one credential of --app (default: of default_app)")
}

func (f *targetFlags) check() error {
	switch {
	case f.platform == "" && f.app == "" && f.credential == "":
		return command.Usagef("name what is meant: --app, --credential or --platform")
	case f.platform != "" && (f.app != "" || f.credential != ""):
		return command.Usagef("--platform is named alone")
	case f.platform != "" && !slices.Contains(fleet.Names(), push.Platform(f.platform)):
		return command.Usagef("--platform is one of %v", fleet.Names())
	}
	return nil
}

func (f *targetFlags) target(cfg *config.Config) control.Target {
	t := control.Target{Platform: push.Platform(f.platform), App: f.app, Credential: f.credential}
	if t.Credential != "" && t.App == "" {
		t.App = cfg.DefaultApp
	}
	return t
}

func (p *program) pause() *cobra.Command {
	var f targetFlags
	var note string
	var list bool
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop sending for an app, a credential or a platform until resume, or list what is stopped",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				if f != (targetFlags{}) || note != "" {
					return command.Usagef("--list takes no other flags of pause")
				}
				return p.listPauses(cmd.Context())
			}
			if err := f.check(); err != nil {
				return err
			}
			cfg, err := p.config()
			if err != nil {
				return err
			}
			pause := control.Pause{Target: f.target(cfg), Since: p.now(), By: operator(), Note: note}
			if err := configured(cfg, pause.Target); err != nil {
				return err
			}
			m, err := control.PauseMessage(stream.Topics{Prefix: cfg.Kafka.Prefix}, pause)
			if err != nil {
				return err
			}
			if err := p.order(cmd.Context(), cfg, m); err != nil {
				return err
			}
			return p.showPauses([]control.Pause{pause})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, for those who list it")
	cmd.Flags().BoolVar(&list, "list", false, "list what is stopped, and stop nothing")
	return cmd
}

func (p *program) resume() *cobra.Command {
	var f targetFlags
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let what was paused go on; where nothing was, try a refused credential again at once and take its brake off",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			cfg, err := p.config()
			if err != nil {
				return err
			}
			target := f.target(cfg)
			m, err := control.ResumeMessage(stream.Topics{Prefix: cfg.Kafka.Prefix}, target)
			if err != nil {
				return err
			}
			if err := p.order(cmd.Context(), cfg, m); err != nil {
				return err
			}
			t := p.table("PLATFORM", "APP", "CREDENTIAL")
			return errors.Join(t.row(target, target.Platform, target.App, target.Credential), t.end())
		},
	}
	f.register(cmd)
	return cmd
}

// configured says what of a target is in no configuration: a mistyped stop would stop nothing.
func configured(cfg *config.Config, t control.Target) error {
	if t.App == "" {
		return nil
	}
	app, ok := cfg.Apps[t.App]
	if !ok {
		return fmt.Errorf("the configuration has no app %q", t.App)
	}
	if _, ok := app.Credentials[t.Credential]; t.Credential != "" && !ok {
		return fmt.Errorf("the configuration has no credential %q of app %q", t.Credential, t.App)
	}
	return nil
}

// order writes a record and returns once it is durable.
func (p *program) order(ctx context.Context, cfg *config.Config, m stream.Message) error {
	cluster := openCluster(cfg)
	defer cluster.Close()
	if _, err := cluster.Partitions(ctx, m.Topic); err != nil {
		return noControl(m.Topic, err)
	}
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	done := make(chan error, 1)
	pub.Publish(ctx, m, func(err error) { done <- err })
	err := <-done
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), publisherGrace)
	defer cancel()
	return errors.Join(err, pub.Close(grace))
}

func (p *program) listPauses(ctx context.Context) error {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	cluster := openCluster(cfg)
	defer cluster.Close()
	topics := stream.Topics{Prefix: cfg.Kafka.Prefix}
	board := control.NewBoard(cluster, topics, zap.NewNop())
	if err := board.Read(ctx); err != nil {
		return noControl(topics.Control(), err)
	}
	return p.showPauses(board.Pauses())
}

// noControl says what to do about a fleet that was set up before there was a control topic.
func noControl(topic string, err error) error {
	if errors.Is(err, stream.ErrNoTopic) {
		return fmt.Errorf("topic %s does not exist; pushfleet topics apply creates it", topic)
	}
	return err
}

func (p *program) showPauses(pauses []control.Pause) error {
	t := p.table("PLATFORM", "APP", "CREDENTIAL", "SINCE", "BY", "NOTE")
	for _, s := range pauses {
		if err := t.row(s, s.Platform, s.App, s.Credential, s.Since.UTC().Format("2006-01-02T15:04:05Z"), s.By, s.Note); err != nil {
			return err
		}
	}
	return t.end()
}

// operator is who runs the program, as far as the machine knows.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		return name + "@" + host
	}
	return name
}
