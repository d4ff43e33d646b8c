package apiserver

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// handler is the whole server: the filters, and behind them the paths. Long requests end with stopping.
func (s *Server) handler(stopping context.Context) http.Handler {
	paths := s.paths()
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "//") || strings.HasPrefix(path, "/apis//") { // who may ask was judged without these slashes
			endpoint.NotFound(w, r)
			return
		}
		if info := request.InfoFrom(r.Context()); info.IsResource {
			if s.endpoint.Find(info) != nil || !s.elsewhere(w, r) {
				s.endpoint.ServeHTTP(w, r)
			}
			return
		}
		if h, ok := paths[path]; ok {
			h.ServeHTTP(w, r)
			return
		}
		for _, below := range []string{"/healthz/", "/livez/", "/readyz/"} {
			if strings.HasPrefix(path, below) && !strings.Contains(path, "//") { // which a ServeMux would redirect
				paths[below].ServeHTTP(w, r)
				return
			}
		}
		if (strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/apis/")) && s.discovery.Has(path) {
			s.discovery.Serve(w, r)
			return
		}
		if s.openapi.Has(path) {
			s.openapi.ServeHTTP(w, r)
			return
		}
		if s.cfg.Profiling && (path == daemon.ProfilesPath || strings.HasPrefix(path, daemon.ProfilesPath+"/")) {
			daemon.Profiles(w, r)
			return
		}
		if !s.elsewhere(w, r) {
			s.endpoint.NotFound(w, r)
		}
	})
	return chained(serve, recovered(s.log), identified(rand.Uint64), uncached, s.served.measured, s.guarded,
		limited(s.cfg.MaxReads, s.cfg.MaxWrites), timed(s.cfg.RequestTimeout, stopping))
}

func (s *Server) guarded(next http.Handler) http.Handler { return s.guard.Filter(next, endpoint.Fail) }

// paths are those that are no resources. As upstream, some take GET alone, and a slash behind them; the others are
// answered whatever the method is.
func (s *Server) paths() map[string]http.Handler {
	paths := map[string]http.Handler{
		"/api": reading(http.HandlerFunc(s.discovery.ServeCore)), "/apis": http.HandlerFunc(s.discovery.ServeGroups),
		"/version": reading(http.HandlerFunc(serveVersion)),
	}
	for p, h := range s.guard.Documents {
		paths[p] = reading(h)
	}
	for p, h := range maps.Clone(paths) {
		paths[p+"/"] = h
	}
	health := http.NewServeMux()
	s.health.Install(health)
	for _, p := range []string{"/healthz", "/livez", "/readyz"} {
		paths[p], paths[p+"/"] = health, health
	}
	paths["/metrics"] = promhttp.HandlerFor(prometheus.Gatherers{s.metrics, prometheus.GathererFunc(celTimes)}, promhttp.HandlerOpts{})
	if s.cfg.Profiling {
		paths["/metrics"] = daemon.WithReset(paths["/metrics"], s.resetMetrics)
	}
	paths["/metrics/slis"] = s.health.SLIs()
	all := make([]string, 0, len(paths))
	for p := range paths {
		if !strings.HasSuffix(p, "/") {
			all = append(all, p)
		}
	}
	for _, page := range daemon.ZPages("apiserver", s.cfg.flags, s.clock, debugFolders(append(all, "/flagz", "/statusz"))) {
		paths["/"+page.Name()] = zpage{page}
		all = append(all, "/"+page.Name())
	}
	paths["/"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := slices.Concat(all, s.discovery.Paths(), s.openapi.Paths())
		slices.Sort(list)
		endpoint.WriteJSON(w, http.StatusOK, metav1.RootPaths{Paths: list})
	})
	paths["/index.html"] = paths["/"]
	return paths
}

// reading lets only GET through.
func reading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			endpoint.NotAllowed(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
