package stream

import (
	"context"
	"errors"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Layout says which topics the fleet needs and how they are kept.
type Layout struct {
	Topics      Topics
	Platforms   []push.Platform
	Delays      []time.Duration // of the retry topics
	Partitions  int             // of a new topic; 4
	Replication int             // of a new topic; 1
}

// Difference is one point in which a topic is not what the layout asks for. Apply does not change it: fewer partitions
// are impossible, more break the order per key, and a setting may be an operator's own.
type Difference struct {
	Topic      string
	Setting    string // "partitions" or the name of a topic configuration
	Want, Have string
}

// Applied is what Apply did and found.
type Applied struct {
	Created     []string
	Differences []Difference
}

// Apply creates the topics that are missing and reports where existing ones differ.
func (c *Cluster) Apply(ctx context.Context, l Layout) (Applied, error) {
	return Applied{}, errors.ErrUnsupported
}
