package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/test/cluster"
)

const (
	web      = "app.kubernetes.io/name=web"
	nodePort = "http://" + cluster.Address + ":30080/"
)

// fetch gets a page over a connection of its own, so that each request is balanced anew.
func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, b)
	}
	return string(b), err
}

// reachesAll asks 30 times and wants an answer of every pod.
func reachesAll(ask func() (string, error), pods []corev1.Pod) error {
	seen := map[string]bool{}
	for range 30 {
		page, err := ask()
		if err != nil {
			return err
		}
		for _, p := range pods {
			if strings.Contains(page, p.Name) {
				seen[p.Name] = true
			}
		}
	}
	if len(seen) != len(pods) {
		return fmt.Errorf("30 requests reached %d of %d pods", len(seen), len(pods))
	}
	return nil
}

func exampleReachable(t *testing.T, s *suite) {
	s.must(t, "apply", "-f", filepath.Join(s.Root, "examples", "web", "web.yaml"))
	s.must(t, "rollout", "status", "deployment/web", "--timeout=180s")
	pods := s.readyPods(t, "default", web, 3)
	service, err := s.Client.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + service.Spec.ClusterIP + "/"
	from := map[string]func() (string, error){
		"the host, by the cluster IP": func() (string, error) { return fetch(t.Context(), address) },
		"the host, by the node port":  func() (string, error) { return fetch(t.Context(), nodePort) },
	}
	for way, ask := range from {
		eventually(t, soon, "every pod is reached from "+way, func(context.Context) error { return reachesAll(ask, pods) })
	}
	eventually(t, soon, "every pod is reached from a pod, by name", func(context.Context) error {
		out, err := s.inside(t, "tester", "get", "-n", "30", "http://web.default.svc.cluster.local/")
		if err != nil {
			return err
		}
		for _, p := range pods {
			if !strings.Contains(out, p.Name) {
				return fmt.Errorf("30 requests did not reach %s", p.Name)
			}
		}
		return nil
	})
	page, err := fetch(t.Context(), nodePort)
	if err != nil || !strings.Contains(page, "Hello from Sampan") || !strings.Contains(page, "This text comes from a ConfigMap") {
		t.Errorf("the page is %q, %v: it lacks the ConfigMap's text", page, err)
	}
}

// load asks the example all the time, and counts the answers and the failures.
type load struct {
	answers atomic.Int64
	failed  atomic.Pointer[string]
	stop    context.CancelFunc
	done    chan struct{}
}

func startLoad(t *testing.T) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel, done: make(chan struct{})}
	t.Cleanup(cancel)
	go func() {
		defer close(l.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_, err := fetch(ctx, nodePort)
			switch {
			case err == nil:
				l.answers.Add(1)
			case ctx.Err() == nil:
				text := time.Now().Format("15:04:05.000 ") + err.Error()
				l.failed.CompareAndSwap(nil, &text)
			}
		}
	}()
	return l
}

// end stops asking, and fails the test where a request failed or none was made.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	<-l.done
	if text := l.failed.Load(); text != nil {
		t.Errorf("a request failed: %s", *text)
	}
	if l.answers.Load() == 0 {
		t.Error("no request was answered")
	}
	t.Logf("%d requests were answered", l.answers.Load())
}

// endpoints are the addresses of a service that are ready.
func (s *suite) endpoints(ctx context.Context, service string) (map[string]bool, error) {
	list, err := s.Client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				for _, a := range e.Addresses {
					out[a] = true
				}
			}
		}
	}
	return out, nil
}

func deletedPod(t *testing.T, s *suite) {
	pods := s.readyPods(t, "default", web, 3)
	l := startLoad(t)
	victim := pods[0]
	s.must(t, "delete", "pod", victim.Name, "--wait=true", "--timeout=120s")
	now := s.readyPods(t, "default", web, 3)
	eventually(t, soon, "endpoints follow", func(ctx context.Context) error {
		ready, err := s.endpoints(ctx, "web")
		if err != nil {
			return err
		}
		for _, p := range now {
			if !ready[p.Status.PodIP] {
				return fmt.Errorf("%s (%s) is not among them", p.Name, p.Status.PodIP)
			}
		}
		if len(ready) != 3 || ready[victim.Status.PodIP] {
			return fmt.Errorf("they are %v", ready)
		}
		return nil
	})
	l.end(t)
}

func scale(t *testing.T, s *suite) {
	l := startLoad(t)
	for _, n := range []int{8, 2, 3} {
		s.must(t, "scale", "deployment/web", fmt.Sprintf("--replicas=%d", n))
		s.readyPods(t, "default", web, n)
	}
	l.end(t)
}

func badRollout(t *testing.T, s *suite) {
	l := startLoad(t)
	s.must(t, "set", "image", "deployment/web", "web=sampan.io/absent:1")
	eventually(t, soon, "the new pod cannot start", func(ctx context.Context) error {
		pods, err := s.pods(ctx, "default", web)
		if err != nil {
			return err
		}
		for _, p := range pods {
			for _, c := range p.Status.ContainerStatuses {
				if w := c.State.Waiting; w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff") {
					return nil
				}
			}
		}
		return errors.New("no pod waits for the image")
	})
	d, err := s.Client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Status.AvailableReplicas != 3 || d.Status.UpdatedReplicas != 1 {
		t.Errorf("%d are available and %d updated, want 3 and 1: the rollout must stop", d.Status.AvailableReplicas, d.Status.UpdatedReplicas)
	}
	s.must(t, "rollout", "undo", "deployment/web")
	s.must(t, "rollout", "status", "deployment/web", "--timeout=120s")
	s.readyPods(t, "default", web, 3)
	if out := s.must(t, "rollout", "history", "deployment/web"); !strings.Contains(out, "3") {
		t.Errorf("the history does not show the third revision:\n%s", out)
	}
	l.end(t)
}
