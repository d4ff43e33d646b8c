package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func get(t *testing.T, client *http.Client, url string) (int, string, bool) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Close
}

func TestAnswersWithPodGreetingAndPage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.txt")
	s := &server{pod: "web-1", greeting: "Hello", page: page}
	ask := func() string {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w.Body.String()
	}
	if got := ask(); got != "pod: web-1\nHello\n" {
		t.Errorf("without a page: %q", got)
	}
	for _, text := range []string{"first\n", "second\n"} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := ask(), "pod: web-1\nHello\n"+text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// pipes is a network of one listener inside a synctest bubble, where real sockets would stop the clock.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.connections <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func TestNoRequestFailsWhileThePodEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipes{make(chan net.Conn), make(chan struct{})}
		client := &http.Client{Transport: &http.Transport{DialContext: network.dial}}
		ctx, terminate := context.WithCancel(t.Context())
		s, ended := &server{pod: "web-1"}, make(chan error, 1)
		start := time.Now()
		go func() { ended <- s.serve(ctx, network, 5*time.Second) }()

		if code, _, closes := get(t, client, "http://web/readyz"); code != http.StatusOK || closes {
			t.Errorf("before: readiness %d, connection closes %v", code, closes)
		}
		terminate()
		synctest.Wait()
		if code, _, _ := get(t, client, "http://web/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("while draining: readiness %d, want 503", code)
		}
		if code, _, closes := get(t, client, "http://web/"); code != http.StatusOK || !closes {
			t.Errorf("while draining: a request got %d, connection closes %v; want it answered and the connection closed", code, closes)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("ended after %v, want as soon as it has drained", took)
		}
		if _, err := client.Get("http://web/"); err == nil {
			t.Error("a request was answered after the end")
		}
	})
}
