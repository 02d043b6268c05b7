package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// callbackMetrics count what apps' receivers are told.
type callbackMetrics struct {
	requests, events *prometheus.CounterVec
	seconds          *prometheus.HistogramVec
}

func newCallbackMetrics() callbackMetrics {
	return callbackMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_callbacks_total", Help: "Attempts to tell an app's receiver, by result; dead: dead letters.",
		}, []string{"app", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_callback_events_total", Help: "Events that these attempts told of.",
		}, []string{"app", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pushfleet_callback_seconds", Help: "From an attempt's start until its answer was read.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}, []string{"app"}),
	}
}

func (m callbackMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.events, m.seconds}
}

// Callback counts one attempt to tell an app's receiver of so many events, or, with the result "dead", their dead letter.
func (m *Metrics) Callback(app, result string, events int, took time.Duration) {
	m.callbacks.requests.WithLabelValues(app, result).Inc()
	m.callbacks.events.WithLabelValues(app, result).Add(float64(events))
	if took > 0 {
		m.callbacks.seconds.WithLabelValues(app).Observe(took.Seconds())
	}
}
