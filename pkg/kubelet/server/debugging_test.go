package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// TestWhatIsSwitchedOffSaysSo: a path that was switched off is another thing than one that there is not.
func TestWhatIsSwitchedOffSaysSo(t *testing.T) {
	off := "Debug endpoints are disabled."
	for _, c := range []struct {
		cfg          Config
		method, path string
		code         int
		text         string
	}{
		{Config{Profiling: true}, "GET", "/debug/pprof/cmdline", 200, "server.test"},
		{Config{Profiling: true}, "GET", "/debug/pprof/", 200, "goroutine"},
		{Config{Profiling: true}, "POST", "/debug/pprof/symbol", 405, ""},
		{Config{}, "GET", "/debug/pprof/heap", 405, "profiling endpoint is disabled."},
		{Config{}, "GET", "/logs/", 405, "logs endpoint is disabled."},
		{Config{NoDebugging: true, Profiling: true}, "GET", "/debug/pprof/", 405, off},
		{Config{NoDebugging: true}, "POST", "/exec/n/p/c", 405, off},
		{Config{NoDebugging: true}, "POST", "/run/n/p/c", 405, off},
		{Config{NoDebugging: true}, "GET", "/containerLogs/n/p/c", 405, off},
		{Config{NoDebugging: true}, "GET", "/runningpods/", 405, off},
		{Config{NoDebugging: true, LogDir: "/var/log"}, "GET", "/logs/", 405, off},
		{Config{NoDebugging: true}, "GET", "/none", 404, ""},
	} {
		c.cfg.Health, c.cfg.Metrics = &daemon.Health{}, prometheus.NewRegistry()
		w := httptest.NewRecorder()
		New(c.cfg).routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}
