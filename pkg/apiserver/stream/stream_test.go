package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
	"github.com/sampan-project/sampan/pkg/query"
	"github.com/sampan-project/sampan/pkg/streaming/streamingtest"
)

// front serves the subresources by paths RESOURCE/NAME/SUBRESOURCE/REST in the namespace n.
type front struct {
	*httptest.Server
	access  *resourcetest.Access
	kubelet http.HandlerFunc
	asked   []*http.Request // of the kubelet
	create  bool            // the sender may create what it gets
}

func newFront(t *testing.T, change func(*Config)) *front {
	t.Helper()
	f := &front{access: resourcetest.New(), create: true}
	back := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked = append(f.asked, r)
		f.kubelet(w, r)
	}))
	t.Cleanup(back.Close)
	cfg := Config{
		Access: f.access, AddressTypes: []string{"InternalIP"}, Timeout: 5 * time.Second, Fail: fail, Allowed: func(netip.Addr) bool { return true },
		Permitted: func(context.Context, *request.Info) (bool, string, error) { return f.create, "", nil },
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.pick = func(int) int { return 0 }
	f.Server = httptest.NewServer(served(s))
	t.Cleanup(f.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(back.URL, "https://"))
	number, _ := strconv.Atoi(port)
	f.add(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Status: corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: "InternalIP", Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(number)}},
	}})
	f.add(t, pod("p", "node", "c"))
	f.add(t, pod("two", "node", "c", "d"))
	f.add(t, pod("new", "", "c"))
	return f
}

func pod(name, node string, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
	}
	return p
}

func (f *front) add(t *testing.T, obj resource.Object) {
	t.Helper()
	r := pods
	switch obj.(type) {
	case *corev1.Node:
		r = nodes
	case *corev1.Service:
		r = services
	case *corev1.Endpoints:
		r = endpoints
	}
	if _, err := f.access.Create(t.Context(), r, obj); err != nil {
		t.Fatal(err)
	}
}

func served(s *Streams) http.Handler {
	type action struct {
		options func() runtime.Object
		handler handler
	}
	actions := map[string]action{}
	for _, sub := range s.Pods() {
		actions["pods/"+sub.Name] = action{sub.Connect.NewOptions, sub.Connect.Handler}
	}
	actions["nodes/proxy"] = action{s.Nodes()[0].Connect.NewOptions, s.Nodes()[0].Connect.Handler}
	actions["services/proxy"] = action{s.Services()[0].Connect.NewOptions, s.Services()[0].Connect.Handler}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 4)
		info := &request.Info{
			IsResource: true, Path: r.URL.Path, Version: "v1", Resource: parts[0], Namespace: "n", Name: parts[1], Subresource: parts[2],
			Verb: map[string]string{http.MethodGet: "get", http.MethodPost: "create"}[r.Method],
		}
		if len(parts) > 3 {
			info.Rest = parts[3]
		}
		r = r.WithContext(request.WithInfo(r.Context(), info))
		a := actions[parts[0]+"/"+parts[2]]
		options := a.options()
		if err := query.Decode(r.URL.Query(), options); err != nil {
			fail(w, r, err)
			return
		}
		h, err := a.handler(r.Context(), "n", parts[1], info.Rest, options)
		if err != nil {
			fail(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusInternalServerError
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code = int(status.Status().Code)
	}
	http.Error(w, err.Error(), code)
}

func (f *front) ask(t *testing.T, method, path string, h http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
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
	return answer, strings.TrimSpace(string(body))
}

