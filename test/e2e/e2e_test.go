// Package e2e shows on real parts that a cluster does what users expect: containerd, etcd, the kernel's
// rules, an unmodified kubectl, and this host as the first node. It needs root, and a host without a
// cluster.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/test/cluster"
)

// suite is what the steps share: one cluster, and the names of things in it.
type suite struct {
	*cluster.Cluster
	kubectlPath string
}

const testImage = "sampan.io/test:v1.36.2"

// How long to wait for what should take seconds: machines that run tests are slow and shared.
const (
	soon  = time.Minute
	later = 3 * time.Minute
)

// TestCluster starts a cluster with `make up`, does with it what users do, breaks it, and ends it with
// `make down`. Where a step fails the cluster's state is shown.
func TestCluster(t *testing.T) {
	before, err := cluster.Survey()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	out := &cluster.Tee{Line: func(l string) { t.Log(l) }}
	c, err := cluster.Up(ctx, out)
	if err != nil {
		downAfterFailure(t, c)
		t.Fatal(err)
	}
	s := &suite{Cluster: c, kubectlPath: filepath.Join(c.Root, "out", "tools", "kubectl")}
	steps := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"NodeAndDNSBecomeReady", ready},
		{"ExampleIsReachedByEveryWay", exampleReachable},
		{"PodCreationIsSeenStepByStep", podPath},
		{"KilledContainerIsRestarted", killedContainer},
		{"DeletedPodIsReplacedWhileOthersServe", deletedPod},
		{"ScaleUpAndDown", scale},
		{"BadRolloutStopsAndUndoMendsIt", badRollout},
		{"VolumesAndEnvironment", volumes},
		{"ProbesHooksAndTermination", probesAndHooks},
		{"UnmodifiedKubectl", kubectlCommands},
		{"MoreNodesJoin", moreNodes},
		{"DaemonsAreKilled", killedDaemons},
		{"BadInputIsExplained", badInput},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, s) }) {
			s.describe(t)
		}
	}
	if err := c.Down(context.WithoutCancel(ctx), out); err != nil {
		t.Errorf("make down: %v", err)
	}
	after, err := cluster.Survey()
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range after.Left(before) {
		t.Errorf("after make down: %s", left)
	}
}

// downAfterFailure leaves a clean host where the cluster did not come up.
func downAfterFailure(t *testing.T, c *cluster.Cluster) {
	for _, log := range []string{"/var/log/sampan/kubelet.log", "/var/log/sampan/containerd.log"} {
		if b, err := os.ReadFile(log); err == nil {
			t.Logf("%s ends with:\n%s", log, b[max(0, len(b)-6000):])
		}
	}
	if c == nil {
		c = &cluster.Cluster{}
	}
	if err := c.Down(context.Background(), &cluster.Tee{Line: func(l string) { t.Log(l) }}); err != nil {
		t.Logf("make down after the failure: %v", err)
	}
}

// describe shows the cluster's state where a step has failed.
func (s *suite) describe(t *testing.T) {
	for _, args := range [][]string{
		{"get", "nodes,pods,services,endpointslices", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
	} {
		out, _ := s.kubectl(t, args...)
		t.Logf("kubectl %s\n%s", strings.Join(args, " "), out[max(0, len(out)-8000):])
	}
	if b, err := os.ReadFile("/var/log/sampan/kubelet.log"); err == nil {
		t.Logf("the kubelet's log ends with:\n%s", b[max(0, len(b)-6000):])
	}
}

// kubectl runs the unmodified kubectl and gives what it prints; an error holds what it complained of.
func (s *suite) kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return s.kubectlWith(t, "", args...)
}

func (s *suite) kubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.kubectlPath, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.AdminKubeconfig)
	return cmd
}

func (s *suite) kubectlWith(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), later)
	defer cancel()
	cmd := s.kubectlCommand(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, &complaints, &out)
	}
	return out.String(), err
}

// must runs kubectl and ends the test where it fails.
func (s *suite) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.kubectl(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply gives kubectl a manifest.
func (s *suite) apply(t *testing.T, manifest string) {
	t.Helper()
	if _, err := s.kubectlWith(t, manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// eventually ends the test where something does not come to pass.
func eventually(t *testing.T, within time.Duration, what string, holds func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := cluster.Eventually(ctx, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pods lists those of a label selector that are not on their way out.
func (s *suite) pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := s.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var out []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// readyPods waits until exactly n pods of a selector are there, all ready.
func (s *suite) readyPods(t *testing.T, namespace, selector string, n int) []corev1.Pod {
	t.Helper()
	var found []corev1.Pod
	eventually(t, later, fmt.Sprintf("%d ready pods of %s", n, selector), func(ctx context.Context) error {
		var err error
		if found, err = s.pods(ctx, namespace, selector); err != nil {
			return err
		}
		if len(found) != n {
			return fmt.Errorf("there are %d", len(found))
		}
		for i := range found {
			if !isReady(&found[i]) {
				return fmt.Errorf("%s is not ready: %s", found[i].Name, found[i].Status.Phase)
			}
		}
		return nil
	})
	return found
}

func ready(t *testing.T, s *suite) {
	eventually(t, later, "the node is Ready", func(ctx context.Context) error {
		n, err := s.Client.CoreV1().Nodes().Get(ctx, "node0", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("it is not")
	})
	eventually(t, later, "CoreDNS is ready", func(ctx context.Context) error {
		pods, err := s.pods(ctx, "kube-system", "k8s-app=kube-dns")
		if err != nil || len(pods) == 0 {
			return errors.Join(err, errors.New("no pod of it runs"))
		}
		for i := range pods {
			if !isReady(&pods[i]) {
				return fmt.Errorf("%s is not", pods[i].Name)
			}
		}
		return nil
	})
	s.apply(t, tester("tester", "node0"))
	s.must(t, "wait", "--for=condition=Ready", "pod/tester", "--timeout=120s")
}

// tester is a pod to look at the cluster from the inside with.
func tester(name, node string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: tester}}
spec:
  nodeSelector: {kubernetes.io/hostname: %s}
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: %s, command: [sleep, "100000"]}
`, name, node, testImage)
}

// inside runs a command in the tester pod.
func (s *suite) inside(t *testing.T, pod string, command ...string) (string, error) {
	t.Helper()
	return s.kubectl(t, append([]string{"exec", pod, "--"}, command...)...)
}

// output runs a program of the host.
func output(ctx context.Context, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
