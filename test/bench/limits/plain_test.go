package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPlainServerSendsWhatTheOtherSaid asks for a pod and a list twice, and has a patch's event reach those who want
// it: the other server is asked once for each.
func TestPlainServerSendsWhatTheOtherSaid(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("compressed bytes are asked for: %v", r.Header)
		}
		w.Header().Set("Content-Type", r.Header.Get("Accept"))
		_, _ = io.WriteString(w, `{"path":"`+r.URL.Path+`","bench/t":"1"}`+"\n")
	}))
	t.Cleanup(other.Close)
	p := &plain{from: other.URL, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}, answers: map[string]answer{}, watchers: map[*watcher]bool{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	ask := func(method, path, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	for _, path := range []string{"/pods/pod-7", "/pods/pod-8", "/pods?resourceVersion=0", "/pods?resourceVersion=0"} {
		body, err := io.ReadAll(ask(http.MethodGet, path, "").Body)
		if err != nil || !strings.Contains(string(body), `"bench/t":"1"`) {
			t.Errorf("%s: %s, %v", path, body, err)
		}
	}
	if asked != 2 {
		t.Errorf("the other server was asked %d times", asked)
	}
	all := bufio.NewReader(ask(http.MethodGet, "/pods?watch=true", "").Body)
	one := bufio.NewReader(ask(http.MethodGet, "/pods?watch=true&fieldSelector=spec.nodeName%3Dnode-3", "").Body)
	ask(http.MethodPatch, "/pods/pod-2", `{"metadata":{"annotations":{"bench/t":"22"}}}`)
	ask(http.MethodPatch, "/pods/pod-3", `{"metadata":{"annotations":{"bench/t":"33"}}}`)
	for _, c := range []struct {
		stream *bufio.Reader
		want   string
	}{{all, `"bench/t":"22"`}, {all, `"bench/t":"33"`}, {one, `"bench/t":"33"`}} {
		line, err := c.stream.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, `{"type":"MODIFIED","object":{`) || !strings.Contains(line, c.want) {
			t.Errorf("got %q, %v; want an event with %s", line, err, c.want)
		}
	}
}
