package probe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts probes under the names that dashboards know. What it counted of a container is forgotten
// with the container's worker: pods come and go, and each would leave its labels behind.
type metrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prober_probe_total", Help: "Cumulative number of a liveness, readiness or startup probe for a container by result.",
		}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "prober_probe_duration_seconds", Help: "Duration in seconds for a probe response.",
		}, []string{"probe_type", "container", "pod", "namespace"}),
	}
}

// Collectors are the measurements of all probes.
func (m *Manager) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.metrics.total, m.metrics.duration}
}

// resultLabels name results as upstream does in its measurements.
var resultLabels = map[Result]string{Success: "successful", Failure: "failed", Unknown: "unknown"}

func (m *metrics) count(kind Kind, t *target, r Result, took time.Duration) {
	m.total.WithLabelValues(string(kind), resultLabels[r], t.container.Name, t.pod.Name, t.pod.Namespace, string(t.pod.UID)).Inc()
	if r == Success {
		// A failure may have waited for its timeout, which tells nothing of how long an answer takes.
		m.duration.WithLabelValues(string(kind), t.container.Name, t.pod.Name, t.pod.Namespace).Observe(took.Seconds())
	}
}

func (m *metrics) forget(kind Kind, t *target) {
	for _, result := range resultLabels {
		m.total.DeleteLabelValues(string(kind), result, t.container.Name, t.pod.Name, t.pod.Namespace, string(t.pod.UID))
	}
	m.duration.DeleteLabelValues(string(kind), t.container.Name, t.pod.Name, t.pod.Namespace)
}
