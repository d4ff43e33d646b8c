package apiserver

import (
	"bufio"
	"cmp"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// servedMetrics counts requests under upstream's names.
type servedMetrics struct {
	total      *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	sli        *prometheus.HistogramVec
	listed     *prometheus.HistogramVec
	sizes      *prometheus.HistogramVec
	deprecated *prometheus.GaugeVec
	long       *prometheus.GaugeVec
	inflight   *prometheus.GaugeVec

	find  func(*request.Info) *endpoint.Served
	clock clock.PassiveClock

	mu    sync.RWMutex
	known map[requestKind]counters
}

// newServedMetrics counts requests for what find gives. Only that becomes a label: names that clients make up would grow
// the metrics without bound.
func newServedMetrics(r prometheus.Registerer, find func(*request.Info) *endpoint.Served, c clock.PassiveClock) *servedMetrics {
	forLabels := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	slowest := []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}
	m := &servedMetrics{
		find: find, clock: c, known: map[requestKind]counters{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total", Help: "Requests, by verb, what they were for, and the status code of the answer.",
		}, slices.Concat(forLabels, []string{"dry_run", "code"})),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds", Help: "How long requests took, in seconds.",
			Buckets: slices.Concat([]float64{0.005, 0.025}, slowest),
		}, slices.Concat(forLabels, []string{"dry_run"})),
		sli: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_sli_duration_seconds", Help: "How long requests took that changed what they asked to change, in seconds, webhooks included.",
			Buckets: slowest,
		}, forLabels),
		listed: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_watch_list_duration_seconds", Help: "How long watches that begin with a list took to send it, in seconds.",
			Buckets: []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60},
		}, []string{"group", "version", "resource", "scope"}),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_response_sizes", Help: "How large the answers to reads were, in bytes.", Buckets: prometheus.ExponentialBuckets(1000, 10, 7),
		}, forLabels),
		deprecated: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_requested_deprecated_apis", Help: "1 for each deprecated API that was asked for.",
		}, []string{"group", "version", "resource", "subresource", "removed_release"}),
		long: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_longrunning_requests", Help: "Requests being served now that go on for as long as the client wants.",
		}, forLabels),
		inflight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_current_inflight_requests", Help: "Requests being served now, by kind.",
		}, []string{"request_kind"}),
	}
	r.MustRegister(m.total, m.duration, m.sli, m.listed, m.sizes, m.deprecated, m.long, m.inflight)
	return m
}

// statusRecorder remembers the status code and the size of an answer. Unwrap lets the connection's own powers through.
type statusRecorder struct {
	http.ResponseWriter
	code int
	size int
}

func (c *statusRecorder) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.size += n
	return n, err
}

