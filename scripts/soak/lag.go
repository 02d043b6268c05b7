package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// delays are the default ones of retry.
var delays = []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

const lagPatience = 30 * time.Second

// lag is how many records of a platform's lanes are unread, and how many wait in its retry and parked topics.
func (f *fleet) lag(ctx context.Context, p push.Platform) (lanes, waiting int64, err error) {
	var work []string
	for _, lane := range push.Lanes {
		work = append(work, f.topics.Work(p, lane))
	}
	if lanes, err = f.unread(ctx, "deliver-"+string(p), work...); err != nil {
		return 0, 0, err
	}
	rooms := map[string]string{"parked-" + string(p): f.topics.Parked(p)}
	for _, d := range delays {
		rooms["retry-"+string(p)+"-"+stream.DelayName(d)] = f.topics.Retry(p, d)
	}
	for role, topic := range rooms {
		n, err := f.unread(ctx, role, topic)
		if err != nil {
			return 0, 0, err
		}
		waiting += n
	}
	return lanes, waiting, nil
}

// unread asks until Kafka answers: a group's coordinator may move.
func (f *fleet) unread(ctx context.Context, role string, topics ...string) (int64, error) {
	var rows []stream.PartitionLag
	var err error
	for began := time.Now(); ; {
		if rows, err = f.cluster.Lag(ctx, "pushfleet."+role, topics); err == nil {
			break
		}
		if time.Since(began) > lagPatience {
			return 0, fmt.Errorf("lag of %s: %w", role, err)
		}
		if err := f.pass(ctx, lagEvery); err != nil {
			return 0, err
		}
	}
	n := int64(0)
	for _, row := range rows {
		n += row.Lag
	}
	return n, nil
}
