package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// CircuitState is "closed" (all is well), "half-open" (one attempt probes) or "open".
type CircuitState string

// value is what a gauge shows of it.
func (s CircuitState) value() float64 {
	switch s {
	case "half-open":
		return 1
	case "open":
		return 2
	}
	return 0
}

// DeliverState is where a platform's sending stands.
type DeliverState struct {
	Circuit     CircuitState // of the provider
	Paused      bool         // by an operator
	Credentials []SendingState
}

// SendingState is where a credential's sending stands.
type SendingState struct {
	App, Credential          string
	Circuit                  CircuitState
	Paused                   bool // by an operator
	Braked                   bool // rejected tokens are not believed
	Limit, InFlight, Waiting int  // sends
}

// WatchDeliver makes the state of a platform's sending part of the metrics. read is called at every scrape, from any
// goroutine, and must not block.
func (m *Metrics) WatchDeliver(p push.Platform, read func() DeliverState) {
	m.deliver.mu.Lock()
	defer m.deliver.mu.Unlock()
	m.deliver.platforms[p] = read
}

// deliverCollector asks for the states when it is scraped.
type deliverCollector struct {
	mu        sync.Mutex
	platforms map[push.Platform]func() DeliverState

	provider, paused, credential, brake, limit, inFlight, waiting *prometheus.Desc
}

func newDeliverCollector() *deliverCollector {
	ofCredential := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"platform", "app", "credential"}, nil)
	}
	return &deliverCollector{
		platforms: make(map[push.Platform]func() DeliverState),
		provider: prometheus.NewDesc("pushfleet_provider_circuit", "0 closed, 1 half-open, 2 open: the provider is down.",
			[]string{"platform"}, nil),
		paused:     ofCredential("pushfleet_paused", "1 where an operator has paused it; the whole platform without app and credential."),
		credential: ofCredential("pushfleet_credential_circuit", "0 closed, 1 half-open, 2 open: the credential is refused."),
		brake:      ofCredential("pushfleet_brake", "1 while so many tokens are rejected that none is dropped."),
		limit:      ofCredential("pushfleet_concurrency_limit", "Sends that may be in flight."),
		inFlight:   ofCredential("pushfleet_sends_in_flight", "Sends in flight."),
		waiting:    ofCredential("pushfleet_sends_waiting", "Notifications that were admitted and wait for a place."),
	}
}

// Describe implements [prometheus.Collector].
func (c *deliverCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.provider, c.paused, c.credential, c.brake, c.limit, c.inFlight, c.waiting} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *deliverCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for platform, read := range c.platforms {
		s, p := read(), string(platform)
		gauge(c.provider, s.Circuit.value(), p)
		gauge(c.paused, flag(s.Paused), p, "", "")
		for _, k := range s.Credentials {
			gauge(c.paused, flag(k.Paused), p, k.App, k.Credential)
			gauge(c.credential, k.Circuit.value(), p, k.App, k.Credential)
			gauge(c.brake, flag(k.Braked), p, k.App, k.Credential)
			gauge(c.limit, float64(k.Limit), p, k.App, k.Credential)
			gauge(c.inFlight, float64(k.InFlight), p, k.App, k.Credential)
			gauge(c.waiting, float64(k.Waiting), p, k.App, k.Credential)
		}
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
