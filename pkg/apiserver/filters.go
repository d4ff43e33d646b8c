package apiserver

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/daemon"
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
			deepen(false)
			next.ServeHTTP(w, r)
		})
	}
}

// uncached keeps caches on the way from answering for the server, where no answer says otherwise.
func uncached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache, private")
		next.ServeHTTP(w, r)
	})
}

// unmarked keeps what a path says from being read as HTML.
var unmarked = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// identified gives every request an audit ID, made of random bits, and reads what it asks for. Where that cannot be
// read, the answer is an error of the server's, as upstream, whoever asks.
func identified(random func() uint64) filter {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get("Audit-ID")
			if id == "" {
				id = newID(random(), random())
			}
			w.Header().Set("Audit-Id", id)
			info, err := endpoint.Parse(r)
			if err != nil {
				text := fmt.Sprintf("Internal Server Error: %q: failed to create RequestInfo: %v", r.RequestURI, err)
				http.Error(w, unmarked.Replace(text), http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r.WithContext(request.Begin(r.Context(), info)))
		})
	}
}

// newID is an audit ID, in the form of a random UUID (RFC 9562). It is to tell requests apart and keeps no secret.
func newID(high, low uint64) string {
	const version, variant = 4 << 12, 2 << 62
	high, low = high&^(15<<12)|version, low&^(3<<62)|variant
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], high)
	binary.BigEndian.PutUint64(id[8:], low)
	text := make([]byte, 0, 36)
	from := 0
	for _, to := range []int{4, 6, 8, 10, 16} {
		if from > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, id[from:to])
		from = to
	}
	return string(text)
}

// longRunning says that a request ends when the client wants.
func longRunning(info *request.Info) bool {
	switch info.Subresource {
	case "log", "exec", "attach", "portforward", "proxy":
		return true
	}
	return info.Verb == "watch" || strings.HasPrefix(info.Path, daemon.ProfilesPath+"/")
}

// probes says that a request asks for the server's health. It must get its answer from a busy server too, which would
// else be taken for a dead one and ended.
func probes(info *request.Info) bool {
	return info.Path == "/healthz" || info.Path == "/livez" || info.Path == "/readyz"
}

// limited bounds the requests served at once, reads and writes apart; those that are long stand outside.
func limited(reads, writes int) filter {
	reading, writing := make(chan struct{}, reads), make(chan struct{}, writes)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := request.InfoFrom(r.Context())
			if longRunning(info) || probes(info) {
				next.ServeHTTP(w, r)
				return
			}
			slots := reading
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				slots = writing
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
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

// answerFor is how long a client may still read when its request's time is over.
const answerFor = 10 * time.Second

// timed ends requests that take too long, or longer than they ask for with timeout=; one that is long ends
// when it wants to, or when the server stops. Then neither a client that sends slowly nor one that does not
// read keeps its request from ending.
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
			limit, err := timeout(r, after)
			if err != nil {
				endpoint.Fail(w, r, err)
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			defer endpoint.ReleaseAfter(limit, w, answerFor)()
			r = r.WithContext(ctx)
			r.Body = endpoint.Body(ctx, w, r.Body)
			next.ServeHTTP(w, r)
		})
	}
}

// timeout is the time that a request has: what it asks for, at most what any has.
func timeout(r *http.Request, most time.Duration) (time.Duration, error) {
	if r.URL.RawQuery == "" {
		return most, nil
	}
	asked := r.URL.Query().Get("timeout")
	if asked == "" {
		return most, nil
	}
	d, err := time.ParseDuration(asked)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid timeout specified in the request URL - %v", err))
	}
	if d <= 0 || d > most {
		return most, nil
	}
	return d, nil
}
