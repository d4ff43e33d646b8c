package apiserver

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// servedMetrics counts requests under upstream's names.
type servedMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inflight *prometheus.GaugeVec
}

func newServedMetrics(r *prometheus.Registry) *servedMetrics {
	m := &servedMetrics{
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
	if c.code == 0 {
		c.code = code
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *coded) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush sends what is buffered: those who stream ask for it by this name.
func (c *coded) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// Hijack hands over the connection, for streams.
func (c *coded) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(c.ResponseWriter).Hijack()
}

// measured counts every request and, for those that do not go on for as long as the client wants, times
// it. Only what is served becomes a label: names that clients make up would grow the metric without bound.
func (m *servedMetrics) measured(served func(*request.Info) bool) filter {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := request.InfoFrom(r.Context())
			labels := []string{verbLabel(info), dryRun(r), "", "", "", "", "", "apiserver"}
			if served(info) {
				labels[2], labels[3], labels[4], labels[5], labels[6] = info.Group, info.Version, info.Resource, info.Subresource, scope(info)
			}
			kind := "readOnly"
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				kind = "mutating"
			}
			gauge := m.inflight.WithLabelValues(kind)
			gauge.Inc()
			c, start := &coded{ResponseWriter: w}, time.Now()
			defer func() {
				gauge.Dec()
				code := c.code
				if code == 0 {
					code = http.StatusOK
				}
				m.total.WithLabelValues(append(slices.Clone(labels), strconv.Itoa(code))...).Inc()
				if !longRunning(info) {
					m.duration.WithLabelValues(labels...).Observe(time.Since(start).Seconds())
				}
			}()
			next.ServeHTTP(c, r)
		})
	}
}

func verbLabel(info *request.Info) string {
	switch info.Verb {
	case "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "post", "put":
		return strings.ToUpper(info.Verb)
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
