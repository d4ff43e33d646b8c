package scheduler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHealthTellsWhatASchedulerWaitsFor(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	var learning atomic.Bool
	mux := http.NewServeMux()
	DefaultConfig().health(ctx, &learning).Install(mux)
	ask := func(path, want string, code int) {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != code || strings.ReplaceAll(w.Body.String(), "\n", " ") != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
	ask("/healthz?verbose", "[+]leaderElection ok healthz check passed ", 200)
	ask("/livez?verbose", "[+]ping ok livez check passed ", 200)
	ask("/readyz?verbose", "[+]leaderElection ok [+]shutdown ok [+]sched-handler-sync ok readyz check passed ", 200)
	learning.Store(true)
	ask("/readyz", "[+]leaderElection ok [+]shutdown ok [-]sched-handler-sync failed: reason withheld readyz check failed ", 500)
	ask("/readyz/sched-handler-sync", "internal server error: handlers are not fully synchronized ", 500)
	learning.Store(false)
	end()
	ask("/readyz", "[+]leaderElection ok [-]shutdown failed: reason withheld [+]sched-handler-sync ok readyz check failed ", 500)
	ask("/readyz/leaderElection", "ok", 200)

	alone := DefaultConfig()
	alone.LeaderElection.Enabled = false
	mux = http.NewServeMux()
	alone.health(t.Context(), &learning).Install(mux)
	ask("/healthz?verbose", "[+]ping ok healthz check passed ", 200)
	ask("/readyz?verbose", "[+]shutdown ok [+]sched-handler-sync ok readyz check passed ", 200)
}
