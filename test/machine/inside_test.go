package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sampan-project/sampan/test/cluster"
)

// What follows runs on the machine.

// suite is the cluster as seen from the machine.
type suite struct {
	client *kubernetes.Clientset
	kept   kept
}

// soon is how long to wait for what should take seconds: this machine is slow, and on a busy host hardly moves.
const soon = 10 * time.Minute

func clusterIsMade(t *testing.T) {
	s := &suite{kept: kept{Before: look(t), Boot: bootID(t)}}
	out := &cluster.Tee{Line: func(l string) { t.Log(l) }}
	if err := cluster.Make(t.Context(), out, "up", "INIT=--pod-network-addon=bridge"); err != nil {
		showLogs(t)
		t.Fatal(err)
	}
	s.connect(t)
	s.each(t, []part{
		{"SystemdRunsKubeletAndContainerd", systemdRuns},
		{"PodsAreHeldToTheirLimits", limits},
		{"MemoryLimitKills", memoryLimit},
		{"CPULimitThrottles", throttled},
		{"StatsAreWhatTheCgroupsSay", statsAreTheKernels},
		{"WorkloadServes", workloadServes},
		{"KubeletRestartKeepsPods", restartKeepsPods("kubelet.service")},
		{"ContainerdRestartKeepsPods", restartKeepsPods("containerd.service")},
	})
	var err error
	if s.kept.Pods, err = s.uids(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.kept.write(t)
}

// part is one of the things that a step shows.
type part struct {
	name string
	run  func(*testing.T, *suite)
}

func (s *suite) each(t *testing.T, parts []part) {
	for _, p := range parts {
		if !t.Run(p.name, func(t *testing.T) { p.run(t, s) }) {
			showLogs(t)
			return
		}
	}
}

func (s *suite) connect(t *testing.T) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cluster.AdminKubeconfig)
	if err == nil {
		config.QPS = -1
		s.client, err = kubernetes.NewForConfig(config)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// showLogs shows what the machine's programs say, where something failed.
func showLogs(t *testing.T) {
	for _, args := range [][]string{
		{"systemctl", "--no-pager", "--failed"}, {"journalctl", "--no-pager", "-n", "60", "-o", "cat", "-u", "kubelet"},
		{"journalctl", "--no-pager", "-n", "30", "-o", "cat", "-u", "containerd"},
		{"/sampan/bin/ctl", "--kubeconfig", cluster.AdminKubeconfig, "get", "pods", "-A", "-o", "wide"},
		{"sh", "-c", "tail -n 20 /var/log/pods/*/*/*.log"},
	} {
		out, _ := exec.Command(args[0], args[1:]...).CombinedOutput()
		t.Logf("%s\n%s", strings.Join(args, " "), out[max(0, len(out)-8000):])
	}
}

// eventually ends the test where something does not come to pass soon.
func eventually(t *testing.T, holds func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := cluster.Eventually(ctx, holds); err != nil {
		t.Fatal(err)
	}
}

// run answers what a command prints. systemd does not answer within its 25 seconds where the host has no time for this
// machine: then it is asked again.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out []byte
	eventually(t, func(ctx context.Context) (err error) {
		out, err = exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil && !bytes.Contains(out, []byte("Connection timed out")) {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return err
	})
	return strings.TrimSpace(string(out))
}

// property is what systemd says of a unit.
func property(t *testing.T, unit, name string) string {
	t.Helper()
	return run(t, "systemctl", "show", "--value", "--property", name, unit)
}

// units are those that have to do with a cluster, and which are enabled.
func units(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, args := range [][]string{
		{"list-units", "--all", "--plain", "--no-legend", "--no-pager"}, {"list-unit-files", "--plain", "--no-legend", "--no-pager"},
	} {
		for line := range strings.Lines(run(t, append([]string{"systemctl"}, args...)...)) {
			f := strings.Fields(line)
			if len(f) > 1 && (strings.Contains(f[0], "kube") || strings.Contains(f[0], "containerd")) {
				out = append(out, args[0]+" "+f[0])
			}
		}
	}
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/run/systemd/system.control", "/run/systemd/transient"} {
		files, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.Contains(f, "kube") || strings.Contains(f, "containerd") {
				out = append(out, f)
			}
		}
	}
	slices.Sort(out)
	return out
}

// systemdRuns: the kubelet and containerd are units that start with the machine.
func systemdRuns(t *testing.T, _ *suite) {
	for _, u := range []string{"kubelet.service", "containerd.service"} {
		for _, want := range []string{"active", "enabled"} {
			name := map[string]string{"active": "ActiveState", "enabled": "UnitFileState"}[want]
			if got := property(t, u, name); got != want {
				t.Errorf("%s: %s is %q, want %q", u, name, got, want)
			}
		}
	}
	exe, err := os.Readlink("/proc/" + property(t, "kubelet.service", "MainPID") + "/exe")
	if err != nil || exe != "/sampan/bin/kubelet" {
		t.Errorf("the unit's program is %q (%v), want this repository's", exe, err)
	}
	if _, err := os.Stat("/run/sampan/supervisor.pid"); err == nil {
		t.Error("a supervisor runs beside systemd")
	}
}

// ready says how a pod falls short of being ready.
func (s *suite) ready(ctx context.Context, name string) error {
	pod, err := s.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("pod %s is not ready: %+v", name, pod.Status.ContainerStatuses)
}
