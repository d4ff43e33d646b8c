package apiserver

import (
	"bufio"
	"cmp"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// servedMetrics counts requests under upstream's names.
type servedMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inflight *prometheus.GaugeVec

	mu    sync.RWMutex
	known map[requestKind]counters
}

func newServedMetrics(r *prometheus.Registry) *servedMetrics {
	m := &servedMetrics{
		known: map[requestKind]counters{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total", Help: "Requests, by verb, what they were for, and the status code of the answer.",
		}, []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds", Help: "How long requests took, in seconds.",
			Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 10, 30, 60},
		}, []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}),
		inflight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_current_inflight_requests", Help: "Requests being served now, by kind.",
		}, []string{"request_kind"}),
	}
	r.MustRegister(m.total, m.duration, m.inflight)
	return m
}

// coded remembers the status code of an answer. Unwrap lets the connection's own powers through.
type coded struct {
	http.ResponseWriter
	code int
}

func (c *coded) WriteHeader(code int) {
	c.code = cmp.Or(c.code, code)
	c.ResponseWriter.WriteHeader(code)
}

func (c *coded) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush sends what is buffered: those who stream ask for it by this name.
func (c *coded) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// Hijack hands over the connection, for streams.
func (c *coded) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(c.ResponseWriter).Hijack()
}

// requestKind is all that metrics tell requests apart by.
type requestKind struct {
	verb, dryRun, group, version, resource, subresource, scope string
	code                                                       int
}

// counters are those of one kind of requests.
type counters struct {
	total    prometheus.Counter
	duration prometheus.Observer // nil for those that go on for as long as the client wants
}

// of finds the counters of a kind: what happens at each request is one look into a map.
func (m *servedMetrics) of(k requestKind, long bool) counters {
	m.mu.RLock()
	c, ok := m.known[k]
	m.mu.RUnlock()
	if ok {
		return c
	}
	labels := []string{k.verb, k.dryRun, k.group, k.version, k.resource, k.subresource, k.scope, "apiserver"}
	c.total = m.total.WithLabelValues(append(slices.Clip(labels), strconv.Itoa(k.code))...)
	if !long {
		c.duration = m.duration.WithLabelValues(labels...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[k] = c
	return c
}

// measured counts every request and, for those that do not go on for as long as the client wants, times
// it. Only what is served becomes a label: names that clients make up would grow the metric without bound.
func (m *servedMetrics) measured(served func(*request.Info) bool) filter {
	reading, writing := m.inflight.WithLabelValues("readOnly"), m.inflight.WithLabelValues("mutating")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := request.InfoFrom(r.Context())
			k := requestKind{verb: verbLabel(info), dryRun: dryRun(r)}
			if served(info) {
				k.group, k.version, k.resource, k.subresource, k.scope = info.Group, info.Version, info.Resource, info.Subresource, scope(info)
			}
			gauge := reading
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				gauge = writing
			}
			gauge.Inc()
			c, start := &coded{ResponseWriter: w}, time.Now()
			defer func() {
				gauge.Dec()
				if k.code = c.code; k.code == 0 {
					k.code = http.StatusOK
				}
				counted := m.of(k, longRunning(info))
				counted.total.Inc()
				if counted.duration != nil {
					counted.duration.Observe(time.Since(start).Seconds())
				}
			}()
			next.ServeHTTP(c, r)
		})
	}
}

// verbLabels are the verbs that are told apart.
var verbLabels = map[string]string{
	"create": "CREATE", "delete": "DELETE", "deletecollection": "DELETECOLLECTION", "get": "GET", "list": "LIST",
	"patch": "PATCH", "update": "UPDATE", "watch": "WATCH", "post": "POST", "put": "PUT",
}

func verbLabel(info *request.Info) string {
	if label, ok := verbLabels[info.Verb]; ok {
		return label
	}
	return "other"
}

func dryRun(r *http.Request) string {
	if strings.Contains(r.URL.RawQuery, "dryRun=All") {
		return "All"
	}
	return ""
}

func scope(info *request.Info) string {
	switch {
	case info.Name != "" || info.Verb == "create":
		return "resource"
	case info.Namespace != "":
		return "namespace"
	}
	return "cluster"
}
