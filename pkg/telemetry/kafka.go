package telemetry

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// SourceState is what a reader of Kafka has done since its start, and where it stands.
type SourceState struct {
	InFlight                                    int // records read, not yet acknowledged
	Lag                                         []PartitionLag
	Fetches, FetchErrors, Commits, CommitErrors uint64 // requests
	Bytes                                       uint64 // fetched
	Generations, OutOfRange, Damaged, Abandoned uint64
}

// PartitionLag is how many records of a partition a reader has not acknowledged.
type PartitionLag struct {
	Topic     string
	Partition int32
	Records   int64
}

// PublisherState is what a writer to Kafka has done since its start, and what it holds.
type PublisherState struct {
	Requests, Errors       uint64
	Records, Bytes, Failed uint64
	Queued                 int // records
}

// WatchSource makes the state of a role's source part of the metrics. read is called at every scrape, from any
// goroutine, and must not block. A source with the same role and group takes the place of the one before.
func (m *Metrics) WatchSource(role, group string, read func() SourceState) {
	m.kafka.mu.Lock()
	defer m.kafka.mu.Unlock()
	m.kafka.sources[sourceName{role, group}] = read
}

// WatchPublisher does the same for a publisher.
func (m *Metrics) WatchPublisher(name string, read func() PublisherState) {
	m.kafka.mu.Lock()
	defer m.kafka.mu.Unlock()
	m.kafka.publishers[name] = read
}

type sourceName struct{ role, group string }

// kafkaCollector asks the sources and publishers for their states when it is scraped.
type kafkaCollector struct {
	mu         sync.Mutex
	sources    map[sourceName]func() SourceState
	publishers map[string]func() PublisherState

	inFlight, lag, requests, requestErrors, fetchedBytes, generations, outOfRange, damaged, abandoned *prometheus.Desc

	produceRequests, produceErrors, producedRecords, producedBytes, failedRecords, queuedRecords *prometheus.Desc
}

func newKafkaCollector() *kafkaCollector {
	ofSource := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"role", "group"}, more...), nil)
	}
	ofPublisher := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"publisher"}, nil)
	}
	return &kafkaCollector{
		sources:    make(map[sourceName]func() SourceState),
		publishers: make(map[string]func() PublisherState),

		inFlight: ofSource("pushfleet_in_flight", "Records read, not yet acknowledged."),
		lag: prometheus.NewDesc("pushfleet_lag", "Records not yet read or not yet acknowledged.",
			[]string{"group", "topic", "partition"}, nil),
		requests:      ofSource("pushfleet_kafka_requests_total", "Requests to the brokers.", "api"),
		requestErrors: ofSource("pushfleet_kafka_request_errors_total", "Requests to the brokers that failed.", "api"),
		fetchedBytes:  ofSource("pushfleet_kafka_fetched_bytes_total", "Bytes of records fetched."),
		generations:   ofSource("pushfleet_kafka_generations_total", "Rebalances that this process saw."),
		outOfRange:    ofSource("pushfleet_kafka_out_of_range_total", "Partitions reset because their offset was not in the log."),
		damaged:       ofSource("pushfleet_kafka_damaged_total", "Record batches that could not be read, each handed on as one record."),
		abandoned:     ofSource("pushfleet_kafka_abandoned_total", "Records that a drain ran out of time for."),

		produceRequests: ofPublisher("pushfleet_kafka_produce_requests_total", "Produce requests."),
		produceErrors:   ofPublisher("pushfleet_kafka_produce_errors_total", "Produce requests that failed and were repeated."),
		producedRecords: ofPublisher("pushfleet_kafka_produced_records_total", "Records written."),
		producedBytes:   ofPublisher("pushfleet_kafka_produced_bytes_total", "Bytes of records written."),
		failedRecords:   ofPublisher("pushfleet_kafka_failed_records_total", "Records given up."),
		queuedRecords:   ofPublisher("pushfleet_kafka_queued_records", "Records waiting to be written."),
	}
}

// Describe implements [prometheus.Collector].
func (c *kafkaCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.inFlight, c.lag, c.requests, c.requestErrors, c.fetchedBytes, c.generations, c.outOfRange, c.damaged, c.abandoned,
		c.produceRequests, c.produceErrors, c.producedRecords, c.producedBytes, c.failedRecords, c.queuedRecords,
	} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *kafkaCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	for name, read := range c.sources {
		s := read()
		gauge(c.inFlight, float64(s.InFlight), name.role, name.group)
		for _, l := range s.Lag {
			gauge(c.lag, float64(l.Records), name.group, l.Topic, strconv.Itoa(int(l.Partition)))
		}
		counter(c.requests, s.Fetches, name.role, name.group, "fetch")
		counter(c.requests, s.Commits, name.role, name.group, "commit")
		counter(c.requestErrors, s.FetchErrors, name.role, name.group, "fetch")
		counter(c.requestErrors, s.CommitErrors, name.role, name.group, "commit")
		counter(c.fetchedBytes, s.Bytes, name.role, name.group)
		counter(c.generations, s.Generations, name.role, name.group)
		counter(c.outOfRange, s.OutOfRange, name.role, name.group)
		counter(c.damaged, s.Damaged, name.role, name.group)
		counter(c.abandoned, s.Abandoned, name.role, name.group)
	}
	for name, read := range c.publishers {
		s := read()
		counter(c.produceRequests, s.Requests, name)
		counter(c.produceErrors, s.Errors, name)
		counter(c.producedRecords, s.Records, name)
		counter(c.producedBytes, s.Bytes, name)
		counter(c.failedRecords, s.Failed, name)
		gauge(c.queuedRecords, float64(s.Queued), name)
	}
}
