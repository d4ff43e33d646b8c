package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	restclient "k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/stats"
	"github.com/sampan-project/sampan/pkg/streaming/streamingtest"
)

// streamed is a fake runtime whose streams lead to a streaming server.
type streamed struct {
	*cri.Fake
	at    string
	execs []*cri.ExecRequest
}

func (s *streamed) to(path string, stdin, stdout, stderr, tty bool) (string, error) {
	q := url.Values{}
	for name, set := range map[string]bool{"stdin": stdin, "stdout": stdout, "stderr": stderr, "tty": tty} {
		q.Set(name, strconv.FormatBool(set))
	}
	return s.at + path + "?" + q.Encode(), nil
}

func (s *streamed) Exec(_ context.Context, r *cri.ExecRequest) (string, error) {
	s.execs = append(s.execs, r)
	return s.to("/command", r.Stdin, r.Stdout, r.Stderr, r.Tty)
}

func (s *streamed) Attach(_ context.Context, r *cri.AttachRequest) (string, error) {
	return s.to("/command", r.Stdin, r.Stdout, r.Stderr, r.Tty)
}

func (s *streamed) PortForward(context.Context, *cri.PortForwardRequest) (string, error) {
	return s.at + "/ports", nil
}

type host struct {
	pods  []*corev1.Pod
	ended chan struct{}
}

func (h *host) Pods() []*corev1.Pod { return h.pods }

func (h *host) Pod(namespace, name string) *corev1.Pod {
	for _, p := range h.pods {
		if p.Namespace == namespace && p.Name == name {
			return p
		}
	}
	return nil
}

func (h *host) Ended(context.Context, string) <-chan struct{} { return h.ended }

type node struct {
	*httptest.Server
	runtime *streamed
	streams *streamingtest.Server
	host    *host
	pod     *corev1.Pod
	log     string
	// rights are "user verb subresource"; a token is its user's name.
	rights map[string]bool
}

// newNode serves a node with one pod, the container c of which runs.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{streams: &streamingtest.Server{}, rights: map[string]bool{"admin * *": true}}
	back := httptest.NewServer(n.streams)
	t.Cleanup(back.Close)
	n.runtime = &streamed{Fake: cri.NewFake(clock.RealClock{}, "image"), at: back.URL}
	labels := map[string]string{labelPodName: "p", labelPodNamespace: "n", labelPodUID: "u", labelContainerName: "c"}
	dir := t.TempDir()
	sandbox := &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "p", Namespace: "n", Uid: "u"}, LogDirectory: dir, Labels: labels}
	sid, err := n.runtime.RunPodSandbox(t.Context(), sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	id, err := n.runtime.CreateContainer(t.Context(), sid, &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "c"}, Image: &cri.ImageSpec{Image: "image"}, LogPath: "0.log", Labels: labels,
	}, sandbox)
	if err == nil {
		err = n.runtime.StartContainer(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.log = filepath.Join(dir, "0.log")
	n.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}, {Name: "waiting"}, {Name: "unknown"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "c", ContainerID: "fake://" + id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: "waiting", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}},
		}},
	}
	n.host = &host{pods: []*corev1.Pod{n.pod}, ended: make(chan struct{})}
	s := New(Config{
		Auth: &daemon.Delegated{Client: n.apiserver(), Clock: clock.RealClock{}}, NodeName: "node", Host: n.host, Runtime: n.runtime,
		Stats: stats.New(stats.Config{
			NodeName: "node", Runtime: n.runtime, Pods: n.host.Pods, RootDir: dir, StartedAt: time.Now(), Clock: clock.RealClock{}, Log: logr.Discard(),
		}),
		Health: &daemon.Health{}, Metrics: prometheus.NewRegistry(), LogDir: dir, Configuration: map[string]string{"kind": "KubeletConfiguration"},
		Profiling: true,
		Pages:     daemon.ZPages("kubelet", nil, clock.RealClock{}, nil), Clock: clock.RealClock{}, Log: logr.Discard(),
	})
	n.Server = httptest.NewTLSServer(s.Handler())
	t.Cleanup(n.Close)
	return n
}

