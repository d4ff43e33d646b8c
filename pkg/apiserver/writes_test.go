package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// BenchmarkWrite is what the server spends on writes without what HTTP and etcd cost: requests are handed to
// its handler, and a store in memory takes what is written. They are those of test/bench/apibench.
func BenchmarkWrite(b *testing.B) {
	s := inMemory(b)
	h := s.handler(b.Context())
	s.must(b, h, "POST", "/api/v1/namespaces", "application/json", `{"metadata":{"name":"bench"}}`)
	s.must(b, h, "POST", "/api/v1/namespaces/bench/serviceaccounts", "application/json", `{"metadata":{"name":"default"}}`)
	const core, json = "/api/v1/namespaces/bench/", "application/json"
	var pods, maps int // made so far
	pod := func() {
		s.must(b, h, "POST", core+"pods", json, fmt.Sprintf(benchPod, pods))
		pods++
	}
	configMap := func() {
		s.must(b, h, "POST", core+"configmaps", json, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cm-%d"},"data":{"k":%q}}`, maps, strings.Repeat("x", 1000)))
		maps++
	}
	measured := func(name string, prepare, write func(i int)) {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				prepare(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processTime(b)
			for i := range b.N {
				write(i)
			}
			b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
	nothing := func(int) {}
	measured("create ConfigMap", nothing, func(int) { configMap() })
	measured("create Pod", nothing, func(int) { pod() })
	labelled := 0
	measured("merge patch", func(int) { pod() }, func(int) {
		s.must(b, h, "PATCH", fmt.Sprintf("%spods/pod-%d", core, labelled), "application/merge-patch+json", fmt.Sprintf(`{"metadata":{"labels":{"step":"%d"}}}`, labelled))
		labelled++
	})
	started := pods
	measured("status patch", func(int) { pod() }, func(int) {
		s.must(b, h, "PATCH", fmt.Sprintf("%spods/pod-%d/status", core, started), "application/strategic-merge-patch+json", benchStatus)
		started++
	})
	applied := 0
	measured("apply", func(int) { configMap() }, func(i int) {
		s.must(b, h, "PATCH", fmt.Sprintf("%sconfigmaps/cm-%d?fieldManager=bench&force=true", core, applied), "application/apply-patch+yaml",
			fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cm-%d"},"data":{"applied":"%d"}}`, applied, i))
		applied++
	})
	gone := 0
	measured("delete", func(i int) { pod() }, func(int) {
		s.must(b, h, "DELETE", fmt.Sprintf("%spods/pod-%d?gracePeriodSeconds=0", core, gone), "", "")
		gone++
	})
}

const (
	benchPod    = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%d","namespace":"bench","labels":{"app":"bench","tier":"web","pod-template-hash":"6d4cf56db6"},"annotations":{"bench/owner":"apibench","bench/note":"a realistic pod carries a few annotations"}},"spec":{"nodeName":"node-1","containers":[{"name":"web","image":"registry.example/web:1.2.3","command":["/bin/web","--port=8080"],"ports":[{"containerPort":8080,"name":"http"}],"env":[{"name":"A","value":"1"},{"name":"B","value":"two"},{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"resources":{"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"cpu":"500m","memory":"128Mi"}},"readinessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":5},"volumeMounts":[{"name":"cfg","mountPath":"/etc/cfg"}]},{"name":"side","image":"registry.example/side:4.5.6","resources":{"requests":{"cpu":"10m","memory":"16Mi"}}}],"volumes":[{"name":"cfg","configMap":{"name":"cfg"}}],"tolerations":[{"key":"dedicated","operator":"Exists"}],"terminationGracePeriodSeconds":0}}`
	benchStatus = `{"status":{"phase":"Running","podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}],"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}],"containerStatuses":[{"name":"web","ready":true,"restartCount":0,"image":"registry.example/web:1.2.3","imageID":"sha256:0","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}},"lastState":{}}]}}`
)

// benched is a server whose handler is called without HTTP.
type benched struct{ *Server }

// inMemory is a server without etcd, with admission plugins beside those that are on by default.
func inMemory(b testing.TB, plugins ...string) *benched {
	b.Helper()
	dir := b.TempDir()
	cfg := DefaultConfig()
	cfg.BindAddress, cfg.Advertise, cfg.Port, cfg.CertDir = "127.0.0.1", "192.0.2.1", freePort(b), dir
	cfg.Guard.TokenFile, cfg.Guard.Modes = filepath.Join(dir, "tokens.csv"), []string{"Node", "RBAC"}
	cfg.Guard.EnablePlugins = plugins
	if err := os.WriteFile(cfg.Guard.TokenFile, []byte("admin,admin,1,system:masters\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := cfg.complete(); err != nil {
		b.Fatal(err)
	}
	s := &Server{cfg: cfg, log: logr.Discard(), clock: clock.RealClock{}, metrics: &resettable{Registry: daemon.NewMetrics()}, ready: make(chan struct{}), etcd: storage.NewMemory()}
	var err error
	if s.networks, err = cfg.serviceNetworks(); err != nil {
		b.Fatal(err)
	}
	if err := s.listen(); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	s.closing = stop
	b.Cleanup(s.close)
	s.cache = watchcache.New(watchcache.Config{Store: s.etcd, Root: root, Clock: s.clock, Log: s.log})
	if err := s.assemble(ctx); err != nil {
		b.Fatal(err)
	}
	if err := s.boot(ctx); err != nil {
		b.Fatal(err)
	}
	return &benched{Server: s}
}

// must serves a request as HTTP/2 does, in a goroutine of its own, and gives the answer.
func (s *benched) must(b testing.TB, h http.Handler, method, path, media, body string) string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, "https://bench"+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	r.Header.Set("Accept", "application/json")
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	w := &answer{header: http.Header{}, served: make(chan struct{})}
	go func() {
		defer close(w.served)
		h.ServeHTTP(w, r)
	}()
	<-w.served
	if w.code >= 300 {
		b.Fatalf("%s %s %s: HTTP %d: %s", method, path, body, w.code, w.body.String())
	}
	return w.body.String()
}

type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
	served chan struct{}
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(code int)        { a.code = code }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func freePort(b testing.TB) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// processTime is the time that the process has spent on processors, which other processes do not lengthen much.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
