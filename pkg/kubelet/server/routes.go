package server

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// routes are the paths of the HTTPS port, without permissions.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.cfg.Health.Install(mux)
	for _, slash := range []string{"", "/{$}"} {
		mux.HandleFunc("GET /pods"+slash, s.pods)
		mux.HandleFunc("GET /configz"+slash, s.configz)
		if !s.cfg.NoDebugging {
			mux.HandleFunc("GET /runningpods"+slash, s.runningPods)
		}
	}
	metrics := func(path string, g prometheus.Gatherer) {
		if g != nil {
			mux.Handle("GET "+path, promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
		}
	}
	metrics("/metrics", s.cfg.Metrics)
	metrics("/metrics/probes", s.cfg.ProbeMetrics)
	mux.Handle("/metrics/slis", s.cfg.Health.SLIs())
	for _, page := range s.cfg.Pages {
		mux.Handle("/"+page.Name(), page)
	}
	if s.cfg.Stats != nil {
		metrics("/metrics/resource", s.cfg.Stats.Resource())
		metrics("/metrics/cadvisor", s.cfg.Stats.Cadvisor())
		mux.HandleFunc("GET /stats/summary", s.summary)
		mux.HandleFunc("POST /stats/summary", s.summary)
	}
	if s.cfg.NoDebugging {
		for _, path := range debugging {
			mux.HandleFunc(path, disabled("Debug endpoints are disabled."))
		}
		return mux
	}
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	s.streamRoutes(mux)
	s.profiles(mux)
	if s.cfg.LogDir != "" {
		mux.HandleFunc("GET /logs/", s.nodeLogs)
	} else {
		mux.HandleFunc("/logs/", disabled("logs endpoint is disabled."))
	}
	return mux
}

// pods answers the pods of the node as a PodList.
func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, p := range s.cfg.Host.Pods() {
		list.Items = append(list.Items, *p)
	}
	answer(w, list)
}

// configz answers the configuration in force.
func (s *Server) configz(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"kubeletconfig": s.cfg.Configuration})
}

// summary answers what the node and its pods use.
func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	onlyCPUAndMemory, err := false, error(nil)
	if v := r.URL.Query().Get("only_cpu_and_memory"); v != "" {
		if onlyCPUAndMemory, err = strconv.ParseBool(v); err != nil {
			s.fail(w, r, &fault{http.StatusBadRequest, "only_cpu_and_memory is true or false"})
			return
		}
	}
	summary, err := s.cfg.Stats.Summary(r.Context(), onlyCPUAndMemory)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, summary)
}

// nodeLogs serves the node's log files. Links that lead out of the directory are not followed: pods may write
// there.
func (s *Server) nodeLogs(w http.ResponseWriter, r *http.Request) {
	root, err := os.OpenRoot(s.cfg.LogDir)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer func() { _ = root.Close() }()
	http.StripPrefix("/logs", http.FileServerFS(root.FS())).ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "encoding the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encoded) // the client has gone where this fails
}