// apiserver answers reviews by the node's rights.
func (n *node) apiserver() *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		r.Status = authenticationv1.TokenReviewStatus{Authenticated: r.Spec.Token != "wrong", User: authenticationv1.UserInfo{Username: r.Spec.Token}}
		return true, r, nil
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		at := r.Spec.ResourceAttributes
		if at == nil || at.Resource != "nodes" || at.Name != "node" {
			return true, nil, fmt.Errorf("asked about %+v", r.Spec)
		}
		r.Status.Allowed = n.rights[r.Spec.User+" * *"] || n.rights[r.Spec.User+" "+at.Verb+" "+at.Subresource]
		return true, r, nil
	})
	return c
}

func (n *node) ask(t *testing.T, method, path, token string, h http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, h)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := n.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestPathsNeedTheirSubresourceOrProxy(t *testing.T) {
	n := newNode(t)
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, c := range []struct {
		right, method, path string
		h                   http.Header
		allowed             bool
	}{
		{"get pods", "GET", "/pods", nil, true},
		{"get pods", "GET", "/runningpods/", nil, true},
		{"get proxy", "GET", "/pods", nil, true},
		{"get healthz", "GET", "/healthz", nil, true},
		{"get configz", "GET", "/configz", nil, true},
		{"get metrics", "GET", "/metrics/resource", nil, true},
		{"get proxy", "GET", "/metrics", nil, false},
		{"get metrics", "GET", "/metrics/slis", nil, true},
		{"get configz", "GET", "/flagz", nil, true},
		{"get statusz", "GET", "/statusz", nil, true},
		{"get proxy", "GET", "/flagz", nil, false},
		{"get proxy", "GET", "/statusz", nil, false},
		{"get stats", "GET", "/stats/summary", nil, true},
		{"get proxy", "GET", "/stats/summary", nil, false},
		{"get log", "GET", "/logs/", nil, true},
		{"get proxy", "GET", "/debug/pprof/", nil, true},
		{"get metrics", "GET", "/debug/pprof/", nil, false},
		{"get proxy", "GET", "/logs/", nil, false},
		{"get pods", "GET", "/containerLogs/n/p/c", nil, false},
		{"get proxy", "GET", "/containerLogs/n/p/c", nil, true},
		{"create pods", "POST", "/run/n/p/c", nil, false},
		{"create proxy", "POST", "/run/n/p/c?cmd=ls", nil, true},
		{"get proxy", "GET", "/exec/n/p/c?command=ls&output=1", upgrade, false}, // reading is not running
		{"get stats", "GET", "/stats/../containerLogs/n/p/c", nil, false},
	} {
		who := fmt.Sprintf("user-%d", len(n.rights))
		n.rights[who+" "+c.right] = true
		code, body := n.ask(t, c.method, c.path, who, c.h)
		if allowed := code == http.StatusOK; allowed != c.allowed {
			t.Errorf("%s, %s %s: %d %s", c.right, c.method, c.path, code, body)
		}
	}
	for _, token := range []string{"", "wrong"} {
		if code, _ := n.ask(t, "GET", "/healthz", token, nil); code != http.StatusUnauthorized {
			t.Errorf("token %q got %d", token, code)
		}
	}
}

func TestPodsAndSummary(t *testing.T) {
	n := newNode(t)
	var list corev1.PodList
	code, body := n.ask(t, "GET", "/pods", "admin", nil)
	if err := json.Unmarshal([]byte(body), &list); code != 200 || err != nil || list.Kind != "PodList" || len(list.Items) != 1 || list.Items[0].Name != "p" {
		t.Errorf("%d %v %s", code, err, body)
	}
	code, body = n.ask(t, "GET", "/runningpods/", "admin", nil)
	if err := json.Unmarshal([]byte(body), &list); code != 200 || err != nil || len(list.Items) != 1 || list.Items[0].Spec.Containers[0].Name != "c" {
		t.Errorf("%d %v %s", code, err, body)
	}
	var summary statsapi.Summary
	code, body = n.ask(t, "GET", "/stats/summary", "admin", nil)
	if err := json.Unmarshal([]byte(body), &summary); code != 200 || err != nil {
		t.Fatalf("%d %v %s", code, err, body)
	}
	if summary.Node.NodeName != "node" || *summary.Node.Memory.WorkingSetBytes == 0 || *summary.Node.Fs.CapacityBytes == 0 || len(summary.Pods) != 1 || summary.Pods[0].Containers[0].Name != "c" {
		t.Errorf("the summary is %s", body)
	}
	if _, body = n.ask(t, "GET", "/metrics/resource", "admin", nil); !strings.Contains(body, "node_memory_working_set_bytes") ||
		!strings.Contains(body, `container_memory_working_set_bytes{container="c",namespace="n",pod="p"}`) || !strings.Contains(body, "resource_scrape_error 0") {
		t.Errorf("/metrics/resource is %s", body)
	}
	if _, body = n.ask(t, "GET", "/metrics/cadvisor", "admin", nil); !strings.Contains(body, "container_cpu_usage_seconds_total{") || !strings.Contains(body, "machine_cpu_cores") {
		t.Errorf("/metrics/cadvisor is %s", body)
	}
	if code, body = n.ask(t, "GET", "/configz", "admin", nil); body != `{"kubeletconfig":{"kind":"KubeletConfiguration"}}` {
		t.Errorf("/configz is %d %s", code, body)
	}
}

