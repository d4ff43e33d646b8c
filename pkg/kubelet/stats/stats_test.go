package stats

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// measured is a runtime whose measurements are the test's.
type measured struct {
	*cri.Fake
	containers []*cri.ContainerStats
	sandboxes  []*cri.PodSandboxStats
	failure    error // of measuring sandboxes
}

func (m *measured) ListContainerStats(context.Context, *cri.ContainerStatsFilter) ([]*cri.ContainerStats, error) {
	return m.containers, nil
}

func (m *measured) ListPodSandboxStats(context.Context, *cri.PodSandboxStatsFilter) ([]*cri.PodSandboxStats, error) {
	return m.sandboxes, m.failure
}

func used(name, id string, attempt uint32, nanos, memory uint64) *cri.ContainerStats {
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{
			Id: id, Metadata: &cri.ContainerMetadata{Name: name, Attempt: attempt},
			Labels: map[string]string{labelPodUID: "u", labelContainerName: name},
		},
		Cpu:    &cri.CPUUsage{UsageCoreNanoSeconds: &cri.UInt64Value{Value: nanos}},
		Memory: &cri.MemoryUsage{WorkingSetBytes: &cri.UInt64Value{Value: memory}},
	}
}

// files makes files below a root of their own.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range content {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var procFiles = map[string]string{
	"stat":      "cpu  100 20 30 4000 500 6 7 8 0 0\nbtime 1700000000\n",
	"meminfo":   "MemTotal: 1000 kB\nMemFree: 300 kB\nInactive(file): 100 kB\nAnonPages: 50 kB\n",
	"vmstat":    "pgfault 5\npgmajfault 6\n",
	"net/dev":   "Inter-| Receive\n face |bytes\n lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\neth0: 11 1 2 0 0 0 0 0 33 1 4 0 0 0 0 0\n",
	"net/route": "Iface\tDestination\neth0\t00000000\t0100000A\n", "loadavg": "0.1 0.2 0.3 2/77 999\n",
	"sys/kernel/pid_max": "4194304\n", "sys/kernel/threads-max": "1000\n",
}

func provider(t *testing.T, cgroups map[string]string) (*Provider, *measured, *clocktesting.FakeClock) {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Unix(1800000000, 0))
	runtime := &measured{Fake: cri.NewFake(clock)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	done := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "done", UID: "u2"}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	return New(Config{
		NodeName: "node", Runtime: runtime, Pods: func() []*corev1.Pod { return []*corev1.Pod{done, pod} }, RootDir: t.TempDir(),
		ProcRoot: files(t, procFiles), CgroupRoot: files(t, cgroups), Clock: clock, Log: logr.Discard(),
	}), runtime, clock
}

