package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics carries the proxy's measurements, under kube-proxy's names.
type Metrics struct {
	duration prometheus.Histogram
	last     prometheus.Gauge
	failures prometheus.Counter
}

// NewMetrics makes the measurements and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kubeproxy_sync_proxy_rules_duration_seconds", Help: "Time to bring the kernel's rules up to date.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kubeproxy_sync_proxy_rules_last_timestamp_seconds", Help: "When the kernel's rules were last up to date.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kubeproxy_sync_proxy_rules_failures_total", Help: "Times that the kernel's rules could not be brought up to date.",
		}),
	}
	r.MustRegister(m.duration, m.last, m.failures)
	return m
}

func (m *Metrics) synced(start, end time.Time) {
	m.duration.Observe(end.Sub(start).Seconds())
	m.last.Set(float64(end.UnixNano()) / 1e9)
}

func (m *Metrics) failed() { m.failures.Inc() }
