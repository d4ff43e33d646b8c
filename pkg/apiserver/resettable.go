package apiserver

import "github.com/prometheus/client_golang/prometheus"

// resettable is a registry of metrics whose counts may begin anew. What it holds is registered before it is served.
type resettable struct {
	*prometheus.Registry
	counts []interface{ Reset() }
}

// MustRegister implements prometheus.Registerer.
func (r *resettable) MustRegister(all ...prometheus.Collector) {
	r.Registry.MustRegister(all...)
	for _, c := range all {
		if _, now := c.(*prometheus.GaugeVec); now {
			continue // gauges tell how things are
		}
		if counts, can := c.(interface{ Reset() }); can {
			r.counts = append(r.counts, counts)
		}
	}
}

// resetMetrics lets all counts begin anew. What requests count that end meanwhile may be lost.
func (s *Server) resetMetrics() {
	for _, c := range s.metrics.counts {
		c.Reset()
	}
	s.served.mu.Lock()
	defer s.served.mu.Unlock()
	clear(s.served.known) // of series that are no longer there
	s.served.deprecated.Reset()
}
