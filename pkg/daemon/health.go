package daemon

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Check is one named condition of health; nil means well.
type Check struct {
	Name  string
	Check func(ctx context.Context) error
}

// Health answers /healthz, /livez and /readyz from named checks. With ?verbose every check is listed;
// ?exclude=NAME leaves one out. A path below (/readyz/NAME) asks for one check.
type Health struct {
	mu    sync.RWMutex
	live  []Check // /livez, and with them /healthz
	ready []Check // /readyz beside the live ones
}

// AddLive adds checks whose failure means that a restart would help.
func (h *Health) AddLive(c ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = append(h.live, c...)
}

// AddReady adds checks whose failure means that no requests should be sent here now.
func (h *Health) AddReady(c ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = append(h.ready, c...)
}

// Install registers the three paths.
func (h *Health) Install(mux *http.ServeMux) {
	live := func() []Check { h.mu.RLock(); defer h.mu.RUnlock(); return slices.Clone(h.live) }
	ready := func() []Check {
		return append(live(), func() []Check { h.mu.RLock(); defer h.mu.RUnlock(); return h.ready }()...)
	}
	for path, checks := range map[string]func() []Check{"/healthz": live, "/livez": live, "/readyz": ready} {
		mux.Handle(path, healthHandler(strings.TrimPrefix(path, "/"), checks))
		mux.Handle(path+"/", oneHealthHandler(path+"/", checks))
	}
}

func healthHandler(name string, checks func() []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		var out strings.Builder
		failed := []string{}
		fmt.Fprintf(&out, "[+]ping ok\n")
		for _, c := range checks() {
			if slices.Contains(excluded, c.Name) {
				fmt.Fprintf(&out, "[+]%s excluded: ok\n", c.Name)
				continue
			}
			if err := c.Check(r.Context()); err != nil {
				failed = append(failed, c.Name)
				fmt.Fprintf(&out, "[-]%s failed: reason withheld\n", c.Name)
				continue
			}
			fmt.Fprintf(&out, "[+]%s ok\n", c.Name)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if len(failed) > 0 {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "%s%s check failed\n", out.String(), name)
			return
		}
		if _, verbose := r.URL.Query()["verbose"]; verbose {
			fmt.Fprintf(w, "%s%s check passed\n", out.String(), name)
			return
		}
		fmt.Fprint(w, "ok")
	})
}

func oneHealthHandler(prefix string, checks func() []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, prefix)
		if name == "ping" {
			fmt.Fprint(w, "ok")
			return
		}
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
