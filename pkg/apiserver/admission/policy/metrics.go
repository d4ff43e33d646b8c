package policy

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what validating policies have against writes, under upstream's names. nil counts nothing.
type Metrics struct {
	checks *prometheus.CounterVec
	took   *prometheus.HistogramVec
}

// The labels by which policies and their bindings are told apart.
const (
	policyLabel  = "policy"
	bindingLabel = "policy_binding"
)

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	labels := []string{policyLabel, bindingLabel, "error_type", "enforcement_action"}
	m := &Metrics{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_validating_admission_policy_check_total",
			Help: "What validating policies had against writes, or failed with, and what was done about it.",
		}, labels),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "apiserver_validating_admission_policy_check_duration_seconds",
			Help:    "How long the expressions took that had something against a write, in seconds.",
			Buckets: []float64{0.0000005, 0.001, 0.01, 0.1, 1},
		}, labels),
	}
	r.MustRegister(m.checks, m.took)
	return m
}

// checked counts what was done about something that a policy said, which took so long.
func (m *Metrics) checked(p *validating, b *binding, message string, took time.Duration, done string) {
	if m == nil {
		return
	}
	kind := "invalid_error"
	switch {
	case strings.HasPrefix(message, "compilation"):
		kind = "compile_error"
	case strings.HasPrefix(message, "validation failed due to running out of cost budget"):
		kind = "out_of_budget"
	}
	m.checks.WithLabelValues(p.name, b.name, kind, done).Inc()
	m.took.WithLabelValues(p.name, b.name, kind, done).Observe(took.Seconds())
}

// forget drops the series of a policy or binding that is gone.
func (m *Metrics) forget(label, name string) {
	if m != nil {
		m.checks.DeletePartialMatch(prometheus.Labels{label: name})
		m.took.DeletePartialMatch(prometheus.Labels{label: name})
	}
}
