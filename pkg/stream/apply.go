package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// MaxRecordBytes is the largest record that an IM service may produce, key and headers included.
const MaxRecordBytes = 1 << 20

const (
	// topicRecordBytes leaves room for the batch around a record of MaxRecordBytes, and for our own headers.
	topicRecordBytes = MaxRecordBytes + 64<<10
	// deadRecordBytes is twice that: a dead topic takes whatever its source took, and says why.
	deadRecordBytes = 2 * topicRecordBytes
)

const day = 24 * time.Hour

// Retention of the topics. Work, retry and parked topics keep a week, so that a provider's long outage loses nothing;
// dead ones a month, so that someone comes to look.
const (
	inputRetention    = 7 * day
	presenceRetention = day
	workRetention     = 7 * day
	deadRetention     = 30 * day
)

// Layout says which topics the fleet needs and how they are kept.
type Layout struct {
	Topics      Topics
	Platforms   []push.Platform
	Delays      []time.Duration // of the retry topics
	Partitions  int             // of a new topic; 4
	Replication int             // of a new topic; 1
	// SegmentBytes is the size of a log segment, whose end frees space; 0 = the broker's. For brokers with little disk.
	SegmentBytes int
}

// Topic is one topic as it should be.
type Topic struct {
	Name     string
	Settings map[string]string // the topic configuration where it is not the broker's default
}

// All lists every topic of the layout.
func (l Layout) All() []Topic {
	t := l.Topics
	var out []Topic
	add := func(name string, settings ...map[string]string) {
		topic := Topic{Name: name, Settings: map[string]string{}}
		for _, s := range settings {
			for k, v := range s {
				topic.Settings[k] = v
			}
		}
		if l.SegmentBytes > 0 {
			topic.Settings["segment.bytes"] = strconv.Itoa(l.SegmentBytes)
		}
		out = append(out, topic)
	}
	work, dead := keep(workRetention, topicRecordBytes), keep(deadRetention, deadRecordBytes)
	add(t.Messages(), keep(inputRetention, topicRecordBytes))
	add(t.Devices(), keep(inputRetention, topicRecordBytes))
	add(t.Presence(), keep(presenceRetention, topicRecordBytes))
	add(t.Groups(), compact())
	add(t.Receipts(), keep(inputRetention, topicRecordBytes))
	for _, input := range t.Inputs() {
		add(t.InputDead(input), dead)
	}
	add(t.Offline(), work)
	add(t.Registry(), compact())
	add(t.Fanout(), work, map[string]string{"max.message.bytes": strconv.Itoa(deadRecordBytes)}) // a message and its bucket
	add(t.Events(), work)
	add(t.Control(), compact())
	add(t.Callbacks(), work)
	for _, p := range l.Platforms {
		for _, lane := range push.Lanes {
			add(t.Work(p, lane), work)
		}
		for _, d := range l.Delays {
			add(t.Retry(p, d), work, map[string]string{"message.timestamp.type": "LogAppendTime"})
		}
		add(t.Parked(p), work)
		add(t.Dead(p), dead)
	}
	return out
}

func keep(retention time.Duration, maxRecord int) map[string]string {
	return map[string]string{
		"cleanup.policy":    "delete",
		"retention.ms":      strconv.FormatInt(retention.Milliseconds(), 10),
		"retention.bytes":   "-1",
		"max.message.bytes": strconv.Itoa(maxRecord),
	}
}

func compact() map[string]string {
	return map[string]string{"cleanup.policy": "compact", "max.message.bytes": strconv.Itoa(topicRecordBytes)}
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
	Differences []Difference // sorted by topic and setting
}

// Apply creates the topics that are missing and reports where existing ones differ. It waits for a broker until ctx
// ends, and may be called again and by several at once.
func (c *Cluster) Apply(ctx context.Context, l Layout) (Applied, error) {
	l.Partitions, l.Replication = cmp.Or(l.Partitions, 4), cmp.Or(l.Replication, 1)
	var created []string
	for {
		done, err := c.apply(ctx, l)
		created = append(created, done.Created...)
		if err == nil || !heals(err) || !sleep(ctx, topicWait) {
			done.Created = created
			return done, err
		}
	}
}

// heals says whether an error can go away by itself: everything but a broker's refusal.
func heals(err error) bool {
	var code kafka.Error
	return !errors.As(err, &code) || code.Temporary() || code == kafka.BrokerNotAvailable
}

func (c *Cluster) apply(ctx context.Context, l Layout) (Applied, error) {
	topics := l.All()
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	m, err := c.metadata(ctx, names)
	if err != nil {
		return Applied{}, err
	}
	var done Applied
	var missing, present []Topic
	for i, t := range m.Topics {
		if errors.Is(topicError(t), ErrNoTopic) {
			missing = append(missing, topics[i])
			continue
		}
		present = append(present, topics[i])
		if have := len(t.Partitions); have != l.Partitions {
			done.Differences = append(done.Differences,
				Difference{t.Name, "partitions", strconv.Itoa(l.Partitions), strconv.Itoa(have)})
		}
	}
	if done.Created, err = c.create(ctx, missing, l); err != nil {
		return done, err
	}
	different, err := c.compare(ctx, present)
	if err != nil {
		return done, err
	}
	done.Differences = append(done.Differences, different...)
	slices.SortFunc(done.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Setting, b.Setting))
	})
	return done, nil
}

func (c *Cluster) create(ctx context.Context, topics []Topic, l Layout) ([]string, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	req := kafka.CreateTopicsRequest{}
	for _, t := range topics {
		config := kafka.TopicConfig{Topic: t.Name, NumPartitions: l.Partitions, ReplicationFactor: l.Replication}
		for name, value := range t.Settings {
			config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		req.Topics = append(req.Topics, config)
	}
	res, err := c.client.CreateTopics(ctx, &req)
	if err != nil {
		return nil, fmt.Errorf("creating topics: %w", err)
	}
	var created []string
	var errs []error
	for _, t := range topics {
		switch err := res.Errors[t.Name]; {
		case err == nil:
			created = append(created, t.Name)
		case errors.Is(err, kafka.TopicAlreadyExists): // another process was faster
		default:
			errs = append(errs, fmt.Errorf("creating topic %s: %w", t.Name, err))
		}
	}
	return created, errors.Join(errs...)
}

// compare reports the settings that are not as they should be.
func (c *Cluster) compare(ctx context.Context, topics []Topic) ([]Difference, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	req := kafka.DescribeConfigsRequest{}
	want := map[string]map[string]string{}
	for _, t := range topics {
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: t.Name,
		})
		want[t.Name] = t.Settings
	}
	res, err := c.client.DescribeConfigs(ctx, &req)
	if err != nil {
		return nil, fmt.Errorf("reading topic settings: %w", err)
	}
	var out []Difference
	for _, r := range res.Resources {
		if r.Error != nil {
			return nil, fmt.Errorf("reading settings of topic %s: %w", r.ResourceName, r.Error)
		}
		for _, e := range r.ConfigEntries {
			if value, ok := want[r.ResourceName][e.ConfigName]; ok && value != e.ConfigValue {
				out = append(out, Difference{r.ResourceName, e.ConfigName, value, e.ConfigValue})
			}
		}
	}
	return out, nil
}
