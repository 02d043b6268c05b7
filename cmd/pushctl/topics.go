package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/operate"
)

func (p *program) topics() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "See how far every role has read its topics"}
	cmd.AddCommand(&cobra.Command{
		Use:   "lag",
		Short: "Show what every group has read of every partition, and how old the oldest unread record is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			cluster := openCluster(cfg)
			defer cluster.Close()
			lags, err := operate.Lags(cmd.Context(), cluster, subscriptions(cfg), p.now())
			if err != nil {
				return err
			}
			t := p.table("GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "OLDEST")
			for _, l := range lags {
				committed := fmt.Sprint(l.Committed)
				if l.Committed < 0 {
					committed = "-"
				}
				age := time.Duration(l.Oldest * float64(time.Second)).Round(time.Millisecond)
				if err := t.row(l, l.Group, l.Topic, l.Partition, committed, l.End, l.Lag, age); err != nil {
					return err
				}
			}
			return t.end()
		},
	})
	return cmd
}

// subscriptions lists what the groups of a whole fleet read.
func subscriptions(cfg *config.Config) []operate.Subscription {
	topics := stream.Topics{Prefix: cfg.Kafka.Prefix}
	var out []operate.Subscription
	add := func(role string, names ...string) {
		out = append(out, operate.Subscription{Group: fleet.Group(cfg, role), Topics: names})
	}
	add("route", topics.Messages())
	for _, p := range fleet.Names() {
		var lanes []string
		for _, l := range push.Lanes {
			lanes = append(lanes, topics.Work(p, l))
		}
		add(string(fleet.RoleDeliver(p)), lanes...)
		for _, delay := range cfg.Retry.Delays {
			add("retry-"+string(p)+"-"+stream.DelayName(delay), topics.Retry(p, delay))
		}
		add("parked-"+string(p), topics.Parked(p))
	}
	add("devices", topics.Devices(), topics.Presence())
	add("report", topics.Events(), topics.Receipts())
	for _, app := range slices.Sorted(maps.Keys(cfg.Apps)) {
		if cfg.Apps[app].Callback.URL != "" {
			add(fleet.CallbackGroup(app), topics.Events(), topics.Receipts(), topics.Callbacks())
		}
	}
	return out
}
