package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Metrics counts for one process, in a registry of its own. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	records  *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	send     *prometheus.HistogramVec
	delivery *prometheus.HistogramVec
	kafka    *kafkaCollector
	deliver  *deliverCollector

	credentials credentialMetrics
	callbacks   callbackMetrics
}

// NewMetrics returns metrics that count from zero.
func NewMetrics() *Metrics {
	// Buckets in seconds. A provider answers in 2 ms (a simulator) to 30 s (a hung connection); a push takes 5 ms from
	// its record to the provider when all is well, and an hour after the longest retry delay.
	sendBuckets := []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}
	deliveryBuckets := []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 15, 60, 300, 900, 3600}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_records_total", Help: "Records handed to a role.",
		}, []string{"role", "topic"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_outcomes_total", Help: "What became of notifications.",
		}, []string{"platform", "disposition", "reason"}),
		send: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushfleet_send_seconds", Help: "From a send's start until its answer.", Buckets: sendBuckets,
		}, []string{"platform"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushfleet_delivery_seconds", Help: "From the chat record's time until the provider took the push.",
			Buckets: deliveryBuckets,
		}, []string{"platform", "lane"}),
		kafka:       newKafkaCollector(),
		deliver:     newDeliverCollector(),
		credentials: newCredentialMetrics(),
		callbacks:   newCallbackMetrics(),
	}
	m.registry.MustRegister(m.credentials.all()...)
	m.registry.MustRegister(m.callbacks.all()...)
	m.registry.MustRegister(m.records, m.outcomes, m.send, m.delivery, m.kafka, m.deliver,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registerer takes further metrics of the process.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Records counts n records of a topic that were handed to a role.
func (m *Metrics) Records(role, topic string, n int) {
	m.records.WithLabelValues(role, topic).Add(float64(n))
}

// Outcome counts what became of one notification, or of one device that got none. p is "" where no device is known;
// disposition is one of push.Disposition's, or "push" for what was handed to a work topic.
func (m *Metrics) Outcome(p push.Platform, disposition string, r push.Reason) {
	m.outcomes.WithLabelValues(string(p), disposition, string(r)).Inc()
}

// Sent counts one attempt that took so long.
func (m *Metrics) Sent(p push.Platform, took time.Duration) {
	m.send.WithLabelValues(string(p)).Observe(took.Seconds())
}

// Delivered counts one notification that its provider took, so long after its chat record's time.
func (m *Metrics) Delivered(p push.Platform, l push.Lane, after time.Duration) {
	m.delivery.WithLabelValues(string(p), string(l)).Observe(after.Seconds())
}
