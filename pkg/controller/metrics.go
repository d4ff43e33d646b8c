package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
)

// QueueMetrics measures work queues under the names that dashboards know (workqueue_*, label name).
type QueueMetrics struct {
	depth, unfinished, longest *prometheus.GaugeVec
	adds, retries              *prometheus.CounterVec
	latency, work              *prometheus.HistogramVec
}

// NewQueueMetrics registers the metrics.
func NewQueueMetrics(r prometheus.Registerer) *QueueMetrics {
	label := []string{"name"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, label)
		r.MustRegister(g)
		return g
	}
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(1e-8, 10, 10)}, label)
		r.MustRegister(h)
		return h
	}
	return &QueueMetrics{
		depth:      gauge("workqueue_depth", "Keys that wait in the queue."),
		unfinished: gauge("workqueue_unfinished_work_seconds", "Seconds of work in progress that has not been observed by work_duration."),
		longest:    gauge("workqueue_longest_running_processor_seconds", "Seconds that the longest running worker has been at its key."),
		adds:       counter("workqueue_adds_total", "Keys added to the queue."),
		retries:    counter("workqueue_retries_total", "Keys that were tried again."),
		latency:    histogram("workqueue_queue_duration_seconds", "Seconds that a key waits before it is worked on."),
		work:       histogram("workqueue_work_duration_seconds", "Seconds that working on a key takes."),
	}
}

// NewDepthMetric and its siblings are workqueue.MetricsProvider.
func (m *QueueMetrics) NewDepthMetric(name string) workqueue.GaugeMetric {
	return m.depth.WithLabelValues(name)
}

// NewAddsMetric counts additions.
func (m *QueueMetrics) NewAddsMetric(name string) workqueue.CounterMetric {
	return m.adds.WithLabelValues(name)
}

// NewLatencyMetric measures waiting.
func (m *QueueMetrics) NewLatencyMetric(name string) workqueue.HistogramMetric {
	return m.latency.WithLabelValues(name)
}

// NewWorkDurationMetric measures work.
func (m *QueueMetrics) NewWorkDurationMetric(name string) workqueue.HistogramMetric {
	return m.work.WithLabelValues(name)
}

// NewUnfinishedWorkSecondsMetric measures work in progress.
func (m *QueueMetrics) NewUnfinishedWorkSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return m.unfinished.WithLabelValues(name)
}

// NewLongestRunningProcessorSecondsMetric measures the longest work in progress.
func (m *QueueMetrics) NewLongestRunningProcessorSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return m.longest.WithLabelValues(name)
}

// NewRetriesMetric counts retries.
func (m *QueueMetrics) NewRetriesMetric(name string) workqueue.CounterMetric {
	return m.retries.WithLabelValues(name)
}
