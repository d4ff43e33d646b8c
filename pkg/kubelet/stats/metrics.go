package stats

import (
	"context"
	"maps"
	"path/filepath"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// scrapeWithin is how long one measurement for a scrape may take.
const scrapeWithin = 10 * time.Second

// gathers makes a registry of one collector that describes nothing in advance.
type gathers func(out chan<- prometheus.Metric)

func (gathers) Describe(chan<- *prometheus.Desc)       {}
func (g gathers) Collect(out chan<- prometheus.Metric) { g(out) }

func gatherer(g gathers) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(g)
	return r
}

// emitter sends metrics of one moment.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) send(name, help string, kind prometheus.ValueType, v float64, at time.Time, labels prometheus.Labels) {
	names, values := make([]string, 0, len(labels)), make([]string, 0, len(labels))
	for n, l := range labels {
		names, values = append(names, n), append(values, l)
	}
	m := prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, v, values...)
	if !at.IsZero() {
		m = prometheus.NewMetricWithTimestamp(at, m)
	}
	e.out <- m
}

func (e emitter) cpu(name, help string, c *statsapi.CPUStats, labels prometheus.Labels) {
	if c != nil && c.UsageCoreNanoSeconds != nil {
		e.send(name, help, prometheus.CounterValue, float64(*c.UsageCoreNanoSeconds)/float64(time.Second), c.Time.Time, labels)
	}
}

func (e emitter) gauge(name, help string, n *uint64, at time.Time, labels prometheus.Labels) {
	if n != nil {
		e.send(name, help, prometheus.GaugeValue, float64(*n), at, labels)
	}
}

func (e emitter) counter(name, help string, n *uint64, at time.Time, labels prometheus.Labels) {
	if n != nil {
		e.send(name, help, prometheus.CounterValue, float64(*n), at, labels)
	}
}

// Resource is what /metrics/resource answers: CPU and memory of the node, its pods and containers.
func (p *Provider) Resource() prometheus.Gatherer {
	return gatherer(func(out chan<- prometheus.Metric) {
		e := emitter{out}
		ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
		defer cancel()
		s, err := p.Summary(ctx, true)
		failed := 0.0
		if err != nil {
			p.cfg.Log.Error(err, "Measuring for /metrics/resource")
			failed, s = 1, &statsapi.Summary{}
		}
		const errorHelp = "1 if there was an error while getting container metrics, 0 otherwise"
		e.send("resource_scrape_error", errorHelp, prometheus.GaugeValue, failed, time.Time{}, nil)
		e.send("scrape_error", errorHelp, prometheus.GaugeValue, failed, time.Time{}, nil)
		e.resource(s)
	})
}

func (e emitter) resource(s *statsapi.Summary) {
	e.cpu("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", s.Node.CPU, nil)
	if m := s.Node.Memory; m != nil {
		e.gauge("node_memory_working_set_bytes", "Current working set of the node in bytes", m.WorkingSetBytes, m.Time.Time, nil)
	}
	for i := range s.Pods {
		pod := &s.Pods[i]
		labels := prometheus.Labels{"pod": pod.PodRef.Name, "namespace": pod.PodRef.Namespace}
		e.cpu("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", pod.CPU, labels)
		if m := pod.Memory; m != nil {
			e.gauge("pod_memory_working_set_bytes", "Current working set of the pod in bytes", m.WorkingSetBytes, m.Time.Time, labels)
		}
		for _, c := range pod.Containers {
			labels := prometheus.Labels{"container": c.Name, "pod": pod.PodRef.Name, "namespace": pod.PodRef.Namespace}
			if !c.StartTime.IsZero() {
				e.send("container_start_time_seconds", "Start time of the container since unix epoch in seconds", prometheus.GaugeValue,
					float64(c.StartTime.UnixNano())/float64(time.Second), time.Time{}, labels)
			}
			e.cpu("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", c.CPU, labels)
			if m := c.Memory; m != nil {
				e.gauge("container_memory_working_set_bytes", "Current working set of the container in bytes", m.WorkingSetBytes, m.Time.Time, labels)
			}
		}
	}
}

// Cadvisor is what /metrics/cadvisor answers: the container_* measurements that dashboards know.
func (p *Provider) Cadvisor() prometheus.Gatherer {
	return gatherer(func(out chan<- prometheus.Metric) {
		e := emitter{out}
		ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
		defer cancel()
		s, err := p.Summary(ctx, false)
		if err != nil {
			p.cfg.Log.Error(err, "Measuring for /metrics/cadvisor")
			e.send("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", prometheus.GaugeValue, 1, time.Time{}, nil)
			return
		}
		e.send("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", prometheus.GaugeValue, 0, time.Time{}, nil)
		e.send("machine_cpu_cores", "Number of logical CPU cores.", prometheus.GaugeValue, float64(runtime.NumCPU()), time.Time{}, nil)
		if info, err := fields(filepath.Join(p.cfg.ProcRoot, "meminfo")); err == nil {
			e.send("machine_memory_bytes", "Amount of memory installed on the machine.", prometheus.GaugeValue, float64(info["MemTotal"]), time.Time{}, nil)
		}
		e.cadvisor(s)
	})
}

func (e emitter) cadvisor(s *statsapi.Summary) {
	labels := func(id, container, namespace, pod string) prometheus.Labels {
		return prometheus.Labels{"id": id, "container": container, "namespace": namespace, "pod": pod}
	}
	e.measured(s.Node.CPU, s.Node.Memory, labels("/", "", "", ""))
	e.network(s.Node.Network, "/", "", "")
	for i := range s.Pods {
		pod := &s.Pods[i]
		namespace, name, id := pod.PodRef.Namespace, pod.PodRef.Name, "/kubepods/pod"+pod.PodRef.UID
		e.measured(pod.CPU, pod.Memory, labels(id, "", namespace, name))
		e.network(pod.Network, id, namespace, name)
		for _, c := range pod.Containers {
			l := labels(id+"/"+c.Name, c.Name, namespace, name)
			e.measured(c.CPU, c.Memory, l)
			if !c.StartTime.IsZero() {
				e.send("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", prometheus.GaugeValue,
					float64(c.StartTime.Unix()), time.Time{}, l)
			}
			if c.Rootfs != nil {
				e.gauge("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", c.Rootfs.UsedBytes, c.Rootfs.Time.Time, l)
			}
		}
	}
}

func (e emitter) measured(c *statsapi.CPUStats, m *statsapi.MemoryStats, l prometheus.Labels) {
	total := prometheus.Labels{"cpu": "total"}
	maps.Copy(total, l)
	e.cpu("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", c, total)
	if m == nil {
		return
	}
	at := m.Time.Time
	e.gauge("container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed", m.UsageBytes, at, l)
	e.gauge("container_memory_working_set_bytes", "Current working set in bytes.", m.WorkingSetBytes, at, l)
	e.gauge("container_memory_rss", "Size of RSS in bytes.", m.RSSBytes, at, l)
}

func (e emitter) network(n *statsapi.NetworkStats, id, namespace, pod string) {
	if n == nil {
		return
	}
	for _, i := range n.Interfaces {
		l := prometheus.Labels{"id": id, "namespace": namespace, "pod": pod, "interface": i.Name}
		e.counter("container_network_receive_bytes_total", "Cumulative count of bytes received", i.RxBytes, n.Time.Time, l)
		e.counter("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", i.RxErrors, n.Time.Time, l)
		e.counter("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", i.TxBytes, n.Time.Time, l)
		e.counter("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", i.TxErrors, n.Time.Time, l)
	}
}
