package streaming_test

import (
	"compress/gzip"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sampan-project/sampan/pkg/streaming"
)

// proxied serves /root/... by a backend, as the apiserver does, and answers what the backend was asked.
func proxied(t *testing.T, noRedirects bool, backend http.HandlerFunc) *httptest.Server {
	t.Helper()
	back := httptest.NewServer(backend)
	t.Cleanup(back.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, _ := url.Parse(back.URL)
		target.Path = strings.TrimPrefix(r.URL.Path, "/root")
		p := &streaming.Proxy{Target: target, Transport: http.DefaultTransport, Prefix: "/root", NoRedirects: noRedirects, Fail: fail}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, method, at string, h http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, at, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, h)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestProxyPassesRequestsWithoutCredentials(t *testing.T) {
	var got *http.Request
	var sent string
	server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, sent = r, string(b)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
	})
	answer, _ := ask(t, http.MethodPut, server.URL+"/root/a%20b/?x=1", http.Header{
		"Authorization": {"Bearer secret"}, "Impersonate-User": {"root"}, "Impersonate-Extra-Scopes": {"all"}, "X-Remote-User": {"root"}, "X-Mine": {"kept"},
		"X-Forwarded-For": {"10.1.2.3"},
	})
	if answer.StatusCode != http.StatusTeapot || answer.Header.Get("X-Answer") != "yes" {
		t.Errorf("the answer was %d %v", answer.StatusCode, answer.Header)
	}
	if got.Method != http.MethodPut || got.URL.Path != "/a b/" || got.URL.RawQuery != "x=1" || sent != "body" {
		t.Errorf("the backend was asked %s %s %q", got.Method, got.URL, sent)
	}
	for _, secret := range []string{"Authorization", "Impersonate-User", "Impersonate-Extra-Scopes", "X-Remote-User"} {
		if got.Header.Get(secret) != "" {
			t.Errorf("%s reached the backend", secret)
		}
	}
	if got.Header.Get("X-Mine") != "kept" || got.Header.Get("X-Forwarded-Uri") != "/root/a%20b/" || got.Header.Get("X-Forwarded-For") != "10.1.2.3, 127.0.0.1" {
		t.Errorf("headers are %v", got.Header)
	}
}

func TestProxyTranslatesLocation(t *testing.T) {
	for location, want := range map[string]string{
		"/there?x=1":                  "/root/there?x=1",
		"there":                       "there",
		"http://elsewhere.example/at": "http://elsewhere.example/at",
		"http://SELF/at":              "/root/at",
	} {
		server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", strings.Replace(location, "SELF", r.Host, 1))
			w.WriteHeader(http.StatusFound)
		})
		// The backend sees its own host only where the proxy names it.
		answer, _ := ask(t, http.MethodGet, server.URL+"/root/x", nil)
		if got := answer.Header.Get("Location"); got != want {
			t.Errorf("%s became %q, want %q", location, got, want)
		}
	}
}

// CVE-2020-8559: a compromised kubelet must not send clients' credentials elsewhere.
func TestProxyRefusesRedirects(t *testing.T) {
	server := proxied(t, true, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for name, h := range map[string]http.Header{"plain": nil, "upgrade": {"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}}} {
		answer, body := ask(t, http.MethodGet, server.URL+"/root/x", h)
		if answer.StatusCode != http.StatusBadGateway || answer.Header.Get("Location") != "" || !strings.Contains(body, "not permitted") {
			t.Errorf("%s: got %d %v %s", name, answer.StatusCode, answer.Header, body)
		}
	}
}

func TestProxyRedirectsRootToSlash(t *testing.T) {
	server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) })
	answer, _ := ask(t, http.MethodGet, server.URL+"/root?x=1", nil)
	if answer.StatusCode != http.StatusMovedPermanently || answer.Header.Get("Location") != "/root/?x=1" {
		t.Errorf("got %d %v", answer.StatusCode, answer.Header)
	}
	if answer, body := ask(t, http.MethodPost, server.URL+"/root", nil); answer.StatusCode != http.StatusOK || body != "POST" {
		t.Errorf("POST got %d %s", answer.StatusCode, body)
	}
}

func TestProxyCarriesWebSocket(t *testing.T) {
	server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		kind, m, err := ws.ReadMessage()
		if err == nil {
			_ = ws.WriteMessage(kind, append([]byte("echo "), m...))
		}
	})
	ws, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/root/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, m, err := ws.ReadMessage(); err != nil || string(m) != "echo hi" {
		t.Errorf("got %q, %v", m, err)
	}
}

