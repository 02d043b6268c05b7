package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

func (p *program) registry() *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "See what Redis holds of users and devices, and rebuild it from Kafka"}
	cmd.AddCommand(p.registryStatus(), p.registryRebuild())
	return cmd
}

// openRegistry connects to the Redis of the configuration.
func (p *program) openRegistry() (*registry.Registry, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, err
	}
	return fleet.OpenRegistry(cfg, zap.NewNop())
}

// registryLine is what registry status says.
type registryLine struct {
	Ready          bool                    `json:"ready"`
	Problem        string                  `json:"problem,omitempty"`
	Since          string                  `json:"since,omitempty"` // when it was whole for the first time, or again
	Devices        int64                   `json:"devices"`
	BytesPerDevice float64                 `json:"bytes_per_device"`
	Keys           int64                   `json:"keys"`
	Kinds          map[string]registryKind `json:"kinds"`
	Wish           string                  `json:"wish,omitempty"` // a rebuild that somebody asked for, and that is not done
	Rebuild        *registry.RebuildReport `json:"rebuild,omitempty"`
}

type registryKind struct {
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"`
}

func (p *program) registryStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say whether the registry is whole, how many devices it has and what they take; exit 1 where it is not ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reg, err := p.openRegistry()
			if err != nil {
				return err
			}
			defer func() { _ = reg.Close() }()
			notReady := reg.Ready(cmd.Context())
			line, err := registryState(cmd.Context(), reg)
			if err != nil {
				return errors.Join(notReady, err)
			}
			line.Ready = notReady == nil
			if notReady != nil {
				line.Problem = notReady.Error()
			}
			return errors.Join(p.showRegistry(line), notReady)
		},
	}
}

func registryState(ctx context.Context, reg *registry.Registry) (registryLine, error) {
	survey, err := reg.Survey(ctx)
	if err != nil {
		return registryLine{}, err
	}
	line := registryLine{Since: survey.Since, Devices: survey.Devices, BytesPerDevice: survey.BytesPerDevice(), Keys: survey.Keys,
		Kinds: make(map[string]registryKind, len(survey.Kinds))}
	for kind, k := range survey.Kinds {
		line.Kinds[kind] = registryKind(k)
	}
	if line.Wish, err = reg.RebuildWish(ctx); err != nil {
		return line, err
	}
	report, err := reg.LastRebuild(ctx)
	if report != (registry.RebuildReport{}) {
		line.Rebuild = &report
	}
	return line, err
}

func (p *program) showRegistry(line registryLine) error {
	if p.output == "json" {
		return jsonLines(p.stdout).Encode(line)
	}
	ready := "yes"
	if !line.Ready {
		ready = line.Problem
	}
	t := p.table("READY", ready)
	rows := [][2]string{{"whole since", line.Since}, {"devices", fmt.Sprint(line.Devices)}, {"bytes per device", fmt.Sprintf("%.0f", line.BytesPerDevice)},
		{"rebuild asked for", line.Wish}}
	if line.Rebuild != nil {
		rows = append(rows, [2]string{"last rebuild", rebuildText(*line.Rebuild)})
	}
	for _, kind := range slices.Sorted(maps.Keys(line.Kinds)) {
		k := line.Kinds[kind]
		rows = append(rows, [2]string{kindNames[kind], fmt.Sprintf("%d keys, %d bytes", k.Keys, k.Bytes)})
	}
	for _, row := range rows {
		if row[1] == "" {
			continue
		}
		if err := t.row(nil, row[0], row[1]); err != nil {
			return err
		}
	}
	return t.end()
}

// kindNames say what the kinds of keys hold.
var kindNames = map[string]string{"u": "users", "s": "settings", "t": "owners of tokens", "c": "claims", "n": "marks", "b": "counted messages",
	"r": "read messages", "y": "corrections", "m": "messages", "g": "groups", "timeline": "timelines", "other": "other keys"}

func rebuildText(r registry.RebuildReport) string {
	took := r.Seen.Sub(r.Began).Round(time.Millisecond)
	switch {
	case r.Done && r.Error != "":
		return fmt.Sprintf("failed after %s: %s", took, r.Error)
	case r.Done:
		return fmt.Sprintf("%s, %d records in %s", r.Seen.UTC().Format(time.RFC3339), r.Records, took)
	}
	return fmt.Sprintf("under way for %s: %d records read, at most %d left", took, r.Records, r.Behind)
}

func (p *program) registryRebuild() *cobra.Command {
	var yes, noHold, wait bool
	cmd := &cobra.Command{
		Use:   "rebuild --yes [--no-hold] [--wait]",
		Short: "Have the devices role restore every device, user and group from Kafka; nothing is pushed before that is done",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return command.Usagef("a rebuild holds every push until it is done, or with --no-hold finds some devices late; say --yes")
			}
			reg, err := p.openRegistry()
			if err != nil {
				return err
			}
			defer func() { _ = reg.Close() }()
			wish := operator() + " at " + p.now().UTC().Format(time.RFC3339Nano)
			if err := reg.WishRebuild(cmd.Context(), wish, !noHold); err != nil {
				return err
			}
			if !wait {
				t := p.table("WISH")
				return errors.Join(t.row(map[string]string{"wish": wish}, wish), t.end())
			}
			report, err := awaitRebuild(cmd.Context(), reg, wish, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			t := p.table("WISH", "RECORDS", "TOOK")
			return errors.Join(t.row(report, wish, report.Records, report.Seen.Sub(report.Began).Round(time.Millisecond)), t.end())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&yes, "yes", false, "yes, rebuild it")
	flags.BoolVar(&noHold, "no-hold", false, "go on pushing meanwhile; a device that Redis lacks gets nothing before it is restored")
	flags.BoolVar(&wait, "wait", false, "show the progress until it is done")
	return cmd
}

const rebuildPoll = 500 * time.Millisecond

// awaitRebuild follows the reports until the one that fulfills the wish. A rebuild that fails begins again.
func awaitRebuild(ctx context.Context, reg *registry.Registry, wish string, progress io.Writer) (registry.RebuildReport, error) {
	said := ""
	for {
		report, err := reg.LastRebuild(ctx)
		line := "waiting for a process with the role devices"
		switch {
		case err != nil:
			line = err.Error()
		case report.Wish == wish && report.Done && report.Error == "":
			return report, nil
		case report.Wish == wish, !report.Done && report.Owner != "":
			line = rebuildText(report)
		}
		if line != said {
			fmt.Fprintln(progress, line)
			said = line
		}
		select {
		case <-time.After(rebuildPoll):
		case <-ctx.Done():
			return report, fmt.Errorf("the rebuild goes on without this program: %w", context.Cause(ctx))
		}
	}
}
