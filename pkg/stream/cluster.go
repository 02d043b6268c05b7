package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"go.uber.org/zap"
)

// metadataTTL bounds how long a moved leader or a new topic stays unseen. The transport asks again after a random share
// of it; one request for the whole cluster, however many topics are used.
const metadataTTL = time.Second

// requestTimeout bounds every request, so that a broker that accepts a connection and never answers costs a retry and
// not the process. It includes what the broker may wait by itself.
const requestTimeout = 10 * time.Second

// ErrNoTopic says that a topic does not exist, is not known yet, or that an ACL hides it: brokers leave out what may not
// be described.
var ErrNoTopic = errors.New("topic does not exist or is hidden by an ACL")

// ErrNoBroker says that no broker has answered yet.
var ErrNoBroker = errors.New("no broker reachable")

// ClusterConfig says where the brokers are.
type ClusterConfig struct {
	Brokers  []string    // host:port, at least one; the others are found through it
	ClientID string      // shows in the brokers' logs and quotas; "" = "pushfleet"
	Logger   *zap.Logger // nil = none
}

// Cluster is a Kafka cluster: one pool of connections and one view of the metadata, shared by everything of the process.
// It is safe for concurrent use.
type Cluster struct {
	brokers   []string
	clientID  string
	addr      net.Addr
	transport *kafka.Transport
	client    *kafka.Client
	lineage   atomic.Int32 // what is known of the brokers' age
	log       *zap.Logger
}

// OpenCluster returns at once, whether a broker answers or not: every use waits or says so by itself.
func OpenCluster(cfg ClusterConfig) *Cluster {
	if cfg.ClientID == "" {
		cfg.ClientID = "pushfleet"
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	transport := &kafka.Transport{
		Dial:        (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DialTimeout: dialTimeout,
		MetadataTTL: metadataTTL,
		ClientID:    cfg.ClientID,
	}
	addr := kafka.TCP(cfg.Brokers...)
	return &Cluster{
		brokers:   cfg.Brokers,
		clientID:  cfg.ClientID,
		addr:      addr,
		transport: transport,
		client:    &kafka.Client{Addr: addr, Transport: transport, Timeout: requestTimeout},
		log:       cfg.Logger,
	}
}

// Close closes the idle connections; sources and publishers are closed by their owners before.
func (c *Cluster) Close() { c.transport.CloseIdleConnections() }

// Ready says whether the brokers have answered a request for metadata.
func (c *Cluster) Ready(ctx context.Context) error {
	_, err := c.metadata(ctx, nil)
	return err
}

// Partitions returns how many partitions a topic has; ErrNoTopic where it does not exist, ErrNoBroker where nothing has
// answered yet. It is served from memory, so it is cheap, and up to a second old.
func (c *Cluster) Partitions(ctx context.Context, topic string) (int, error) {
	m, err := c.metadata(ctx, []string{topic})
	if err != nil {
		return 0, err
	}
	if err := topicError(m.Topics[0]); err != nil {
		return 0, err
	}
	return len(m.Topics[0].Partitions), nil
}

// metadata answers from the transport's cache; the topics of the answer are in the order of the question. nil topics
// ask for all.
func (c *Cluster) metadata(ctx context.Context, topics []string) (*metadata.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.transport.RoundTrip(ctx, c.addr, &metadata.Request{TopicNames: topics})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBroker, err)
	}
	return m.(*metadata.Response), nil
}

func topicError(t metadata.ResponseTopic) error {
	switch {
	case kafka.Error(t.ErrorCode) == kafka.UnknownTopicOrPartition, t.ErrorCode == 0 && len(t.Partitions) == 0:
		return fmt.Errorf("%w: %s", ErrNoTopic, t.Name)
	case t.ErrorCode != 0:
		return fmt.Errorf("topic %s: %w", t.Name, kafka.Error(t.ErrorCode))
	}
	return nil
}

// noLeader stands for a partition whose leader is not known now.
const noLeader int32 = -1

// topicPartition names one partition.
type topicPartition struct {
	topic     string
	partition int32
}

// leaders returns the broker that leads each partition of the topics; what has none is absent.
func (c *Cluster) leaders(ctx context.Context, topics []string) (map[topicPartition]int32, error) {
	m, err := c.metadata(ctx, topics)
	if err != nil {
		return nil, err
	}
	out := make(map[topicPartition]int32)
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.LeaderID >= 0 && p.ErrorCode == 0 {
				out[topicPartition{t.Name, p.PartitionIndex}] = p.LeaderID
			}
		}
	}
	return out, nil
}

// exist says which of the topics is not there, and why.
func (c *Cluster) exist(ctx context.Context, topics []string) error {
	m, err := c.metadata(ctx, topics)
	if err != nil {
		return err
	}
	for _, t := range m.Topics {
		if err := topicError(t); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits for d or until ctx ends, and says whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