func (c *statusRecorder) WriteHeader(code int) {
	if code >= http.StatusOK || code == http.StatusSwitchingProtocols { // others, as proxied pods send, go before the answer
		c.code = cmp.Or(c.code, code)
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *statusRecorder) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush sends what is buffered: those who stream ask for it by this name.
func (c *statusRecorder) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// Hijack hands over the connection, for streams.
func (c *statusRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(c.ResponseWriter).Hijack()
}

// requestKind is all that metrics tell requests apart by.
type requestKind struct {
	verb, dryRun, group, version, resource, subresource, scope string
	code                                                       int
	deprecated                                                 bool
}

// labels are the values of the labels of all that is counted of requests.
func (k *requestKind) labels() []string {
	return []string{k.verb, k.group, k.version, k.resource, k.subresource, k.scope, "apiserver"}
}

// knownCode is a status code, or the class of one that HTTP does not know: proxied pods may send any.
func knownCode(code int) int {
	if http.StatusText(code) == "" {
		return code / 100
	}
	return code
}

// codeLabel is what knownCode gives in the words of metrics.
func codeLabel(code int) string {
	if code < 10 {
		return strconv.Itoa(code) + "xx"
	}
	return strconv.Itoa(code)
}

// counters are those of one kind of requests; what does not count for it is nil.
type counters struct {
	total               prometheus.Counter
	duration, sli, size prometheus.Observer
}

// of finds the counters of a kind: what happens at each request is one look into a map.
func (m *servedMetrics) of(k requestKind, long bool, info *request.Info) counters {
	m.mu.RLock()
	c, ok := m.known[k]
	m.mu.RUnlock()
	if ok {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unname(&k, info)
	labels := k.labels()
	c.total = m.total.WithLabelValues(append(slices.Clip(labels), k.dryRun, codeLabel(k.code))...)
	if !long {
		c.duration = m.duration.WithLabelValues(append(slices.Clip(labels), k.dryRun)...)
		if k.dryRun == "" {
			c.sli = m.sli.WithLabelValues(labels...)
		}
		if k.verb == http.MethodGet || k.verb == "LIST" {
			c.size = m.sizes.WithLabelValues(labels...)
		}
	}
	if k.deprecated {
		m.deprecated.WithLabelValues(k.group, k.version, k.resource, k.subresource, "").Set(1)
	}
	m.known[k] = c
	return c
}

// unname takes from a kind of requests what was withdrawn meanwhile, whose series would stay. It is called with the mutex
// held, so that forget finds what is made of the kind.
func (m *servedMetrics) unname(k *requestKind, info *request.Info) {
	if k.resource != "" && m.find(info) == nil {
		*k = requestKind{verb: k.verb, dryRun: k.dryRun, code: k.code}
	}
}

// lasting counts the requests of a kind that go on.
func (m *servedMetrics) lasting(k requestKind, info *request.Info) prometheus.Gauge {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.unname(&k, info)
	return m.long.WithLabelValues(k.labels()...)
}

// hasListed times a list that a watch began with.
func (m *servedMetrics) hasListed(k requestKind, info *request.Info, took time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.unname(&k, info)
	m.listed.WithLabelValues(k.group, k.version, k.resource, k.scope).Observe(took.Seconds())
}

// forget drops the series of versions of a resource that are no longer served.
func (m *servedMetrics) forget(r schema.GroupResource, versions []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, version := range versions {
		labels := prometheus.Labels{"group": r.Group, "version": version, "resource": r.Resource}
		for _, v := range []interface {
			DeletePartialMatch(prometheus.Labels) int
		}{m.total, m.duration, m.sli, m.listed, m.sizes, m.deprecated, m.long} {
			v.DeletePartialMatch(labels)
		}
		maps.DeleteFunc(m.known, func(k requestKind, _ counters) bool {
			return k.group == r.Group && k.version == version && k.resource == r.Resource
		})
	}
}

func (c *counters) count(took time.Duration, size int) {
	c.total.Inc()
	for _, o := range []struct {
		of    prometheus.Observer
		value float64
	}{{c.duration, took.Seconds()}, {c.sli, took.Seconds()}, {c.size, float64(size)}} {
		if o.of != nil {
			o.of.Observe(o.value)
		}
	}
}

// measured counts every request and, for those that do not go on for as long as the client wants, times it.
func (m *servedMetrics) measured(next http.Handler) http.Handler {
	reading, writing := m.inflight.WithLabelValues("readOnly"), m.inflight.WithLabelValues("mutating")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := request.InfoFrom(r.Context())
		k := requestKind{dryRun: dryRun(info)}
		if s := m.find(info); s != nil {
			k.group, k.version, k.resource, k.subresource, k.scope = info.Group, info.Version, info.Resource, info.Subresource, scope(info)
			k.deprecated = s.Deprecated != ""
		}
		k.verb = verbLabel(r, info)
		long := longRunning(info)
		gauge := reading
		switch {
		case long:
			gauge = m.lasting(k, info)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			gauge = writing
		}
		gauge.Inc()
		c, start := &statusRecorder{ResponseWriter: w}, m.clock.Now()
		if info.Verb == "watch" {
			info.Listed = func() { m.hasListed(k, info, m.clock.Since(start)) }
		}
		defer func() {
			gauge.Dec()
			k.code = knownCode(cmp.Or(c.code, http.StatusOK))
			counted := m.of(k, long, info)
			counted.count(m.clock.Since(start), c.size)
		}()
		next.ServeHTTP(c, r)
	})
}

// verbLabel is upstream's name for what a request does: its method, unless that alone does not tell.
func verbLabel(r *http.Request, info *request.Info) string {
	switch info.Subresource {
	case "log", "exec", "attach", "portforward", "proxy":
		return "CONNECT"
	}
	switch {
	case info.Verb == "watch" || info.Verb == "list":
		return strings.ToUpper(info.Verb)
	case r.Method == http.MethodHead:
		return http.MethodGet
	case r.Method == http.MethodPatch && strings.HasPrefix(r.Header.Get("Content-Type"), string(types.ApplyYAMLPatchType)):
		return "APPLY"
	case slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, r.Method):
		return r.Method
	}
	return "other"
}

func dryRun(info *request.Info) string {
	switch asked := info.Query["dryRun"]; {
	case len(asked) == 0:
		return ""
	case slices.ContainsFunc(asked, func(v string) bool { return v != metav1.DryRunAll }):
		return "invalid"
	}
	return metav1.DryRunAll
}

func scope(info *request.Info) string {
	switch {
	case info.PathName != "" || info.Verb == "create":
		return "resource"
	case info.Namespace != "":
		return "namespace"
	}
	return "cluster"
}
