package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/test/cluster"
)

// pidOf finds the one process of a daemon on this host: those of other hosts are in other mount namespaces.
func pidOf(program string) (int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, exe := range dirs {
		if target, err := os.Readlink(exe); err == nil && filepath.Base(target) == program {
			return strconv.Atoi(strings.Split(exe, "/")[2])
		}
	}
	return 0, fmt.Errorf("no process of %s runs", program)
}

// writer makes ConfigMaps all the time and remembers those whose making was acknowledged.
type writer struct {
	mu    sync.Mutex
	acked []string
	stop  context.CancelFunc
	done  chan struct{}
}

func startWriter(t *testing.T, s *suite) *writer {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &writer{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("written-%d", i)
			_, err := s.Client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "writer"}}, Data: map[string]string{"n": name}}, metav1.CreateOptions{})
			if err == nil {
				w.mu.Lock()
				w.acked = append(w.acked, name)
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// end fails the test where something acknowledged is not there.
func (w *writer) end(t *testing.T, s *suite) {
	t.Helper()
	w.stop()
	<-w.done
	list, err := s.Client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=writer"})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, c := range list.Items {
		there[c.Name] = c.Data["n"] == c.Name
	}
	lost := 0
	for _, name := range w.acked {
		if !there[name] {
			lost++
		}
	}
	if lost > 0 || len(w.acked) == 0 {
		t.Errorf("of %d acknowledged writes %d are lost", len(w.acked), lost)
	}
	t.Logf("%d acknowledged writes are all there", len(w.acked))
	if err := s.Client.CoreV1().ConfigMaps("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=writer"}); err != nil {
		t.Error(err)
	}
}

// killAndReturn kills a program and waits until another process of it runs.
func killAndReturn(t *testing.T, program string) {
	t.Helper()
	pid, err := pidOf(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, later, program+" comes back", func(context.Context) error {
		now, err := pidOf(program)
		if err == nil && now == pid {
			err = errors.New("it has not ended yet")
		}
		return err
	})
}

// killedDaemons kills each daemon under load. The etcd of this cluster is in the apiserver's process;
// TestClusterWithAnEtcdOfItsOwn kills one that is not.
func killedDaemons(t *testing.T, s *suite) {
	l, w := startLoad(t), startWriter(t, s)
	for _, program := range []string{"apiserver", "scheduler", "controller-manager", "proxy", "kubelet"} {
		killed := time.Now()
		killAndReturn(t, program)
		s.atWork(t, program, killed)
		s.works(t)
	}
	l.end(t)
	w.end(t, s)
}

// atWork waits until a daemon does again what it is for. One that was killed leaves its lease behind, and its
// successor has to wait until that has run out.
func (s *suite) atWork(t *testing.T, program string, since time.Time) {
	t.Helper()
	eventually(t, later, program+" is at work again", func(ctx context.Context) error {
		if err := s.Client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		switch program {
		case "scheduler", "controller-manager":
			return s.renewed(ctx, "kube-system", "kube-"+program, since)
		case "kubelet":
			return s.renewed(ctx, corev1.NamespaceNodeLease, "node0", since)
		case "proxy":
			_, err := fetch(ctx, "http://"+cluster.Address+":10256/healthz")
			return err
		}
		return nil
	})
}

func (s *suite) renewed(ctx context.Context, namespace, lease string, since time.Time) error {
	l, err := s.Client.CoordinationV1().Leases(namespace).Get(ctx, lease, metav1.GetOptions{})
	if err == nil && (l.Spec.RenewTime == nil || !l.Spec.RenewTime.After(since)) {
		err = fmt.Errorf("the lease %s was renewed at %v", lease, l.Spec.RenewTime)
	}
	return err
}

// works replaces a pod, which takes every daemon: it must be deleted, made, scheduled, started and reached.
func (s *suite) works(t *testing.T) {
	t.Helper()
	victim := s.readyPods(t, "default", web, 3)[0]
	s.must(t, "delete", "pod", victim.Name, "--wait=false")
	pods := s.readyPods(t, "default", web, 3)
	eventually(t, later, "the service's endpoints are the pods there are", func(ctx context.Context) error {
		ready, err := s.endpoints(ctx, "web")
		if err != nil {
			return err
		}
		for _, p := range pods {
			if !ready[p.Status.PodIP] {
				return fmt.Errorf("%s is not among %v", p.Status.PodIP, ready)
			}
		}
		return nil
	})
	eventually(t, later, "every pod is reached", func(ctx context.Context) error {
		return reachesAll(func() (string, error) { return fetch(ctx, nodePort) }, pods)
	})
}
