package manager

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sampan-project/sampan/pkg/controllers"
	"github.com/sampan-project/sampan/pkg/daemon"
)

func TestHealthNamesTheControllersThatRun(t *testing.T) {
	m := &manager{health: &daemon.Health{}}
	for _, name := range []string{"job-controller", "pod-garbage-collector-controller"} {
		m.started(controllers.Descriptor{Name: name})
	}
	mux := http.NewServeMux()
	m.health.Install(mux)
	for path, want := range map[string]string{
		"/healthz?verbose":        "[+]job-controller ok\n[+]pod-garbage-collector-controller ok\nhealthz check passed\n",
		"/healthz/job-controller": "ok",
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Body.String() != want {
			t.Errorf("%s: %q, want %q", path, w.Body, want)
		}
	}
}