func TestFaultsBeforeTheKubelet(t *testing.T) {
	f := newFront(t, nil)
	f.add(t, pod("lost", "gone", "c"))
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/pods/gone/exec?stdout=1", `404 pods "gone" not found`},
		{"POST", "/pods/two/exec?stdout=1", "400 a container name must be specified for pod two, choose one of: [c d]"},
		{"POST", "/pods/two/attach?container=x", "400 container x is not valid for pod two"},
		{"POST", "/pods/new/exec?stdout=1", "400 pod new does not have a host assigned"},
		{"POST", "/pods/new/portforward", "400 pod new does not have a host assigned"},
		{"POST", "/pods/p/portforward?ports=70000", "400 port 70000 is not between 1 and 65535"},
		{"POST", "/pods/p/portforward?ports=-1", "400 port -1 is not between 1 and 65535"},
		{"POST", "/pods/p/exec?stdout=1", "400 Upgrade request required"},
		{"POST", "/pods/p/portforward", "400 Upgrade request required"},
		{"POST", "/pods/lost/exec?stdout=1", `404 nodes "gone" not found`},
		{"GET", "/pods/new/log", "204"},
		{"GET", "/pods/two/log", "400 a container name must be specified for pod two, choose one of: [c d]"},
		{"GET", "/pods/p/log?tailLines=-1", `422 PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0`},
		{"GET", "/pods/p/log?limitBytes=0", `422 PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0`},
		{"GET", "/pods/p/proxy/", "400 address not allowed"}, // it has none yet
		{"GET", "/pods/a:b:c:d/proxy/", `400 invalid pod request "a:b:c:d"`},
		{"GET", "/services/a:b:c:d/proxy/", `400 invalid service request "a:b:c:d"`},
		{"GET", "/nodes/a:b:c:d/proxy/", `400 invalid node request "a:b:c:d"`},
		{"GET", "/services/s/proxy/", `404 services "s" not found`},
		{"GET", "/nodes/gone/proxy/", `404 nodes "gone" not found`},
	} {
		answer, body := f.ask(t, c.method, c.path, nil)
		if got := strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, body)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, got, c.want)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the kubelet was asked for %s", f.asked[0].URL)
	}
}

func TestLogAsksTheKubelet(t *testing.T) {
	f := newFront(t, nil)
	f.kubelet = func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "lines\n") }
	answer, body := f.ask(t, "GET", "/pods/p/log?follow=true&previous=true&timestamps=true&sinceSeconds=5&tailLines=3&limitBytes=7", http.Header{"Authorization": {"Bearer secret"}})
	if answer.StatusCode != 200 || body != "lines" || answer.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %d %q %v", answer.StatusCode, body, answer.Header)
	}
	want := "/containerLogs/n/p/c?follow=true&limitBytes=7&previous=true&sinceSeconds=5&tailLines=3&timestamps=true"
	if got := f.asked[0]; got.URL.String() != want || got.Header.Get("Authorization") != "" {
		t.Errorf("the kubelet was asked %s %v", got.URL, got.Header)
	}
}

func TestLogOverWebSocket(t *testing.T) {
	f := newFront(t, nil)
	f.kubelet = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "lines\n") }
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{"binary.k8s.io"}}).Dial(strings.Replace(f.URL, "http", "ws", 1)+"/pods/p/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if _, m, err := ws.ReadMessage(); err != nil || string(m) != "lines\n" {
		t.Errorf("got %q, %v", m, err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("ended with %v", err)
	}
}

func TestRefusalsOfTheKubeletAreTold(t *testing.T) {
	f := newFront(t, nil)
	for _, c := range []struct {
		code int
		want string
	}{
		{400, `400 container "c" in pod "p" is waiting to start: ContainerCreating`},
		{500, `500 Internal error occurred: container "c" in pod "p" is waiting to start: ContainerCreating`},
		{404, `404 the server could not find the requested resource`},
		{302, `500 Get "https://`},
	} {
		f.kubelet = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, `container "c" in pod "p" is waiting to start: ContainerCreating`)
		}
		answer, body := f.ask(t, "GET", "/pods/p/log", nil)
		if got := fmt.Sprintf("%d %s", answer.StatusCode, body); !strings.HasPrefix(got, c.want) || answer.Header.Get("Location") != "" {
			t.Errorf("%d became %s %v", c.code, got, answer.Header)
		}
	}
}

// commands lets commands run as the real kubelet's port does.
func commands(s *streamingtest.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, q := r.URL.Query(), url.Values{}
		for theirs, ours := range map[string]string{"input": "stdin", "output": "stdout", "error": "stderr", "tty": "tty"} {
			q.Set(ours, strconv.FormatBool(in.Get(theirs) == "1"))
		}
		path := "/command"
		if strings.HasPrefix(r.URL.Path, "/portForward/") {
			path = "/ports"
		}
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawQuery = path, q.Encode()
		s.ServeHTTP(w, r)
	}
}