func TestContainerLogs(t *testing.T) {
	n := newNode(t)
	if err := os.WriteFile(n.log, []byte("2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/containerLogs/n/p/c", 200, "one\ntwo\n"},
		{"/containerLogs/n/p/c?tailLines=1", 200, "two\n"},
		{"/containerLogs/n/p/c?timestamps=true&tailLines=1", 200, "2026-01-01T00:00:01.000000000Z two\n"},
		{"/containerLogs/n/p/c?stream=Stdout", 200, "one\n"},
		{"/containerLogs/n/p/c?tailLines=x", 400, `Unable to decode query: strconv.ParseInt: parsing "x": invalid syntax`},
		{"/containerLogs/n/p/c?previous=true", 400, `previous terminated container "c" in pod "p" not found`},
		{"/containerLogs/n/p/waiting", 400, `container "waiting" in pod "p" is waiting to start: ContainerCreating`},
		{"/containerLogs/n/p/unknown", 400, `container "unknown" in pod "p" is not available`},
		{"/containerLogs/n/p/none", 404, `container "none" not found in pod "p"`},
		{"/containerLogs/n/none/c", 404, `pod "none" does not exist`},
	} {
		code, body := n.ask(t, "GET", c.path, "admin", nil)
		if code != c.code || strings.TrimSpace(body) != strings.TrimSpace(c.body) {
			t.Errorf("%s: %d %q, want %d %q", c.path, code, body, c.code, c.body)
		}
	}
	close(n.host.ended) // a log that is followed ends with its container
	if code, body := n.ask(t, "GET", "/containerLogs/n/p/c?follow=true", "admin", nil); code != 200 || body != "one\ntwo\n" {
		t.Errorf("followed: %d %q", code, body)
	}
}

