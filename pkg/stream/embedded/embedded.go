// Package embedded is a Kafka inside the process, for pushfleet dev and for tests: kfake, with its log in a folder.
// Clients reach it over TCP as they would any broker. With a data folder it keeps topics, records and group offsets
// over a restart, also one without Close; it does not replicate, and an operating system that crashes can take the last
// records with it. It writes nothing to stdout or stderr.
package embedded

import (
	"cmp"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	// retentionInterval is how often old segments are looked for; kfake's own ticker does not survive a restart.
	retentionInterval = time.Minute
	// segmentBytes is small, because space is freed by the segment.
	segmentBytes = "8388608"
	// largestRecord is what a broker takes where a topic does not say otherwise.
	largestRecord = "4194304"
)

// Config of the broker. Zero values are the defaults named.
type Config struct {
	DataDir           string        // "" = in memory
	Addr              string        // host:port on the loopback interface; "" = a free port. For one broker only
	Brokers           int           // 1
	MinSessionTimeout time.Duration // shortest session time-out of a consumer group; 6 s, as Kafka's
	RetentionInterval time.Duration // 1 min
}

// Broker is a running Kafka.
type Broker struct {
	cluster *kfake.Cluster
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

// Start starts it; it answers when Start returns.
func Start(cfg Config) (*Broker, error) {
	cfg.Brokers = cmp.Or(cfg.Brokers, 1)
	if cfg.Addr != "" && cfg.Brokers > 1 {
		return nil, fmt.Errorf("embedded kafka: an address is for one broker, not for %d", cfg.Brokers)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(cfg.Brokers),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return net.Listen(network, cmp.Or(cfg.Addr, "127.0.0.1:0"))
		}),
		kfake.GroupMinSessionTimeout(cmp.Or(cfg.MinSessionTimeout, 6*time.Second)),
		kfake.BrokerConfigs(map[string]string{"log.segment.bytes": segmentBytes, "message.max.bytes": largestRecord}),
	}
	if cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	b := &Broker{cluster: cluster, stop: make(chan struct{})}
	b.stopped.Go(func() { b.applyRetention(cmp.Or(cfg.RetentionInterval, retentionInterval)) })
	return b, nil
}

// Addr is the first broker's host:port.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Cluster is the kfake cluster itself, to inject faults and to move leaders in tests.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops it. Clients see their connections end.
func (b *Broker) Close() {
	b.once.Do(func() {
		close(b.stop)
		b.stopped.Wait()
		b.cluster.Close()
	})
}

func (b *Broker) applyRetention(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-t.C:
			b.cluster.ApplyRetention()
		}
	}
}