func TestExecReachesTheKubeletByEveryProtocol(t *testing.T) {
	f := newFront(t, nil)
	f.kubelet = commands(&streamingtest.Server{Command: func(c *streamingtest.Call) error {
		_, _ = io.WriteString(c.Stdout, "hello")
		_, _ = io.WriteString(c.Stderr, "complaint")
		return streamingtest.Exit(9)
	}})
	u, _ := url.Parse(f.URL + "/pods/p/exec?command=sh&command=-c&stdout=true&stderr=true")
	config := &restclient.Config{Host: u.Host, BearerToken: "secret"}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", u)
	if err != nil {
		t.Fatal(err)
	}
	v5, err := remotecommand.NewWebSocketExecutor(config, "GET", u.String())
	if err != nil {
		t.Fatal(err)
	}
	v4, err := remotecommand.NewWebSocketExecutorForProtocols(config, "GET", u.String(), "v4.channel.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	for name, executor := range map[string]remotecommand.Executor{"SPDY": spdy, "WebSocket v5": v5, "WebSocket v4": v4} {
		f.asked = nil
		var out, complaints bytes.Buffer
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out, Stderr: &complaints})
		var exit utilexec.CodeExitError
		if !errors.As(err, &exit) || exit.Code != 9 || out.String() != "hello" || complaints.String() != "complaint" {
			t.Errorf("%s: %q %q %v", name, out.String(), complaints.String(), err)
		}
		r := f.asked[0]
		if r.URL.String() != "/exec/n/p/c?command=sh&command=-c&error=1&output=1" || r.Header.Get("Authorization") != "" || r.Header.Get("Upgrade") != "SPDY/3.1" {
			t.Errorf("%s: the kubelet was asked %s %v", name, r.URL, r.Header)
		}
	}
}

// Who may only get must not run commands over a WebSocket's GET.
func TestConnectingNeedsCreate(t *testing.T) {
	f := newFront(t, nil)
	f.create = false
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	for _, path := range []string{"/pods/p/exec?stdout=1", "/pods/p/attach?stdout=1", "/pods/p/portforward?ports=80"} {
		for name, h := range map[string]http.Header{"plain": nil, "upgrade": upgrade} {
			if answer, body := f.ask(t, "GET", path, h); answer.StatusCode != 403 || body != `pods "p" is forbidden:` {
				t.Errorf("%s, %s: %d %s", path, name, answer.StatusCode, body)
			}
		}
	}
	if answer, body := f.ask(t, "GET", "/nodes/node/proxy/exec/n/p/c?output=1", upgrade); answer.StatusCode != 403 {
		t.Errorf("through the node: %d %s", answer.StatusCode, body)
	}
	if len(f.asked) > 0 {
		t.Errorf("the kubelet was asked for %s", f.asked[0].URL)
	}
}

func TestRefusedUpgradeIsToldAndClosed(t *testing.T) {
	f := newFront(t, nil)
	f.kubelet = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `container not found ("c")`, http.StatusInternalServerError)
	}
	answer, body := f.ask(t, "POST", "/pods/p/exec?stdout=1", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}})
	if answer.StatusCode != 500 || body != `container not found ("c")` || !answer.Close {
		t.Errorf("got %d %s, closed: %v", answer.StatusCode, body, answer.Close)
	}
}

func TestUnreachableKubelet(t *testing.T) {
	f := newFront(t, nil)
	f.add(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "down"}, Status: corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: "InternalIP", Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 1}},
	}})
	f.add(t, pod("down", "down", "c"))
	answer, body := f.ask(t, "POST", "/pods/down/exec?stdout=1", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}})
	if answer.StatusCode != 500 || !strings.HasPrefix(body, "error dialing backend: dial tcp 127.0.0.1:1: connect: connection refused") {
		t.Errorf("got %d %s", answer.StatusCode, body)
	}
	if answer, body = f.ask(t, "GET", "/nodes/down/proxy/", nil); answer.StatusCode != 503 || !strings.HasPrefix(body, "error trying to reach service: dial tcp") {
		t.Errorf("got %d %s", answer.StatusCode, body)
	}
}

// app is what runs in a pod.
func app(t *testing.T, f *front, name string) (port string) {
	t.Helper()
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "/there")
			w.WriteHeader(http.StatusFound)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, r.URL)
	}))
	t.Cleanup(a.Close)
	_, port, _ = net.SplitHostPort(strings.TrimPrefix(a.URL, "http://"))
	number, _ := strconv.Atoi(port)
	p := pod(name, "node", "c")
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: int32(number)}}
	p.Status.PodIP, p.Status.PodIPs = "127.0.0.1", []corev1.PodIP{{IP: "127.0.0.1"}}
	f.add(t, p)
	return port
}