func TestLoggedContainer(t *testing.T) {
	ended := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		state, last corev1.ContainerState
		previous    bool
		id, err     string
	}{
		"running":              {state: running, last: ended("cri://old"), id: "now"},
		"running, previous":    {state: running, last: ended("cri://old"), previous: true, id: "old"},
		"ended":                {state: ended("cri://end"), last: ended("cri://old"), id: "end"},
		"ended, never started": {state: ended(""), last: ended("cri://old"), id: "old"},
		"never ran":            {state: ended(""), err: `container "c" in pod "p" is terminated`},
		"waits to restart":     {state: waiting("CrashLoopBackOff"), last: ended("cri://old"), id: "old"},
		"pull failed":          {state: waiting("ErrImagePull"), err: `container "c" in pod "p" is waiting to start: image can't be pulled`},
		"pull backs off":       {state: waiting("ImagePullBackOff"), err: `container "c" in pod "p" is waiting to start: trying and failing to pull image`},
		"no state":             {err: `container "c" in pod "p" is waiting to start - no logs yet`},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
			{Name: "c", ContainerID: "cri://now", State: c.state, LastTerminationState: c.last},
		}}}
		id, err := loggedContainer(pod, "c", c.previous)
		if id != c.id || err == nil && c.err != "" || err != nil && err.Error() != c.err {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestNodeLogsStayInTheirDirectory(t *testing.T) {
	n := newNode(t)
	dir := filepath.Dir(n.log)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink(secret, filepath.Join(dir, "escape")), os.WriteFile(filepath.Join(dir, "syslog"), []byte("lines"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if code, body := n.ask(t, "GET", "/logs/syslog", "admin", nil); code != 200 || body != "lines" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := n.ask(t, "GET", "/logs/escape", "admin", nil); code == 200 {
		t.Errorf("a link led out: %d %s", code, body)
	}
}

func TestExecReachesTheRuntime(t *testing.T) {
	n := newNode(t)
	n.streams.Command = func(c *streamingtest.Call) error {
		if _, err := io.Copy(c.Stdout, c.Stdin); err != nil {
			return err
		}
		return streamingtest.Exit(7)
	}
	u, _ := url.Parse(n.URL + "/exec/n/p/u/c?command=sh&command=-c&input=1&output=1")
	config := &restclient.Config{Host: u.Host, BearerToken: "admin", TLSClientConfig: restclient.TLSClientConfig{Insecure: true}}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", u)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := remotecommand.NewWebSocketExecutor(config, "GET", u.String())
	if err != nil {
		t.Fatal(err)
	}
	for name, executor := range map[string]remotecommand.Executor{"SPDY": spdy, "WebSocket": ws} {
		var out bytes.Buffer
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out})
		var exit utilexec.CodeExitError
		if !errors.As(err, &exit) || exit.Code != 7 || out.String() != "hello" {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
	if e := n.runtime.execs[0]; fmt.Sprint(e.Cmd) != "[sh -c]" || !e.Stdin || !e.Stdout || e.Stderr || e.Tty {
		t.Errorf("the runtime was asked for %v", e)
	}
	for _, r := range n.streams.Asked() {
		if r.Header.Get("Authorization") != "" {
			t.Error("the client's token reached the runtime")
		}
	}
}

func TestStreamFaults(t *testing.T) {
	n := newNode(t)
	for path, want := range map[string]string{
		"/exec/n/p/c?command=ls":        "400 you must specify at least 1 of stdin, stdout, stderr",
		"/exec/n/none/c?output=1":       "404 pod does not exist",
		"/exec/n/p/other/c?output=1":    "404 pod does not exist",
		"/exec/n/p/waiting?output=1":    `500 container not found ("waiting")`,
		"/exec/n/p/c?output=1":          "400 Upgrade request required",
		"/attach/n/p/waiting?output=1":  `500 container not found ("waiting")`,
		"/portForward/n/p?port=0":       `400 port "0" must be > 0`,
		"/portForward/n/p?port=80,http": `400 unable to parse "http" as a port: strconv.ParseUint: parsing "http": invalid syntax`,
		"/portForward/n/none":           "404 pod does not exist",
		"/portForward/n/p":              "400 Upgrade request required",
	} {
		code, body := n.ask(t, "POST", path, "admin", nil)
		if got := fmt.Sprintf("%d %s", code, strings.TrimSpace(body)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	n := newNode(t)
	n.runtime.Run = func(_ string, cmd []string) *cri.ExecSyncResponse {
		return &cri.ExecSyncResponse{Stdout: []byte(strings.Join(cmd, "|"))}
	}
	if code, body := n.ask(t, "POST", "/run/n/p/c?cmd=ls+-l", "admin", nil); code != 200 || body != "ls|-l" {
		t.Errorf("%d %s", code, body)
	}
}

// CVE-2019-11248 and CVE-2025-0426: who says nothing of himself learns by the plain port that the kubelet is well.
func TestRunServesBothPortsUntilItsContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	certificate, err := daemon.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{
		Address: "127.0.0.1", Port: 0, HealthAddress: "127.0.0.1", HealthPort: plain, Health: &daemon.Health{}, Host: &host{}, Log: logr.Discard(), Clock: clock.RealClock{},
		Auth:        &daemon.Delegated{Clock: clock.RealClock{}},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ask := func(method, path string) int {
		r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", plain, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for until := time.Now().Add(time.Minute); ask("GET", "/healthz") != http.StatusOK; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the plain port does not answer")
		}
	}
	for _, path := range []string{"/", "/pods", "/runningpods/", "/metrics", "/metrics/cadvisor", "/stats/summary", "/configz", "/logs/", "/containerLogs/n/p/c", "/exec/n/p/c?command=x",
		"/run/n/p/c?cmd=x", "/checkpoint/n/p/c", "/portForward/n/p", "/debug/pprof/", "/debug/pprof/heap", "/debug/flags/v", "/flagz", "/statusz"} {
		for _, method := range []string{"GET", "POST"} {
			if code := ask(method, path); code != http.StatusNotFound {
				t.Errorf("the plain port answers %s %s with %d", method, path, code)
			}
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server goes on")
	}
}
