// Package apiserver tests the apiserver as its clients meet it: whole, over HTTPS, with an etcd of its own.
package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/sampan-project/sampan/pkg/apiserver"
)

// adminToken is that of a member of system:masters on every server of these tests.
const adminToken = "admin-token"

// server is a running apiserver.
type server struct {
	*apiserver.Server
	url string
}

// start runs a server that keeps its data in dir, until the test ends.
func start(t *testing.T, dir string, set ...func(*apiserver.Config)) *server {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte(adminToken+",admin,1,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := apiserver.DefaultConfig()
	cfg.DataDir, cfg.CertDir = dir, t.TempDir()
	cfg.BindAddress, cfg.Advertise, cfg.Port = "127.0.0.1", "192.0.2.1", freePort(t)
	cfg.ServiceCIDR, cfg.AllowPrivileged = "10.96.0.0/16", true
	cfg.Guard.AccountIssuers = []string{"https://kubernetes.default.svc"}
	cfg.Guard.TokenFile, cfg.Guard.Modes = tokens, []string{"Node", "RBAC"}
	for _, f := range set {
		f(cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := apiserver.New(ctx, cfg, funcr.New(func(_, text string) {
		if t.Context().Err() == nil { // what a server says as it stops has no test to be shown in
			t.Log(text)
		}
	}, funcr.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("the server ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the server was not ready within a minute")
	}
	return &server{Server: s, url: "https://" + s.Address()}
}

// memory is a directory that costs no disk: for tests that write much, and of which nothing must outlast.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sampan-")
	if err != nil {
		return t.TempDir() // slower, and no worse
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// freePort asks the kernel for a port. Another process could take it before the server does; none here does.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// client is one user of a server.
type client struct {
	url, token string
	http       *http.Client
}

func (s *server) as(token string, certs ...tls.Certificate) *client {
	return &client{url: s.url, token: token, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}, //nolint:gosec // who serves is not what is tested
	}}}
}

// do sends a request and reads the answer's object.
func (c *client) do(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		out = map[string]any{"text": string(text)}
	}
	return answer.StatusCode, out
}

// must is do for a request that has to be answered with code.
func (c *client) must(t *testing.T, code int, method, path string, body any) map[string]any {
	t.Helper()
	got, out := c.do(t, method, path, body)
	if got != code {
		t.Fatalf("%s %s: %d, want %d: %v", method, path, got, code, out)
	}
	return out
}

// at gives what stands at a dotted path of an answer, as text.
func at(v any, path string) string {
	for _, key := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return fmt.Sprint(v)
}
