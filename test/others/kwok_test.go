package others

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	nodestages "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podstages "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
)

// hookEnds has a pod end well that helm waits for.
const hookEnds = `apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: hook-ends}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchLabels: {sampan.test/hook: ends}
    matchExpressions:
    - {key: .status.phase, operator: In, values: [Running]}
  next:
    statusTemplate: |
      phase: Succeeded
`

// daemon runs a program until the test ends. What it prints is shown where the test fails.
func daemon(t *testing.T, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(program), b[max(0, len(b)-8000):])
		}
	})
}

// cluster is our control plane with as many nodes of kwok, whose pods run as soon as they are scheduled. It
// gives the kubeconfig file of its administrator.
func cluster(t *testing.T, nodes int) (*envtest.Environment, string) {
	t.Helper()
	env := start(t, &envtest.Environment{})
	dir := t.TempDir()
	kubeconfig, stages := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "stages.yaml")
	all := []string{nodestages.DefaultNodeInit, podstages.DefaultPodReady, podstages.DefaultPodComplete, podstages.DefaultPodDelete, hookEnds}
	if err := errors.Join(os.WriteFile(kubeconfig, env.KubeConfig, 0o600), os.WriteFile(stages, []byte(strings.Join(all, "\n---\n")), 0o600)); err != nil {
		t.Fatal(err)
	}
	daemon(t, program(t, "bin/controller-manager"), "--kubeconfig="+kubeconfig, "--secure-port=0")
	daemon(t, program(t, "bin/scheduler"), "--kubeconfig="+kubeconfig, "--secure-port=0")
	daemon(t, program(t, "out/tools/kwok"), "--kubeconfig="+kubeconfig, "--manage-all-nodes=true", "--config="+stages, "--node-lease-duration-seconds=40")
	c := clientOf(t, env)
	for i := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), Labels: map[string]string{"type": "kwok"}}}
		if _, err := c.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, fmt.Sprintf("%d nodes are ready", nodes), func(ctx context.Context) error { return nodesReady(ctx, c, nodes) })
	return env, kubeconfig
}

func nodesReady(ctx context.Context, c kubernetes.Interface, want int) error {
	list, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	ready := 0
	for _, n := range list.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue && len(n.Spec.Taints) == 0 {
				ready++
			}
		}
	}
	if ready != want {
		return fmt.Errorf("%d are", ready)
	}
	return nil
}

// renewals are the times at which the nodes' leases were renewed last.
func renewals(ctx context.Context, c kubernetes.Interface) (map[string]time.Time, error) {
	list, err := c.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]time.Time{}
	for _, l := range list.Items {
		if l.Spec.RenewTime != nil {
			out[l.Name] = l.Spec.RenewTime.Time
		}
	}
	return out, nil
}

func TestThousandNodesKeepTheirLeases(t *testing.T) {
	const nodes = 1000
	env, _ := cluster(t, nodes)
	c := clientOf(t, env)
	var first map[string]time.Time
	eventually(t, "each node has a lease", func(ctx context.Context) (err error) {
		if first, err = renewals(ctx, c); err == nil && len(first) != nodes {
			err = fmt.Errorf("there are %d of %d", len(first), nodes)
		}
		return err
	})
	eventually(t, "each lease is renewed", func(ctx context.Context) error {
		now, err := renewals(ctx, c)
		if err != nil {
			return err
		}
		for name, at := range first {
			if !now[name].After(at) {
				return fmt.Errorf("that of %s was not since %v", name, at)
			}
		}
		return nil
	})
	if err := nodesReady(t.Context(), c, nodes); err != nil {
		t.Errorf("then %d nodes are to be ready still: %v", nodes, err)
	}
}