// CVE-2018-1002105: after an upgrade that failed the connection must not lead to the server behind: what
// the client sends next would be believed to come from the proxy.
func TestProxyClosesConnectionsWhoseUpgradeFailed(t *testing.T) {
	for name, backend := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"ignored":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") },
		"empty":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"breaking": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var asked atomic.Int32
		server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			backend(w, r)
		})
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		const second = "GET /root/second HTTP/1.1\r\nHost: x\r\n\r\n"
		if _, err := io.WriteString(conn, "GET /root/first HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+second); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn) // until the server closes
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if asked.Load() != 1 || strings.Count(string(all), "HTTP/1.1") != 1 || !strings.Contains(string(all), "Connection: close") {
			t.Errorf("%s: the backend was asked %d times: %s", name, asked.Load(), all)
		}
	}
}

// TestProxyTranslatesPages also has backends say who may read their pages, which is not theirs to say.
func TestProxyTranslatesPages(t *testing.T) {
	page := map[string]string{
		`<a href="/rewriteme">test</a>`:                                `<a href="/root/rewriteme">test</a>`,
		`<A HREF='/a?b=c&amp;d#e' id=x>/f</A><a href="rel/x">`:         `<a href="/root/a?b=c&amp;d#e" id="x">/f</A><a href="rel/x">`,
		`<img src=/i.png longdesc="/l"/><p title="/t">`:                `<img src="/root/i.png" longdesc="/root/l"/><p title="/t">`,
		`<a href="//example.com/x"><a href="#y"><a href="mailto:a@b">`: `<a href="//example.com/x"><a href="#y"><a href="mailto:a@b">`,
		`<a href="/root/known"><a href="/rooted">`:                     `<a href="/root/known"><a href="/root/rooted">`,
		`<script src="/s.js">if (a < b) "<a href='/no'>"</script>`:     `<script src="/root/s.js">if (a < b) "<a href='/no'>"</script>`,
		`<!doctype html><!-- <a href="/no"> --> <b`:                    `<!doctype html><!-- <a href="/no"> --> <b`,
	}
	for in, want := range page {
		for _, encoding := range []string{"", "gzip", "br"} {
			server := proxied(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Access-Control-Allow-Origin", "*")
				if encoding == "" {
					_, _ = io.WriteString(w, in)
					return
				}
				w.Header().Set("Content-Encoding", encoding)
				if encoding == "br" {
					_, _ = io.WriteString(w, in)
					return
				}
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, in)
				_ = z.Close()
			})
			answer, got := ask(t, "GET", server.URL+"/root/page", http.Header{"Accept-Encoding": {"gzip, br"}})
			if encoding == "gzip" {
				z, err := gzip.NewReader(strings.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				got = string(b)
			}
			if encoding == "br" {
				want = in // nobody here reads that
			}
			if got != want || answer.Header.Get("Access-Control-Allow-Origin") != "" || answer.Header.Get("Content-Encoding") != encoding {
				t.Errorf("%s in %q: got %s, want %s; %v", in, encoding, got, want, answer.Header)
			}
		}
	}
	server := proxied(t, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a":"<a href=\"/x\">"}`) })
	if _, got := ask(t, "GET", server.URL+"/root/data", nil); got != `{"a":"<a href=\"/x\">"}` {
		t.Errorf("what is no page: %s", got)
	}
}

// TestProxyShowsPagesAsTheyCome reads the beginning of a page that is not over, and leaves.
func TestProxyShowsPagesAsTheyCome(t *testing.T) {
	left := make(chan struct{})
	server := proxied(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<a href="/a">`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	answer, err := http.Get(server.URL + "/root/page")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(`<a href="/root/a">`))
	if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != `<a href="/root/a">` {
		t.Errorf("%v: %s", err, got)
	}
	_ = answer.Body.Close()
	<-left
}

// TestProxyDoesNotKeepWhatPretendsToBeAPage sends one endless tag.
func TestProxyDoesNotKeepWhatPretendsToBeAPage(t *testing.T) {
	long := "<a href=/x " + strings.Repeat("y", 3<<20)
	server := proxied(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, long)
	})
	if _, got := ask(t, "GET", server.URL+"/root/page", nil); got != long {
		t.Errorf("%d bytes became %d", len(long), len(got))
	}
}
