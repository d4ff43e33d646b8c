package kubelet

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// podMetrics counts what runs, under the names that dashboards know.
type podMetrics struct{ engine *Engine }

var (
	runningPods       = prometheus.NewDesc("kubelet_running_pods", "Pods that have a running sandbox.", nil, nil)
	runningContainers = prometheus.NewDesc("kubelet_running_containers", "Containers by their state.", []string{"container_state"}, nil)
)

// Describe implements prometheus.Collector.
func (m *podMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- runningPods
	ch <- runningContainers
}

// Collect implements prometheus.Collector.
func (m *podMetrics) Collect(ch chan<- prometheus.Metric) {
	pods := 0
	containers := map[string]int{}
	m.engine.mu.Lock()
	for _, w := range m.engine.workers {
		w.mu.Lock()
		if s := w.saw.Sandbox(); s != nil && s.Ready {
			pods++
		}
		for i := range w.saw.Containers {
			containers[stateName(w.saw.Containers[i].State)]++
		}
		w.mu.Unlock()
	}
	m.engine.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(runningPods, prometheus.GaugeValue, float64(pods))
	for state, n := range containers {
		ch <- prometheus.MustNewConstMetric(runningContainers, prometheus.GaugeValue, float64(n), state)
	}
}

func stateName(s pod.State) string {
	switch s {
	case pod.Created:
		return "created"
	case pod.Running:
		return "running"
	case pod.Exited:
		return "exited"
	}
	return "unknown"
}
