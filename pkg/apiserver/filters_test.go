package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// pipes listens for connections within the process, so that time may be made up.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// connected serves one connection by the apiserver's HTTP server and gives the client's end.
func connected(t *testing.T, h http.Handler) net.Conn {
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	server := newHTTPServer(h)
	go func() { _ = server.Serve(p) }()
	ours, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() { _ = ours.Close(); _ = server.Close() })
	return ours
}

// within is a handler behind the filters that bound time.
func within(h http.HandlerFunc) http.Handler {
	return chained(h, identified(rand.Uint64), timed(time.Minute, context.Background()))
}

func TestSlowHeadersEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := connected(t, within(func(http.ResponseWriter, *http.Request) { t.Error("a request without an end was served") }))
		begun := time.Now()
		if _, err := io.WriteString(conn, "GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn)
		if took := time.Since(begun); took != 32*time.Second {
			t.Errorf("the connection ended after %v", took)
		}
	})
}

func TestSlowBodiesAreAnsweredWhenTheirTimeIsOver(t *testing.T) {
	for query, want := range map[string]time.Duration{"": time.Minute, "?timeout=5s": 5 * time.Second, "?timeout=2h": time.Minute, "?timeout=0s": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			served := make(chan struct{})
			conn := connected(t, within(func(w http.ResponseWriter, r *http.Request) {
				defer close(served)
				_, err := io.ReadAll(r.Body)
				endpoint.Fail(w, r, err)
			}))
			begun := time.Now()
			if _, err := fmt.Fprintf(conn, "POST /api/v1/namespaces%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", query); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			<-served
			if answer.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(body), "Timeout: request did not complete within the allotted timeout") {
				t.Errorf("answered %d %s", answer.StatusCode, body)
			}
			if took := time.Since(begun); took != want {
				t.Errorf("%q: answered after %v, want %v", query, took, want)
			}
		})
	}
}

func TestWhoDoesNotReadIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := make(chan struct{})
		conn := connected(t, within(func(w http.ResponseWriter, _ *http.Request) {
			defer close(served)
			_, _ = w.Write(make([]byte, 1<<20))
		}))
		begun := time.Now()
		if _, err := io.WriteString(conn, "GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-served
		if took := time.Since(begun); took != time.Minute+answerFor {
			t.Errorf("the handler ended after %v", took)
		}
	})
}

func TestConnectionsOutliveTheTimeOfTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := connected(t, within(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			if r.URL.RawQuery != "" {
				<-r.Context().Done()
			}
			if r.Context().Err() != nil {
				endpoint.Fail(w, r, r.Context().Err())
			}
		}))
		in := bufio.NewReader(conn)
		for _, c := range []struct {
			path string
			code int
		}{{"/api/v1/pods", 200}, {"/api/v1/pods?timeout=1s", 504}, {"/api/v1/pods", 200}} {
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", c.path); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(answer.Body)
			if answer.StatusCode != c.code {
				t.Errorf("%s: answered %d, want %d", c.path, answer.StatusCode, c.code)
			}
		}
	})
}

func TestTimeoutsThatAreNone(t *testing.T) {
	h := within(func(http.ResponseWriter, *http.Request) { t.Error("it was served") })
	for _, asked := range []string{"x", "1", "1y", "5 s"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/api/v1/pods", nil)
		r.URL.RawQuery = "timeout=" + strings.ReplaceAll(asked, " ", "%20")
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalid timeout specified in the request URL - time: ") {
			t.Errorf("%q: %d %s", asked, w.Code, w.Body)
		}
	}
}

// TestPlacesAreBounded fills the places for reads and writes and tries one more, of each kind.
func TestPlacesAreBounded(t *testing.T) {
	cfg := DefaultConfig()
	if cfg.MaxReads != 400 || cfg.MaxWrites != 200 {
		t.Errorf("there are %d places for reads and %d for writes", cfg.MaxReads, cfg.MaxWrites)
	}
	release, entered := make(chan struct{}), make(chan struct{})
	h := chained(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}), identified(rand.Uint64), limited(cfg.MaxReads, cfg.MaxWrites))
	ask := func(method, path, group string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		h.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), &request.User{Name: "u", Groups: []string{group}})))
		return w
	}
	var all sync.WaitGroup
	enter := func(method, path, group string) {
		all.Go(func() {
			if w := ask(method, path, group); w.Code != http.StatusOK {
				t.Errorf("%s %s by %s: %d", method, path, group, w.Code)
			}
		})
		<-entered
	}
	for range cfg.MaxReads {
		enter(http.MethodGet, "/api/v1/pods", "team")
	}
	for i := range cfg.MaxWrites {
		enter([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}[i%4], "/api/v1/namespaces/x", "team")
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		w := ask(method, "/api/v1/pods", "team")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "Too many requests, please try again later.") {
			t.Errorf("%s beyond the bound: %d %v %s", method, w.Code, w.Header(), w.Body)
		}
		enter(method, "/api/v1/pods", "system:masters")
	}
	enter(http.MethodGet, "/api/v1/pods?watch=true", "team")
	enter(http.MethodGet, "/api/v1/namespaces/x/pods/p/log", "team")
	enter(http.MethodGet, "/livez", "system:unauthenticated")
	close(release)
	all.Wait()
	go func() { <-entered }()
	if w := ask(http.MethodGet, "/api/v1/pods", "team"); w.Code != http.StatusOK {
		t.Errorf("with places free again: %d", w.Code)
	}
}

func TestAuditIDsAreRandomUUIDs(t *testing.T) {
	for want, bits := range map[string][2]uint64{
		"00000000-0000-4000-8000-000000000000": {0, 0},
		"ffffffff-ffff-4fff-bfff-ffffffffffff": {^uint64(0), ^uint64(0)},
		"01234567-89ab-4def-8123-456789abcdef": {0x0123456789abcdef, 0x0123456789abcdef},
	} {
		if got := newID(bits[0], bits[1]); got != want {
			t.Errorf("of %x comes %s, want %s", bits, got, want)
		}
	}
}

// TestVerbsOfOldNeedAResource: as upstream, nobody learns from such a path whether there is an API at all.
func TestVerbsOfOldNeedAResource(t *testing.T) {
	reached := false
	h := chained(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), identified(rand.Uint64))
	for target, shown := range map[string]string{
		"/api/v1/watch": "/api/v1/watch", "/api/v1/watch/?a=1&b=<": "/api/v1/watch/?a=1&amp;b=&lt;",
		"/apis/apps/v1/watch": "/apis/apps/v1/watch", "/apis/none/v9/proxy": "/apis/none/v9/proxy",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		want := fmt.Sprintf("Internal Server Error: \"%s\": failed to create RequestInfo: "+
			"unable to determine kind and namespace from url, %s\n", shown, shown)
		if w.Code != http.StatusInternalServerError || w.Body.String() != want || w.Header().Get("Audit-Id") == "" {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
	if reached {
		t.Error("what is behind was reached")
	}
}
