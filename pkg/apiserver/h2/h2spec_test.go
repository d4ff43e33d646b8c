package h2

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

// TestH2spec runs all that h2spec has for servers. It prints what fails, and how.
func TestH2spec(t *testing.T) {
	f := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or else the request is answered before what is wrong with it has come
		_, _ = w.Write(text(20))
	}))
	host, port, err := net.SplitHostPort(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Host: host, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true, TLS: true, Insecure: true}
	if c.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	if passed, err := h2spec.Run(c); err != nil || !passed {
		t.Errorf("passed %v, %v", passed, err)
	}
}
