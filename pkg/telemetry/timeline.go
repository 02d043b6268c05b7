package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
)

// TimelineState is what became of the events on their way into timelines, since the start.
type TimelineState struct {
	Kept, Sampled, Full, Late uint64
	Bytes                     int64 // of all timelines, whoever writes them
	Evicted                   uint64
}

// WatchTimeline makes the timeline's state part of the metrics. It is called once; read is called at every scrape, from
// any goroutine, and must not block.
func (m *Metrics) WatchTimeline(read func() TimelineState) {
	m.registry.MustRegister(&timelineCollector{
		read:   read,
		events: prometheus.NewDesc("pushfleet_timeline_events_total", "Events that were kept, or why not.", []string{"result"}, nil),
		bytes:  prometheus.NewDesc("pushfleet_timeline_bytes", "Memory of all timelines in Redis, by the books.", nil, nil),
		evicted: prometheus.NewDesc("pushfleet_timeline_evicted_total", "Timelines that gave way to newer ones before their time.",
			nil, nil),
	})
}

// timelineCollector asks for the state when it is scraped.
type timelineCollector struct {
	read                   func() TimelineState
	events, bytes, evicted *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c *timelineCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.events
	out <- c.bytes
	out <- c.evicted
}

// Collect implements [prometheus.Collector].
func (c *timelineCollector) Collect(out chan<- prometheus.Metric) {
	s := c.read()
	for result, n := range map[string]uint64{"kept": s.Kept, "sampled_out": s.Sampled, "no_room": s.Full, "late": s.Late} {
		out <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(n), result)
	}
	out <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(s.Bytes))
	out <- prometheus.MustNewConstMetric(c.evicted, prometheus.CounterValue, float64(s.Evicted))
}
