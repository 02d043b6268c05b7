package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// credentialMetrics tell of the credentials that a process sends with.
type credentialMetrics struct {
	expiry   *prometheus.GaugeVec
	problem  *prometheus.GaugeVec
	replaced *prometheus.CounterVec
}

func newCredentialMetrics() credentialMetrics {
	labels := []string{"platform", "app", "credential"}
	return credentialMetrics{
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pushfleet_credential_expiry_days", Help: "Days until the credential in use expires; absent where it never does.",
		}, labels),
		problem: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pushfleet_credential_problem", Help: "1 where a credential's file cannot be used, or the credential in use has expired.",
		}, labels),
		replaced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_credential_replaced_total", Help: "Changed files that were taken over while running.",
		}, labels),
	}
}

func (c credentialMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{c.expiry, c.problem, c.replaced}
}

// Credential shows the state of a credential at a time.
func (m *Metrics) Credential(s push.CredentialState, now time.Time) {
	labels := []string{string(s.Platform), s.App, s.Name}
	problem := 0.0
	if s.Problem != "" {
		problem = 1
	}
	m.credentials.problem.WithLabelValues(labels...).Set(problem)
	m.credentials.replaced.WithLabelValues(labels...)
	if s.Expires.IsZero() {
		m.credentials.expiry.DeleteLabelValues(labels...)
		return
	}
	m.credentials.expiry.WithLabelValues(labels...).Set(s.Expires.Sub(now).Hours() / 24)
}

// CredentialReplaced counts a credential whose changed file was taken over.
func (m *Metrics) CredentialReplaced(s push.CredentialState) {
	m.credentials.replaced.WithLabelValues(string(s.Platform), s.App, s.Name).Inc()
}
