package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
)

// attempt probes once, at host and port.
func attempt(t *testing.T, spec *corev1.Probe, port int32, run Exec) outcome {
	t.Helper()
	p := newProber(Config{Exec: run, Clock: clock.RealClock{}, Log: logr.Discard()})
	c := &corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: port}}}
	o, err := p.attempt(t.Context(), &target{pod: pod(*c), container: c, ip: "127.0.0.1", spec: spec}, "id")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func portOf(t *testing.T, address string) int32 {
	t.Helper()
	_, s, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := net.LookupPort("tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	return int32(port)
}

func TestHTTPProbe(t *testing.T) {
	var seen http.Header
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		seen.Set("Host", r.Host)
		_, _ = w.Write([]byte(r.URL.Query().Get("q")))
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bad", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, u.Host)
	get := func(path string, headers ...corev1.HTTPHeader) outcome {
		return attempt(t, &corev1.Probe{TimeoutSeconds: 5, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromString("web"), Scheme: corev1.URISchemeHTTPS, HTTPHeaders: headers}}}, port, nil)
	}
	for path, want := range map[string]outcome{
		"/ok?q=hello": {result: Success, output: "hello"},
		"/bad":        {result: Failure, output: "HTTP probe failed with statuscode: 500"},
		"/moved":      {result: Failure, output: "HTTP probe failed with statuscode: 500"},
	} {
		if diff := cmp.Diff(want, get(path), cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if o := get("/away"); o.result != Success || !o.warn || !strings.HasPrefix(o.output, "Probe terminated redirects, Response body: ") {
		t.Errorf("redirect to another host: %+v", o)
	}
	if o := get("/round"); o.result != Failure || !strings.Contains(o.output, "stopped after 10 redirects") {
		t.Errorf("redirects without end: %+v", o)
	}
	get("/ok", corev1.HTTPHeader{Name: "Host", Value: "app.example"}, corev1.HTTPHeader{Name: "X-Own", Value: "1"}, corev1.HTTPHeader{Name: "Accept", Value: ""})
	want := http.Header{"User-Agent": {"kube-probe/1.36"}, "Host": {"app.example"}, "X-Own": {"1"}, "Connection": {"close"}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestHTTPSProbesGoOnWithTheirSession(t *testing.T) {
	var resumed []bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.TLS.DidResume)
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newProber(Config{Clock: clock.RealClock{}, Log: logr.Discard()})
	c := &corev1.Container{Name: "app"}
	spec := &corev1.Probe{TimeoutSeconds: 5, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
		Path: "/", Port: intstr.FromInt32(portOf(t, u.Host)), Scheme: corev1.URISchemeHTTPS}}}
	for range 3 {
		if o, err := p.attempt(t.Context(), &target{pod: pod(*c), container: c, ip: "127.0.0.1", spec: spec}, "id"); err != nil || o.result != Success {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	if diff := cmp.Diff([]bool{false, true, true}, resumed); diff != "" {
		t.Errorf("sessions that went on (-want +got):\n%s", diff)
	}
}

func TestTCPProbe(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, l.Addr().String())
	spec := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}}
	if o := attempt(t, spec, 0, nil); o.result != Success {
		t.Errorf("open port: %+v", o)
	}
	_ = l.Close()
	want := fmt.Sprintf("dial tcp 127.0.0.1:%d: connect: connection refused", port)
	if o := attempt(t, spec, 0, nil); o.result != Failure || o.output != want {
		t.Errorf("closed port: %+v, want %q", o, want)
	}
}

func TestExecProbeThatTakesTooLongFails(t *testing.T) {
	spec := &corev1.Probe{TimeoutSeconds: 2, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sleep", "9"}}}}
	o := attempt(t, spec, 0, func(context.Context, string, []string, time.Duration) ([]byte, int, error) {
		return nil, 0, fmt.Errorf("exec: %w", context.DeadlineExceeded)
	})
	if want := `command timed out: "sleep 9" timed out after 2s`; o.result != Failure || o.output != want {
		t.Errorf("got %+v, want %q", o, want)
	}
}

func TestGRPCProbe(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, status := grpc.NewServer(), health.NewServer()
	healthv1.RegisterHealthServer(server, status)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	status.SetServingStatus("sick", healthv1.HealthCheckResponse_NOT_SERVING)
	check := func(service string) outcome {
		return attempt(t, &corev1.Probe{TimeoutSeconds: 5, ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{
			Port: portOf(t, l.Addr().String()), Service: new(service)}}}, 0, nil)
	}
	if o := check(""); o.result != Success {
		t.Errorf("healthy: %+v", o)
	}
	if o := check("sick"); o.result != Failure || o.output != `service unhealthy (responded with "NOT_SERVING")` {
		t.Errorf("sick: %+v", o)
	}
	if o := check("absent"); o.result != Failure || !strings.HasPrefix(o.output, "error: health rpc probe failed: ") {
		t.Errorf("unknown service: %+v", o)
	}
}

func TestPortsByName(t *testing.T) {
	c := &corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}
	for in, want := range map[string]int{"web": 8080, "81": 81, "absent": 0, "70000": 0} {
		if got, err := Port(intstr.FromString(in), c); got != want || (err == nil) != (want != 0) {
			t.Errorf("port %q: got %d, %v, want %d", in, got, err, want)
		}
	}
}
