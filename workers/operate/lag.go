package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Heads tells how far a group has read; [stream.Cluster] is one.
type Heads interface {
	Head(ctx context.Context, group, topic string) ([]stream.Head, error)
}

// Subscription is a consumer group and the topics that it reads.
type Subscription struct {
	Group  string
	Topics []string
}

// Lag is how far a group has come on one partition.
type Lag struct {
	Group     string  `json:"group"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Committed int64   `json:"committed"` // next offset to be read; -1 = none yet
	End       int64   `json:"end"`
	Lag       int64   `json:"lag"`
	Oldest    float64 `json:"oldest_seconds"` // age of the oldest unread record; 0 = everything was read
}

// Lags returns every partition of every subscription. Topics that do not exist are left out.
func Lags(ctx context.Context, heads Heads, subscriptions []Subscription, now time.Time) ([]Lag, error) {
	var lags []Lag
	for _, s := range subscriptions {
		for _, topic := range s.Topics {
			partitions, err := heads.Head(ctx, s.Group, topic)
			if errors.Is(err, stream.ErrNoTopic) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("lag of %s on %s: %w", s.Group, topic, err)
			}
			for _, h := range partitions {
				lag := Lag{Group: s.Group, Topic: topic, Partition: h.Partition, Committed: h.Committed, End: h.End, Lag: h.Lag}
				if !h.Oldest.IsZero() {
					lag.Oldest = now.Sub(h.Oldest).Seconds()
				}
				lags = append(lags, lag)
			}
		}
	}
	return lags, nil
}
