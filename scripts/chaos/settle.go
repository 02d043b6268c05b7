package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// group is the configured consumer group of a role.
func group(role string) string { return "pushfleet." + role }

// platforms are those that the population uses.
var platforms = []push.Platform{"apns", "fcm"}

// settle waits until nothing is left to do: twice in a row no role has anything to read. It says what is left where that
// takes longer than limit.
func (w *world) settle(ctx context.Context, limit time.Duration) error {
	quiet := 0
	return eventually(ctx, limit, 300*time.Millisecond, "everything to be worked off", func(ctx context.Context) error {
		left, err := w.left(ctx)
		if err == nil && left == "" {
			if quiet++; quiet == 2 {
				return nil
			}
			return fmt.Errorf("nothing was left just now")
		}
		quiet = 0
		if err == nil {
			err = fmt.Errorf("%s", left)
		}
		return err
	})
}

// left says which group has something to read, in the direction in which records flow; "" = none has.
func (w *world) left(ctx context.Context) (string, error) {
	t := w.topics
	type reader struct {
		role   string
		topics []string
	}
	all := []reader{{"devices", []string{t.Devices(), t.Presence(), t.Groups()}}, {"route", []string{t.Messages()}}, {"fanout", []string{t.Fanout()}}}
	for _, p := range platforms {
		var lanes []string
		for _, lane := range push.Lanes {
			lanes = append(lanes, t.Work(p, lane))
		}
		all = append(all, reader{"deliver-" + string(p), lanes})
		for _, delay := range delays {
			all = append(all, reader{"retry-" + string(p) + "-" + stream.DelayName(delay), []string{t.Retry(p, delay)}})
		}
		all = append(all, reader{"parked-" + string(p), []string{t.Parked(p)}})
	}
	for _, r := range all {
		rows, err := w.cluster.Lag(ctx, group(r.role), r.topics)
		if err != nil {
			return "", err
		}
		n := int64(0)
		for _, row := range rows {
			n += row.Lag
		}
		if n > 0 {
			return fmt.Sprintf("%d records of %s", n, r.topics), nil
		}
	}
	return "", nil
}
