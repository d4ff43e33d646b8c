package kubelet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	restclient "k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/server"
	"github.com/sampan-project/sampan/pkg/kubelet/stats"
)

const talker = `apiVersion: v1
kind: Pod
metadata: {name: talker, namespace: test}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: talk
    image: shell:1
    stdin: true
    command: [sh, -c, 'echo ready; (busybox nc -ll -p 7777 -e busybox cat &); while read line; do echo "heard $line"; done; exit 3']
`

// one is a host of one pod, as the runtime shows it.
type one struct{ pod *corev1.Pod }

func (o one) Pods() []*corev1.Pod { return []*corev1.Pod{o.pod} }
func (o one) Pod(namespace, name string) *corev1.Pod {
	if namespace == o.pod.Namespace && name == o.pod.Name {
		return o.pod
	}
	return nil
}
func (o one) Ended(context.Context, string) <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}

// port serves the kubelet's port for the pod of a container, to whoever has a token.
func (h *host) port(t *testing.T, c *cri.Container) *httptest.Server {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "talker", UID: types.UID(c.Labels["io.kubernetes.pod.uid"])},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "talk"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "talk", ContainerID: "containerd://" + c.Id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}},
	}
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "root", Groups: []string{"system:masters"}}}
		return true, r, nil
	})
	s := server.New(server.Config{
		Auth: &daemon.Delegated{Client: client, Clock: clock.RealClock{}}, NodeName: "testnode", Host: one{pod}, Runtime: h.cri, Health: &daemon.Health{},
		Stats: stats.New(stats.Config{NodeName: "testnode", Runtime: h.cri, Pods: one{pod}.Pods, RootDir: h.dir, Clock: clock.RealClock{}, Log: logr.Discard()}),
		Clock: clock.RealClock{}, Log: logr.Discard(),
	})
	web := httptest.NewTLSServer(s.Handler())
	t.Cleanup(web.Close)
	return web
}

func TestStreamsOfContainerd(t *testing.T) {
	h := containerd(t)
	if err := os.MkdirAll(filepath.Join(h.dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	h.write(t, "manifests/talker.yaml", talker)
	eventually(t, "the pod runs", func() bool { return h.running(t, "talk") != nil })
	web := h.port(t, h.running(t, "talk"))
	config := &restclient.Config{Host: web.URL, BearerToken: "t", TLSClientConfig: restclient.TLSClientConfig{Insecure: true}}

	both := func(query string) map[string]remotecommand.Executor {
		u, _ := url.Parse(web.URL + query)
		s, err := remotecommand.NewSPDYExecutor(config, "POST", u)
		if err != nil {
			t.Fatal(err)
		}
		w, err := remotecommand.NewWebSocketExecutor(config, "GET", u.String())
		if err != nil {
			t.Fatal(err)
		}
		return map[string]remotecommand.Executor{"SPDY": s, "WebSocket": w}
	}
	for range 5 {
		for name, executor := range both("/exec/test/talker/talk?input=1&output=1&error=1&command=sh&command=-c&command=" + url.QueryEscape("busybox cat; echo oops >&2; exit 5")) {
			var out, complaints bytes.Buffer
			big := strings.Repeat("0123456789", 30000)
			err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(big), Stdout: &out, Stderr: &complaints})
			var exit utilexec.CodeExitError
			if !errors.As(err, &exit) || exit.Code != 5 || out.String() != big || complaints.String() != "oops\n" {
				t.Errorf("%s: %d bytes, %q, %v", name, out.Len(), complaints.String(), err)
			}
		}
	}
	for name, executor := range both("/exec/test/talker/talk?input=1&output=1&tty=1&command=busybox&command=stty&command=size") {
		var out bytes.Buffer
		r, w := io.Pipe()
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: r, Stdout: &out, Tty: true})
		_ = w.Close()
		if err != nil {
			t.Errorf("tty by %s: %q, %v", name, out.String(), err)
		}
	}
	for name, executor := range both("/exec/test/talker/talk?output=1&command=nothere") {
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "nothere") {
			t.Errorf("an absent command by %s: %v", name, err)
		}
	}

	h.forwards(t, config, web.URL+"/portForward/test/talker")
	h.measures(t, web)
	h.attaches(t, both)
}

// forwards connects with a port of the pod, several times over one stream connection.
func (h *host) forwards(t *testing.T, config *restclient.Config, at string) {
	u, _ := url.Parse(at)
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(u, config)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(stop, ready chan struct{}) (*portforward.PortForwarder, error){
		"SPDY": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddresses(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u), []string{"127.0.0.1"}, []string{":7777"}, stop, ready, io.Discard, os.Stderr)
		},
		"tunnel": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddresses(tunnel, []string{"127.0.0.1"}, []string{":7777"}, stop, ready, io.Discard, os.Stderr)
		},
	} {
		stop, ready := make(chan struct{}), make(chan struct{})
		pf, err := f(stop, ready)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- pf.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("%s: %v", name, err)
		}
		ports, _ := pf.GetPorts()
		for range 3 {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "hello")
			buf := make([]byte, 5)
			if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
				t.Errorf("%s: %q %v", name, buf, err)
			}
			_ = conn.Close()
		}
		close(stop)
		<-done
	}
}

// measures looks at logs and measurements.
func (h *host) measures(t *testing.T, web *httptest.Server) {
	for path, want := range map[string]string{
		"/containerLogs/test/talker/talk": "ready\n", "/stats/summary": `"name":"talk"`,
		"/metrics/resource": `container_cpu_usage_seconds_total{container="talk",namespace="test",pod="talker"}`, "/runningpods": `"name":"talker-testnode"`,
	} {
		r, _ := http.NewRequest("GET", web.URL+path, nil)
		r.Header.Set("Authorization", "Bearer t")
		a, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if a.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d %s", path, a.StatusCode, b)
		}
	}
}

// attaches talks to the container's own process.
func (h *host) attaches(t *testing.T, both func(query string) map[string]remotecommand.Executor) {
	for name, executor := range both("/attach/test/talker/talk?input=1&output=1") {
		var out bytes.Buffer
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: r, Stdout: &out}) }()
		_, _ = io.WriteString(w, name+"\n")
		logs, _ := filepath.Glob(filepath.Join(h.dir, "logs", "test_talker-testnode_*", "talk", "*.log"))
		eventually(t, "the container heard "+name, func() bool {
			b, _ := os.ReadFile(logs[0])
			return strings.Contains(string(b), "heard "+name)
		})
		cancel()
		<-done
		if !strings.Contains(out.String(), "heard "+name) {
			t.Errorf("attach by %s saw %q", name, out.String())
		}
	}
}
