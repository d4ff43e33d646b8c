package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// finish is how long requests may still take once no new ones come.
const finish = 20 * time.Second

type server struct {
	pod, greeting string
	// page is a file that a ConfigMap is mounted as. It is read for each request, so that changes show.
	page     string
	draining atomic.Bool
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.answer)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	return mux
}

func (s *server) answer(w http.ResponseWriter, _ *http.Request) {
	text, err := os.ReadFile(s.page)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "pod: %s\n%s\n%s", s.pod, s.greeting, text)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "the pod is ending", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// serve answers requests until the context ends, and then ends so that no request fails. The pod is taken
// out of the Service at the same moment as it is told to end, but every node learns of that a little later:
// so requests are answered for the time of drain still, each on a connection that is closed after it.
func (s *server) serve(ctx context.Context, listener net.Listener, drain time.Duration) error {
	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	web.SetKeepAlivesEnabled(false)
	select {
	case err := <-failed:
		return err
	case <-time.After(drain):
	}
	last, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	return web.Shutdown(last)
}