func TestProxiesToPodsServicesAndNodes(t *testing.T) {
	f := newFront(t, nil)
	f.kubelet = func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "kubelet %s", r.URL) }
	port := app(t, f, "web")
	number, _ := strconv.Atoi(port)
	f.add(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	f.add(t, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s"}, Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{
			{IP: "127.0.0.9", TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "n", Name: "web"}}, // not that pod's
			{IP: "127.0.0.8"},
			{IP: "127.0.0.1", TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "n", Name: "web"}},
		},
		Ports: []corev1.EndpointPort{{Name: "http", Port: int32(number)}},
	}}})
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/pods/web/proxy/a/b?x=1", "200 GET /a/b?x=1"},
		{"GET", "/pods/web/proxy/a/", "200 GET /a/"},
		{"PUT", "/pods/web:" + port + "/proxy/", "200 PUT /"},
		{"POST", "/pods/http:web:" + port + "/proxy", "200 POST /"},
		{"GET", "/pods/web/proxy", "301 /pods/web/proxy/"},
		{"GET", "/pods/web/proxy/moved", "302 /pods/web/proxy/there"},
		{"GET", "/services/s:http/proxy/x", "200 GET /x"},
		{"GET", "/services/http:s:80/proxy/x", "200 GET /x"},
		{"GET", "/services/s:81/proxy/x", `503 no service port 81 found for service "s"`},
		{"GET", "/services/s/proxy/x", `503 no endpoints available for service "s"`}, // its port has a name
		{"GET", "/nodes/node/proxy/pods/?x=1", "200 kubelet /pods/?x=1"},
		{"GET", "/nodes/node:" + port + "/proxy/x", "200 GET /x"},
	} {
		answer, body := f.ask(t, c.method, c.path, nil)
		if got := strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, body+answer.Header.Get("Location"))); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, got, c.want)
		}
	}
}

// CVE-2020-8562 and CVE-2022-3294: no proxy leads to the apiserver's own host.
func TestProxiesDoNotLeadToLoopback(t *testing.T) {
	f := newFront(t, func(c *Config) { c.Allowed = nil })
	port := app(t, f, "web")
	f.add(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "named"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: "InternalIP", Address: "localhost"}}}})
	for _, path := range []string{"/pods/web/proxy/", "/nodes/node/proxy/pods", "/nodes/node:" + port + "/proxy/", "/nodes/named:" + port + "/proxy/"} {
		if answer, body := f.ask(t, "GET", path, nil); answer.StatusCode != 400 || body != "address not allowed" {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
}

// TestNoSecondAnswerLeadsElsewhere: a name server that answers first what is allowed and then loopback.
func TestNoSecondAnswerLeadsElsewhere(t *testing.T) {
	answers := 0
	f := newFront(t, func(c *Config) {
		c.Allowed = nil
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			answers++
			return []netip.Addr{netip.MustParseAddr([]string{"192.0.2.1", "127.0.0.1"}[(answers-1)%2])}, nil
		}
	})
	f.kubelet = func(http.ResponseWriter, *http.Request) {}
	port := app(t, f, "web")
	for _, path := range []string{"/nodes/node/proxy/pods", "/nodes/node:" + port + "/proxy/"} {
		if answer, body := f.ask(t, "GET", path, nil); answer.StatusCode != 503 || body != "error trying to reach service: address not allowed" {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
	if answers != 4 || len(f.asked) > 0 {
		t.Errorf("of %d answers one led to the kubelet: %v", answers, f.asked)
	}
}

func TestGlobalUnicast(t *testing.T) {
	for address, want := range map[string]bool{
		"10.0.0.1": true, "8.8.8.8": true, "fd00::1": true, "::ffff:10.0.0.1": true, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false,
		"169.254.169.254": false, "fe80::1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "255.255.255.255": false,
	} {
		if got := globalUnicast(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestPreferredAddress(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelHostname: "label"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: "ExternalIP", Address: "8.8.8.8"}, {Type: "InternalIP", Address: "10.0.0.1"},
	}}}
	got := []string{}
	for _, types := range [][]string{{"InternalIP", "ExternalIP"}, {"ExternalIP"}, {"Hostname", "InternalIP"}, {"InternalDNS"}} {
		a, err := preferred(node, types)
		if err != nil {
			a = "none"
		}
		got = append(got, a)
	}
	if d := cmp.Diff([]string{"10.0.0.1", "8.8.8.8", "label", "none"}, got); d != "" {
		t.Error(d)
	}
}
