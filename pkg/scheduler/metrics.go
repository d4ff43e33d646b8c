package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics carries the scheduler's measurements, under kube-scheduler's names.
type Metrics struct {
	attempts  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	algorithm prometheus.Histogram
	waited    prometheus.Histogram
}

// NewMetrics makes the measurements and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scheduler_schedule_attempts_total", Help: "Attempts to schedule pods, by result and profile.",
		}, []string{"result", "profile"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "scheduler_scheduling_attempt_duration_seconds", Help: "Time of a binding, by result and profile.", Buckets: buckets,
		}, []string{"result", "profile"}),
		algorithm: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "scheduler_scheduling_algorithm_duration_seconds", Help: "Time of a cycle.", Buckets: buckets,
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "scheduler_pod_scheduling_sli_duration_seconds", Help: "Time from a pod's arrival to its binding.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 20),
		}),
	}
	r.MustRegister(m.attempts, m.duration, m.algorithm, m.waited)
	return m
}

func (m *Metrics) attempt(result, profile string) { m.attempts.WithLabelValues(result, profile).Inc() }

func (m *Metrics) cycle(start, end time.Time) { m.algorithm.Observe(end.Sub(start).Seconds()) }

func (m *Metrics) bound(profile string, binding, waited time.Duration) {
	m.attempt("scheduled", profile)
	m.duration.WithLabelValues("scheduled", profile).Observe(binding.Seconds())
	m.waited.Observe(waited.Seconds())
}

// observeQueue publishes the queue's depths.
func (m *Metrics) observeQueue(r prometheus.Registerer, q *queue) {
	depth := func(name string, pick func(active, backoff, parked int) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "scheduler_pending_pods", Help: "Pods that wait, by the place they wait in.", ConstLabels: prometheus.Labels{"queue": name},
		}, func() float64 { return float64(pick(q.depths())) }))
	}
	depth("active", func(a, _, _ int) int { return a })
	depth("backoff", func(_, b, _ int) int { return b })
	depth("unschedulable", func(_, _, p int) int { return p })
}
