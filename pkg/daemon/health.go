package daemon

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one named condition of health; nil means well.
type Check struct {
	Name  string
	Check func(ctx context.Context) error
}

// Health answers /healthz, /livez and /readyz from named checks. With ?verbose every check is listed;
// ?exclude=NAME leaves one out. A path below (/readyz/NAME) asks for one check.
type Health struct {
	mu     sync.RWMutex
	checks map[string][]Check // by path

	once sync.Once
	slis slis
}

// slis are upstream's measurements of checks.
type slis struct {
	registry *prometheus.Registry
	state    *prometheus.GaugeVec
	total    *prometheus.CounterVec
}

func (s *slis) make() {
	s.registry = prometheus.NewRegistry()
	s.state = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubernetes_healthcheck", Help: "1 for a check that passed when it was last made, else 0."}, []string{"name", "type"})
	s.total = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kubernetes_healthchecks_total", Help: "How often a check was made, and with which result."}, []string{"name", "type", "status"})
	s.registry.MustRegister(s.state, s.total)
}

func (s *slis) observe(check, kind string, err error) {
	state, status := 1.0, "success"
	if err != nil {
		state, status = 0, "error"
	}
	s.state.WithLabelValues(check, kind).Set(state)
	s.total.WithLabelValues(check, kind, status).Inc()
}

// SLIs serves how the checks went.
func (h *Health) SLIs() http.Handler {
	h.once.Do(h.slis.make)
	return WithReset(promhttp.HandlerFor(h.slis.registry, promhttp.HandlerOpts{}), func() {
		h.slis.state.Reset()
		h.slis.total.Reset()
	})
}

// WithReset serves metrics, and upon DELETE lets them begin anew.
func WithReset(metrics http.Handler, reset func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			metrics.ServeHTTP(w, r)
			return
		}
		reset()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "metrics reset\n")
	})
}

// The paths under which checks are asked for.
const (
	Healthz = "/healthz"
	Livez   = "/livez"
	Readyz  = "/readyz"
)

// Ping passes wherever anything is answered. It stands in where there are no other checks.
var Ping = Check{Name: "ping", Check: func(context.Context) error { return nil }}

// AddLive adds checks whose failure means that a restart would help, under every path.
func (h *Health) AddLive(c ...Check) {
	for _, path := range []string{Healthz, Livez, Readyz} {
		h.Add(path, c...)
	}
}

// AddReady adds checks whose failure means that no requests should be sent here now.
func (h *Health) AddReady(c ...Check) { h.Add(Readyz, c...) }

// Add adds checks under one path.
func (h *Health) Add(path string, c ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string][]Check{}
	}
	h.checks[path] = append(h.checks[path], c...)
}

// under gives the checks of a path.
func (h *Health) under(path string) []Check {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.checks[path]) == 0 {
		return []Check{Ping}
	}
	return slices.Clone(h.checks[path])
}

// Install registers the three paths.
func (h *Health) Install(mux *http.ServeMux) {
	h.once.Do(h.slis.make)
	for _, path := range []string{Healthz, Livez, Readyz} {
		checks := func() []Check { return h.under(path) }
		mux.Handle(path, h.handler(strings.TrimPrefix(path, "/"), checks))
		mux.Handle(path+"/", oneHealthHandler(path+"/", checks))
	}
}

func (h *Health) handler(name string, checks func() []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		unknown := map[string]bool{}
		for _, name := range query["exclude"] {
			unknown[name] = true
		}
		var out strings.Builder
		failed := false
		for _, c := range checks() {
			if slices.Contains(query["exclude"], c.Name) {
				delete(unknown, c.Name)
				fmt.Fprintf(&out, "[+]%s excluded: ok\n", c.Name)
				continue
			}
			err := c.Check(r.Context())
			h.slis.observe(c.Name, name, err)
			if err != nil {
				failed = true
				fmt.Fprintf(&out, "[-]%s failed: reason withheld\n", c.Name)
				continue
			}
			fmt.Fprintf(&out, "[+]%s ok\n", c.Name)
		}
		if len(unknown) > 0 {
			fmt.Fprintf(&out, "warn: some health checks cannot be excluded: no matches for %s\n", quotedNames(unknown))
		}
		if failed {
			http.Error(w, out.String()+name+" check failed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if query.Has("verbose") {
			fmt.Fprintf(w, "%s%s check passed\n", out.String(), name)
			return
		}
		fmt.Fprint(w, "ok")
	})
}

// quotedNames are names in order, each in quotes.
func quotedNames(names map[string]bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, strconv.Quote(name))
	}
	return strings.Join(all, ",")
}

func oneHealthHandler(prefix string, checks func() []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, prefix)
		for _, c := range checks() {
			if c.Name != name {
				continue
			}
			if err := c.Check(r.Context()); err != nil {
				http.Error(w, "internal server error: "+err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, "ok")
			return
		}
		http.NotFound(w, r)
	})
}
