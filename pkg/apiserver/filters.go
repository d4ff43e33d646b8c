package apiserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// filter wraps a handler.
type filter func(http.Handler) http.Handler

// chained puts filters around a handler; the first is the outermost.
func chained(h http.Handler, filters ...filter) http.Handler {
	for i := len(filters) - 1; i >= 0; i-- {
		h = filters[i](h)
	}
	return h
}

// recovered answers 500 to a request whose handler panics, and goes on serving.
func recovered(log logr.Logger) filter {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if p := recover(); p != nil {
					if p == http.ErrAbortHandler {
						panic(p)
					}
					log.Error(fmt.Errorf("%v", p), "A request's handler panicked", "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
					http.Error(w, "This request caused apiserver to panic. Look in the logs for details.", http.StatusInternalServerError)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// identified gives every request an audit ID and reads what it asks for.
func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Audit-ID")
		if id == "" {
			var b [16]byte
			_, _ = rand.Read(b[:]) // never fails
			s := hex.EncodeToString(b[:])
			id = strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
		}
		w.Header().Set("Audit-Id", id)
		ctx, _ := request.WithWarnings(request.WithInfo(r.Context(), endpoint.Parse(r)))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// longRunning says that a request ends when the client wants.
func longRunning(info *request.Info) bool {
	switch info.Subresource {
	case "log", "exec", "attach", "portforward", "proxy":
		return true
	}
	return info.Verb == "watch"
}

// limited bounds the requests served at once, reads and writes apart; those that are long stand outside.
func limited(reads, writes int) filter {
	slots := map[bool]chan struct{}{false: make(chan struct{}, reads), true: make(chan struct{}, writes)}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := request.InfoFrom(r.Context())
			if longRunning(info) {
				next.ServeHTTP(w, r)
				return
			}
			mutating := r.Method != http.MethodGet && r.Method != http.MethodHead
			select {
			case slots[mutating] <- struct{}{}:
				defer func() { <-slots[mutating] }()
				next.ServeHTTP(w, r)
			default:
				if u := request.UserFrom(r.Context()); u != nil && u.InGroup("system:masters") {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Retry-After", "1")
				http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
			}
		})
	}
}

// timed ends the context of a request that takes too long; one that is long ends when the server stops.
func timed(after time.Duration, stopping context.Context) filter {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if longRunning(request.InfoFrom(r.Context())) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				defer context.AfterFunc(stopping, cancel)()
				next.ServeHTTP(w, r.WithContext(ctx))
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), after)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}