func TestSummaryOfTheNode(t *testing.T) {
	for name, c := range map[string]struct {
		cgroups map[string]string
		nanos   uint64
	}{
		"cgroup v2": {map[string]string{"cpu.stat": "usage_usec 5000\nuser_usec 1\n"}, 5_000_000},
		"cgroup v1": {map[string]string{"cpuacct/cpuacct.usage": "12345\n"}, 12345},
		"/proc":     {nil, 171 * 10_000_000}, // idle and iowait are not use
	} {
		p, _, _ := provider(t, c.cgroups)
		s, err := p.Summary(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		n := s.Node
		got := []any{*n.CPU.UsageCoreNanoSeconds, n.CPU.UsageNanoCores == nil, *n.Memory.UsageBytes, *n.Memory.WorkingSetBytes, *n.Memory.AvailableBytes,
			n.Network.Name, *n.Network.RxBytes, *n.Network.TxBytes, *n.Network.TxErrors, len(n.Network.Interfaces), *n.Rlimit.MaxPID, *n.Rlimit.NumOfRunningProcesses, n.StartTime.Unix()}
		want := []any{c.nanos, true, uint64(700 << 10), uint64(600 << 10), uint64(400 << 10),
			"eth0", uint64(11), uint64(33), uint64(4), 1, int64(1000), int64(77), int64(1700000000)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func TestSummaryOfPods(t *testing.T) {
	p, runtime, clock := provider(t, nil)
	runtime.containers = []*cri.ContainerStats{used("c", "1", 0, 9999, 9999), used("c", "2", 1, 1_000_000_000, 100), used("d", "3", 0, 500, 11)}
	if _, err := p.Summary(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	clock.Step(2 * time.Second)
	runtime.containers = []*cri.ContainerStats{used("c", "2", 1, 2_000_000_000, 100), used("d", "3", 0, 700, 11)}
	s, err := p.Summary(t.Context(), true)
	if err != nil || len(s.Pods) != 1 {
		t.Fatalf("%v %+v", err, s)
	}
	pod := s.Pods[0]
	got := []any{pod.PodRef.Name, len(pod.Containers), *pod.Containers[0].CPU.UsageNanoCores, *pod.CPU.UsageCoreNanoSeconds, *pod.CPU.UsageNanoCores, *pod.Memory.WorkingSetBytes}
	if d := cmp.Diff([]any{"p", 2, uint64(500_000_000), uint64(2_000_000_700), uint64(500_000_100), uint64(111)}, got); d != "" {
		t.Error(d)
	}
	clock.Step(100 * time.Millisecond) // too short for a new rate
	if s, err = p.Summary(t.Context(), true); err != nil || *s.Pods[0].Containers[0].CPU.UsageNanoCores != 500_000_000 {
		t.Errorf("the rate became %+v, %v", s.Pods[0].Containers[0].CPU, err)
	}
	if len(p.last) != 3 { // node, c, d
		t.Errorf("readings are kept of %v", p.last)
	}
}

func TestPodIsMeasuredAsAWholeWhereTheRuntimeCan(t *testing.T) {
	p, runtime, _ := provider(t, nil)
	runtime.containers = []*cri.ContainerStats{used("c", "1", 0, 10, 10)}
	runtime.sandboxes = []*cri.PodSandboxStats{{
		Attributes: &cri.PodSandboxAttributes{Id: "s", Labels: map[string]string{labelPodUID: "u"}},
		Linux: &cri.LinuxPodSandboxStats{
			Cpu:     &cri.CPUUsage{UsageCoreNanoSeconds: &cri.UInt64Value{Value: 77}},
			Memory:  &cri.MemoryUsage{WorkingSetBytes: &cri.UInt64Value{Value: 88}},
			Network: &cri.NetworkUsage{DefaultInterface: &cri.NetworkInterfaceUsage{Name: "eth0", RxBytes: &cri.UInt64Value{Value: 99}}},
			Process: &cri.ProcessUsage{ProcessCount: &cri.UInt64Value{Value: 3}},
		},
	}}
	s, err := p.Summary(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	pod := s.Pods[0]
	if *pod.CPU.UsageCoreNanoSeconds != 77 || *pod.Memory.WorkingSetBytes != 88 || *pod.Network.RxBytes != 99 || *pod.ProcessStats.ProcessCount != 3 {
		t.Errorf("got %+v", pod)
	}
}

func TestPodIsTheSumOfItsContainersWhereTheRuntimeFailsToMeasureIt(t *testing.T) {
	p, runtime, _ := provider(t, nil)
	runtime.containers = []*cri.ContainerStats{used("c", "1", 0, 10, 20), used("d", "2", 0, 30, 40)}
	runtime.failure = errors.New("failed to load sandbox cgroup")
	s, err := p.Summary(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if pod := s.Pods[0]; *pod.CPU.UsageCoreNanoSeconds != 40 || *pod.Memory.WorkingSetBytes != 60 {
		t.Errorf("got %+v, %+v", pod.CPU, pod.Memory)
	}
}

func TestMetricsHoldTogether(t *testing.T) {
	p, runtime, _ := provider(t, nil)
	runtime.containers = []*cri.ContainerStats{used("c", "1", 0, 2_000_000_000, 10)}
	for name, want := range map[string][]string{
		"resource": {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "node_cpu_usage_seconds_total", "node_memory_working_set_bytes",
			"pod_cpu_usage_seconds_total", "pod_memory_working_set_bytes", "resource_scrape_error", "scrape_error"},
		"cadvisor": {"container_cpu_usage_seconds_total", "container_memory_rss", "container_memory_usage_bytes", "container_memory_working_set_bytes",
			"container_network_receive_bytes_total", "container_network_receive_errors_total", "container_network_transmit_bytes_total",
			"container_network_transmit_errors_total", "container_scrape_error", "machine_cpu_cores", "machine_memory_bytes"},
	} {
		g := p.Resource()
		if name == "cadvisor" {
			g = p.Cadvisor()
		}
		families, err := g.Gather()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, f := range families {
			got = append(got, f.GetName())
			if strings.HasSuffix(f.GetName(), "scrape_error") && f.Metric[0].Gauge.GetValue() != 0 {
				t.Errorf("%s tells of an error", name)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
